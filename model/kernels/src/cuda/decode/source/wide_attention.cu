// Attention whose heads are of any width, and may go by distance: latent attention and hyperbolic. A block has a row's head, and each of its warps
// every eighth of the keys that it sees.
#define VIEWERS 8
// Numbers of a value that a lane has at most.
#define VALUES (WIDEST_VALUE / 32)

struct WideAttention {
    // Of each head of each row, turned.
    const float* queries;
    const Number *keys, *values;
    const int *slots, *places;
    // Of each head, where distances count.
    const float *curvatures, *sharpnesses;
    Number* out;
    int heads, group, width, value_width, key_stride, value_stride, context, window, stride;
    // What queries were multiplied by, and what logits are: or vectors, where distances count.
    float times, scale;
    // No vector counts as longer, and none as nearer.
    float longest, nearest;
};

// What twice the way out from the middle is, as a hyperbolic cosine and a sine.
__device__ __forceinline__ float2 way_out(float length, float root, float longest) {
    float twice = 2.0f * root * fminf(length, longest);
    return make_float2(coshf(twice), sinhf(twice));
}

extern "C" __global__ void __launch_bounds__(VIEWERS * 32) attend_wide(const __grid_constant__ WideAttention given) {
    __shared__ float sums[VIEWERS][VALUES * 32], most[VIEWERS], all[VIEWERS];
    __shared__ float query[WIDEST_KEY];
    settle();
    int row = blockIdx.x, head = blockIdx.y, lane = threadIdx.x % 32, warp = threadIdx.x / 32, place = given.places[row];
    const float* from = given.queries + ((i64)row * given.heads + head) * given.width;
    for (int at = threadIdx.x; at < given.width; at += VIEWERS * 32) query[at] = from[at] / given.times;
    __syncthreads();
    i64 base = ((i64)given.slots[row] * (given.heads / given.group) + head / given.group) * given.context;
    const Number *keys = given.keys + base * given.key_stride, *values = given.values + base * given.value_stride;
    bool near = given.curvatures != nullptr;
    float root = near ? sqrtf(given.curvatures[head]) : 1.0f, length = 0.0f;
    for (int at = lane; at < given.width; at += 32) length += query[at] * query[at];
    length = sqrtf(sum_of_warp(length));
    float2 out_there = way_out(given.scale * length, root, given.longest);
    float own[VALUES] = {}, highest = LOWEST, sum = 0.0f;
    int begin = given.window && place >= given.window ? place + 1 - given.window : 0;
    for (int key = begin + warp; key <= place; key += VIEWERS) {
        const Number* of = keys + (i64)key * given.key_stride;
        float product = 0.0f, square = 0.0f;
        for (int at = lane; at < given.width; at += 32) {
            float x = wide(of[at]);
            product += query[at] * x, square += x * x;
        }
        product = sum_of_warp(product);
        float logit = given.scale * product;
        if (near) {
            float of_key = sqrtf(sum_of_warp(square));
            float2 there = way_out(given.scale * of_key, root, given.longest);
            // A vector of no length points nowhere, and is as far from all.
            float both = fmaxf(length * of_key, 1.17549435e-38f);
            float apart = fmaxf(out_there.x * there.x - out_there.y * there.y * product / both - 1.0f, given.nearest);
            logit = -given.sharpnesses[head] / root * log1pf(apart + sqrtf(apart * (apart + 2.0f)));
        }
        float now = fmaxf(highest, logit), less = expf(highest - now), share = expf(logit - now);
        highest = now, sum = sum * less + share;
        const Number* value = values + (i64)key * given.value_stride;
#pragma unroll
        for (int n = 0; n < VALUES; n++) {
            int at = n * 32 + lane;
            own[n] = own[n] * less + (at < given.value_width ? share * wide(value[at]) : 0.0f);
        }
    }
    if (lane == 0) most[warp] = highest, all[warp] = sum;
#pragma unroll
    for (int n = 0; n < VALUES; n++) sums[warp][n * 32 + lane] = own[n];
    __syncthreads();
    float peak = LOWEST, total = 0.0f;
    for (int n = 0; n < VIEWERS; n++) peak = fmaxf(peak, most[n]);
    for (int n = 0; n < VIEWERS; n++) total += all[n] * expf(most[n] - peak);
    Number* to = given.out + (i64)row * given.stride;
    for (int at = threadIdx.x; at < given.value_width; at += VIEWERS * 32) {
        float x = 0.0f;
        for (int n = 0; n < VIEWERS; n++) x += sums[n][at] * expf(most[n] - peak);
        to[head * given.value_width + at] = narrow(x / total);
    }
    if (head == 0)
        for (int at = given.heads * given.value_width + threadIdx.x; at < given.stride; at += VIEWERS * 32) to[at] = narrow(0.0f);
}

// Of each head of a row the numbers that positions do not turn, as what is multiplied.
extern "C" __global__ void part_queries(const float* query, Number* out, int from_stride, int heads, int across, int turned, int stride) {
    query += (i64)blockIdx.x * from_stride, out += (i64)blockIdx.x * stride;
    int own = across - turned;
    for (int at = threadIdx.x; at < stride; at += blockDim.x) out[at] = narrow(at < heads * own ? query[at / own * across + at % own] : 0.0f);
}

// A number of those that positions turn: two halves of a row are turned with each other.
__device__ __forceinline__ float turned_at(const float* from, const float* cosines, const float* sines, int at, int turned) {
    int half = turned / 2, pair = at % half;
    float first = from[pair], second = from[pair + half];
    return at < half ? first * cosines[pair] - second * sines[pair] : first * sines[pair] + second * cosines[pair];
}

// Latent attention's queries put together, `brought` and behind it what is turned, and its keys and values put into the cache.
struct Latents {
    const float *query, *brought, *key_turned;
    const Number *key, *value;
    const float *cosines, *sines;
    const int *slots, *places;
    float* queries;
    Number *keys, *values;
    int heads, across, rank, turned, value_width, key_row, value_row, key_stride, value_stride, context;
};

extern "C" __global__ void keep_latents(const __grid_constant__ Latents given) {
    settle();
    int row = blockIdx.x, place = given.places[row], width = given.rank + given.turned, own = given.across - given.turned;
    const float *cosines = given.cosines + (i64)place * (given.turned / 2), *sines = given.sines + (i64)place * (given.turned / 2);
    for (int at = threadIdx.x; at < given.heads * width; at += blockDim.x) {
        int head = at / width, number = at % width;
        const float* query = given.query + ((i64)row * given.heads + head) * given.across + own;
        given.queries[(i64)row * given.heads * width + at] =
            number < given.rank ? given.brought[((i64)row * given.heads + head) * given.rank + number]
                                : turned_at(query, cosines, sines, number - given.rank, given.turned);
    }
    i64 there = (i64)given.slots[row] * given.context + place;
    const float* turned = given.key_turned + (i64)row * given.turned;
    for (int at = threadIdx.x; at < given.key_stride; at += blockDim.x) {
        Number* to = given.keys + there * given.key_stride + at;
        if (at < given.rank) *to = given.key[(i64)row * given.key_row + at];
        else *to = narrow(at < width ? turned_at(turned, cosines, sines, at - given.rank, given.turned) : 0.0f);
    }
    if (!given.value) return;
    for (int at = threadIdx.x; at < given.value_width; at += blockDim.x)
        given.values[there * given.value_stride + at] = given.value[(i64)row * given.value_row + at];
}
