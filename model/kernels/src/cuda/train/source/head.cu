// The loss of rows of logits, and the gradient, which is written over them. VOCABULARY numbers are a row; STEP of them are read at
// once: EACH, or one where rows do not begin at a place for that.
struct Head {
    float cross_entropy;
    float focal;
    float gamma;
    float smooth;
    float epsilon;
    float z;
    // What each token's loss counts.
    float share;
    // Whether the gradient is asked for.
    u32 back;
};

#define THREADS 512
#define NONE (-100)

#if STEP == 1
__device__ __forceinline__ void load(const Number* from, float (&x)[1]) { x[0] = one(*from); }
__device__ __forceinline__ void store(Number* to, const float (&x)[1]) { put(to, x[0]); }
#endif

__device__ __forceinline__ float largest_of_block(float x, float* shared) {
    for (int far = 16; far > 0; far /= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, far));
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    for (int warp = 0; warp < THREADS / 32; warp++) x = fmaxf(x, shared[warp]);
    return x;
}

// A block has a row.
extern "C" __global__ void __launch_bounds__(THREADS) loss_rows(
    Number* logits, const int* __restrict__ labels, float* __restrict__ losses, float* __restrict__ plain,
    const __grid_constant__ Head head) {
    __shared__ float shared[THREADS / 32];
    Number* row = logits + (i64)blockIdx.x * VOCABULARY;
    int label = labels[blockIdx.x];
    if (label == NONE) {
        float nothing[STEP] = {};
        if (head.back)
            for (int at = threadIdx.x * STEP; at < VOCABULARY; at += THREADS * STEP) store(row + at, nothing);
        if (threadIdx.x == 0) losses[blockIdx.x] = plain[blockIdx.x] = 0.0f;
        return;
    }
    // The sum of exponentials, against the largest number so far.
    float largest = -1e30f, sum = 0.0f, all = 0.0f;
    for (int at = threadIdx.x * STEP; at < VOCABULARY; at += THREADS * STEP) {
        float x[STEP], most = largest;
        load(row + at, x);
#pragma unroll
        for (int e = 0; e < STEP; e++) most = fmaxf(most, x[e]);
        sum *= __expf(largest - most);
        largest = most;
#pragma unroll
        for (int e = 0; e < STEP; e++) {
            sum += __expf(x[e] - largest);
            all += x[e];
        }
    }
    float most = largest_of_block(largest, shared);
    sum = sum_of_block(sum * __expf(largest - most), shared);
    float lse = logf(sum) + most, entropy = lse - one(row[label]), p = expf(-entropy);
    float off = head.epsilon / (VOCABULARY > 1 ? VOCABULARY - 1 : 1);
    if (head.smooth != 0.0f) all = sum_of_block(all, shared);

    // What is left of certainty, kept from zero so that its powers exist.
    float rest = fmaxf(1.0f - p, 1e-30f), focal = 0.0f, steep = 0.0f;
    if (head.focal != 0.0f) {
        focal = powf(rest, head.gamma);
        steep = focal + powf(rest, head.gamma - 1.0f) * p * entropy * head.gamma;
    }
    if (threadIdx.x == 0) {
        float loss = entropy * (head.cross_entropy + head.smooth * (1.0f - head.epsilon)) + focal * entropy * head.focal +
            lse * lse * head.z;
        if (head.smooth != 0.0f) loss += (lse * VOCABULARY - all - entropy) * head.smooth * off;
        losses[blockIdx.x] = loss * head.share;
        plain[blockIdx.x] = entropy * head.share;
    }
    if (!head.back) return;
    // A multiple of the probabilities, less a constant, with an entry of its own at the label.
    float pull = steep * head.focal + head.cross_entropy + head.smooth;
    float push = (pull + lse * 2.0f * head.z) * head.share, less = head.smooth * off * head.share;
    float at_label = (head.smooth * (head.epsilon + off) - pull) * head.share;
    // All have read the label's logit.
    __syncthreads();
    for (int at = threadIdx.x * STEP; at < VOCABULARY; at += THREADS * STEP) {
        float x[STEP];
        load(row + at, x);
#pragma unroll
        for (int e = 0; e < STEP; e++) x[e] = __expf(x[e] - lse) * push - less + (at + e == label ? at_label : 0.0f);
        store(row + at, x);
    }
}
