// What goes along texts: heads that learn and chains, token by token, from what each text's state has, which is nothing where a text begins. The
// rows of a text lie one behind the other.

// What is added to the length of a key, so that nothing is divided by zero.
#define LEAST 1e-6f
// Threads of a block.
#define ALONG 256

// The sum of a block's numbers, the same in every thread.
__device__ __forceinline__ float sum_of_block(float x) {
    __shared__ float parts[ALONG / 32];
    x = sum_of_warp(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    return sum_of_warp(threadIdx.x % 32 < ALONG / 32 ? parts[threadIdx.x % 32] : 0.0f);
}

// A row's numbers, of a length of one where that is wanted.
__device__ __forceinline__ void view(float* to, const float* from, int width, bool unit) {
    float sum = 0.0f;
    for (int at = threadIdx.x; at < width; at += ALONG) sum += from[at] * from[at];
    float by = unit ? 1.0f / (sqrtf(fmaxf(sum_of_block(sum), LEAST * LEAST)) + LEAST) : 1.0f;
    for (int at = threadIdx.x; at < width; at += ALONG) to[at] = from[at] * by;
}

// A block for each row and head; only that of a text's first row does anything. A column of the state is for a number of values.
extern "C" __global__ void __launch_bounds__(ALONG) learn_along(
    const float* views, const int* slots, const int* places, float* state, Number* out, int rows, int heads, int width, int across, int stride, float rate) {
    __shared__ float query[HEAD], key[HEAD], value[HEAD];
    int row = blockIdx.x, head = blockIdx.y, slot = slots[row];
    if (row > 0 && slots[row - 1] == slot) return;
    bool three = across == 3 * heads * width;
    state += ((i64)slot * heads + head) * width * width;
    for (; row < rows && slots[row] == slot; row++) {
        const float* own = views + (i64)row * across + head * width;
        __syncthreads();
        view(key, own + (three ? heads * width : 0), width, true);
        __syncthreads();
        if (three) view(query, own, width, true), view(value, own + 2 * heads * width, width, false);
        __syncthreads();
        Number* to = out + (i64)row * stride;
        for (int at = threadIdx.x; at < width; at += ALONG) {
            float answer = 0.0f, off = three ? value[at] : key[at];
            bool first = places[row] == 0;
            for (int k = 0; !first && k < width; k++) {
                float number = state[(i64)k * width + at];
                answer += (three ? query[k] : key[k]) * number, off -= key[k] * number;
            }
            for (int k = 0; k < width; k++) {
                float* number = state + (i64)k * width + at;
                *number = (first ? 0.0f : *number) + rate * off * key[k];
            }
            to[head * width + at] = narrow(answer);
        }
        if (head == 0)
            for (int at = heads * width + threadIdx.x; at < stride; at += ALONG) to[at] = narrow(0.0f);
    }
}

// A thread for each chain of each text.
extern "C" __global__ void __launch_bounds__(ALONG) link_along(
    const float* both, const int* slots, const int* places, const float* potentials, const float* couplings, const float* etas, float* state,
    Number* out, int rows, int chains, int stride, float most) {
    int row = blockIdx.x, chain = blockIdx.y * ALONG + threadIdx.x, slot = slots[row];
    if (row > 0 && slots[row - 1] == slot) return;
    for (; row < rows && slots[row] == slot; row++) {
        Number* to = out + (i64)row * stride;
        if (chain >= chains) {
            if (chains + chain < stride) to[chains + chain] = narrow(0.0f);
            continue;
        }
        float *re = state + ((i64)slot * 2) * chains + chain, *im = re + chains;
        const float* own = both + (i64)row * 2 * chains + chain;
        float x = own[chains] + couplings[chain], coupling = x > 20.0f ? x : log1pf(expf(x));
        bool first = places[row] == 0;
        float below = most * tanhf((own[0] + potentials[chain]) / most) - (first ? 0.0f : *re), beside = -etas[chain] - (first ? 0.0f : *im);
        float inverse = 1.0f / (below * below + beside * beside);
        float found = below * inverse, across = -beside * inverse;
        to[chain] = narrow(found), to[chains + chain] = narrow(across);
        *re = found * coupling, *im = across * coupling;
    }
}

// A vector added to each row.
extern "C" __global__ void __launch_bounds__(ALONG) add_vector(float* x, const float* vector, int width, int stride) {
    x += (i64)blockIdx.x * stride;
    for (int at = threadIdx.x; at < width; at += ALONG) x[at] += vector[at];
}
