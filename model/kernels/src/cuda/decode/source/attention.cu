// Attention to what is kept. Keys and values lie as [slot, head, place, number].

// The exponent of 2 is what the hardware has.
#define LOG2_E 1.44269504088896340736f
#define WARPS 8
// Keys that a block looks at side by side.
#define SIDE (WARPS * 32 / SHARE)
// Numbers of a head that a lane has, and what a head takes in the cache.
#define OWN ((HEAD + SHARE - 1) / SHARE)
#define WIDE (OWN * SHARE)
#define LOWEST -1e30f

// Turns queries and keys as their places say, behind their norms, and brings keys and values to the cache: a warp for each head.
extern "C" __global__ void keep_heads(const float* all, const int* slots, const int* places, const float* cosines, const float* sines,
                                      const float* query_norm, const float* key_norm, float* queries, Number* keys, Number* values,
                                      int rows, int heads, int kept, int stride, int context, float epsilon) {
    int warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32, parts = heads + 2 * kept;
    int row = warp / parts, part = warp % parts;
    let_next_begin();
    settle();
    if (row >= rows) return;
    const float* x = all + (i64)row * stride + part * HEAD;
    int place = places[row], head = part - heads;
    if (head >= kept) {
        Number* to = values + (((i64)slots[row] * kept + head - kept) * context + place) * WIDE;
        for (int at = lane; at < WIDE; at += 32) to[at] = narrow(at < HEAD ? x[at] : 0.0f);
        return;
    }
    const float* weight = head < 0 ? query_norm : key_norm;
    float scale = 1.0f;
    if (weight) {
        float sum = 0.0f;
        for (int at = lane; at < HEAD; at += 32) sum += x[at] * x[at];
        scale = rsqrtf(sum_of_warp(sum) / HEAD + epsilon);
    }
    Number* key = keys + (((i64)slots[row] * kept + head) * context + place) * WIDE;
    float* query = queries + ((i64)row * heads + part) * HEAD;
    // Queries take with them what logits are multiplied by.
    float times = rsqrtf((float)HEAD) * LOG2_E;
    for (int at = lane; at < HEAD / 2; at += 32) {
        float first = x[at] * scale, second = x[at + HEAD / 2] * scale;
        if (weight) first *= weight[at], second *= weight[at + HEAD / 2];
        float cosine = cosines[(i64)place * (HEAD / 2) + at], sine = sines[(i64)place * (HEAD / 2) + at];
        float one = first * cosine - second * sine, two = first * sine + second * cosine;
        if (head < 0) {
            query[at] = one * times, query[at + HEAD / 2] = two * times;
        } else {
            key[at] = narrow(one), key[at + HEAD / 2] = narrow(two);
        }
    }
    if (head >= 0)
        for (int at = HEAD + lane; at < WIDE; at += 32) key[at] = narrow(0.0f);
}

// A lane's numbers of a key or a value.
__device__ __forceinline__ void read(float* to, const Number* from) {
    constexpr int BYTES = OWN * sizeof(Number);
    if (BYTES % 16 == 0) {
        constexpr int PIECE = 16 / sizeof(Number);
#pragma unroll
        for (int at = 0; at + PIECE <= OWN; at += PIECE) {
            uint4 piece = *(const uint4*)(from + at);
            u32 words[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
            for (int word = 0; word < 4; word++) {
#if KEPT == 0
                to[at + word] = __uint_as_float(words[word]);
#else
                to[at + 2 * word] = __uint_as_float(words[word] << 16);
                to[at + 2 * word + 1] = __uint_as_float(words[word] & 0xffff0000u);
#endif
            }
        }
    } else {
#pragma unroll
        for (int at = 0; at < OWN; at++) to[at] = wide(from[at]);
    }
}

// The shares that a query has in keys so far: the largest logit, the sum of their exponentials, and their values by these.
struct Shares {
    float most, sum;
};

__device__ __forceinline__ float power(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// What a token attends to: for some heads of queries that share one of keys, a part of the tokens that it sees. Each eight lanes go
// through keys of their own; then all is joined in one order. Where the tokens are parted among blocks, the last one to be
// ready joins the parts.
extern "C" __global__ void __launch_bounds__(WARPS * 32)
attend(const float* queries, const int* slots, const int* places, const Number* keys, const Number* values, Number* out, float* parts,
       u32* ready, int heads, int kept, int context, int window, int splits, int stride) {
    let_next_begin();
    settle();
    int row = blockIdx.x, split = blockIdx.z, sets = (GROUP + TOGETHER - 1) / TOGETHER;
    int shared = blockIdx.y / sets, head = shared * GROUP + blockIdx.y % sets * TOGETHER;
    int lane = threadIdx.x % SHARE, side = threadIdx.x / SHARE, place = places[row];
    int begin = window && place >= window ? place + 1 - window : 0, len = place + 1 - begin;
    int part = (len + splits - 1) / splits, first = begin + split * part, end = min(first + part, place + 1);
    i64 base = ((i64)slots[row] * kept + shared) * context * WIDE + lane * OWN;
    int count = min(TOGETHER, GROUP - (head - shared * GROUP));

    float query[TOGETHER][OWN], sums[TOGETHER][OWN] = {};
    Shares shares[TOGETHER];
#pragma unroll
    for (int h = 0; h < TOGETHER; h++) {
        shares[h].most = LOWEST, shares[h].sum = 0.0f;
        const float* from = queries + ((i64)row * heads + head + min(h, count - 1)) * HEAD + lane * OWN;
#pragma unroll
        for (int at = 0; at < OWN; at++) query[h][at] = lane * OWN + at < HEAD ? from[at] : 0.0f;
    }
#pragma unroll 2
    for (int key = first + side; key < end; key += SIDE) {
        float of_key[OWN], of_value[OWN];
        read(of_key, keys + base + (i64)key * WIDE);
        read(of_value, values + base + (i64)key * WIDE);
#pragma unroll
        for (int h = 0; h < TOGETHER; h++) {
            float logit = 0.0f;
#pragma unroll
            for (int at = 0; at < OWN; at++) logit += query[h][at] * of_key[at];
            // Keys end at other times for other lanes of a warp, but the eight that share one go together.
            u32 together = 0xffu << (threadIdx.x % 32 / SHARE * SHARE);
            for (int far = SHARE / 2; far > 0; far /= 2) logit += __shfl_xor_sync(together, logit, far);
            float most = fmaxf(shares[h].most, logit), less = power(shares[h].most - most), share = power(logit - most);
            shares[h].most = most, shares[h].sum = shares[h].sum * less + share;
#pragma unroll
            for (int at = 0; at < OWN; at++) sums[h][at] = sums[h][at] * less + share * of_value[at];
        }
    }

    __shared__ Shares all[SIDE];
    __shared__ float joined[SIDE][WIDE], weight[SIDE];
    __shared__ bool last;
#pragma unroll
    for (int h = 0; h < TOGETHER; h++) {
        if (h >= count) break;
        if (lane == 0) all[side] = shares[h];
        for (int at = 0; at < OWN; at++) joined[side][lane * OWN + at] = sums[h][at];
        __syncthreads();
        float most = LOWEST, sum = 0.0f;
        for (int one = 0; one < SIDE; one++) most = fmaxf(most, all[one].most);
        if (threadIdx.x < SIDE) weight[threadIdx.x] = power(all[threadIdx.x].most - most);
        __syncthreads();
        for (int one = 0; one < SIDE; one++) sum += all[one].sum * weight[one];
        for (int at = threadIdx.x; at < HEAD; at += WARPS * 32) {
            float value = 0.0f;
            for (int one = 0; one < SIDE; one++) value += joined[one][at] * weight[one];
            if (splits == 1) {
                out[(i64)row * stride + (head + h) * HEAD + at] = narrow(value / sum);
            } else {
                parts[(((i64)row * heads + head + h) * splits + split) * (HEAD + 2) + at] = value;
            }
        }
        if (splits > 1 && threadIdx.x == 0) {
            float* to = parts + (((i64)row * heads + head + h) * splits + split) * (HEAD + 2) + HEAD;
            to[0] = most, to[1] = sum;
        }
        __syncthreads();
    }
    // What rows are wider than their heads multiplies nothing, so it must be something.
    if (blockIdx.y == 0 && split == 0)
        for (int at = heads * HEAD + threadIdx.x; at < stride; at += WARPS * 32) out[(i64)row * stride + at] = narrow(0.0f);
    if (splits == 1) return;

    u32* counter = ready + (i64)row * gridDim.y + blockIdx.y;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(counter, 1) == splits - 1;
    __syncthreads();
    if (!last) return;
    __threadfence();
    if (threadIdx.x == 0) *counter = 0;
    for (int h = 0; h < count; h++) {
        const volatile float* from = parts + ((i64)row * heads + head + h) * splits * (HEAD + 2);
        float most = LOWEST, sum = 0.0f;
        for (int one = 0; one < splits; one++) most = fmaxf(most, from[one * (HEAD + 2) + HEAD]);
        for (int one = 0; one < splits; one++) sum += from[one * (HEAD + 2) + HEAD + 1] * power(from[one * (HEAD + 2) + HEAD] - most);
        for (int at = threadIdx.x; at < HEAD; at += WARPS * 32) {
            float value = 0.0f;
            for (int one = 0; one < splits; one++) value += from[one * (HEAD + 2) + at] * power(from[one * (HEAD + 2) + HEAD] - most);
            out[(i64)row * stride + (head + h) * HEAD + at] = narrow(value / sum);
        }
    }
}
