// RMSNorm and its way back. WIDTH numbers are a row; LANES threads share one, each has PIECES times EACH numbers of it. ADDED says
// whether the gradient of a row is added to what there is of it, AGAIN whether what the norm gave is given once more.
#define ROWS (256 / LANES)

struct Norm {
    u32 rows;
    float epsilon;
};

// What the threads of a row add up to. All of a block come here together.
__device__ __forceinline__ float sum_of_row(float x, float* shared) {
    for (int far = (LANES < 32 ? LANES : 32) / 2; far > 0; far /= 2) x += __shfl_xor_sync(ALL, x, far);
#if LANES > 32
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    int first = threadIdx.x / LANES * (LANES / 32);
    x = 0.0f;
    for (int warp = 0; warp < LANES / 32; warp++) x += shared[first + warp];
#endif
    return x;
}

__device__ __forceinline__ int place_of(int piece) { return (piece * LANES + threadIdx.x % LANES) * EACH; }

extern "C" __global__ void __launch_bounds__(256) rms_norm(
    const Number* __restrict__ x, const float* __restrict__ weight, Number* __restrict__ y, const __grid_constant__ Norm norm) {
    __shared__ float shared[8];
    u32 row = blockIdx.x * ROWS + threadIdx.x / LANES;
    bool there = row < norm.rows;
    float own[PIECES][EACH], squares = 0.0f;
#pragma unroll
    for (int piece = 0; piece < PIECES; piece++) {
        int at = place_of(piece);
        if (!there || at >= WIDTH) continue;
        load(x + (i64)row * WIDTH + at, own[piece]);
#pragma unroll
        for (int e = 0; e < EACH; e++) squares += own[piece][e] * own[piece][e];
    }
    float scale = rsqrtf(sum_of_row(squares, shared) / WIDTH + norm.epsilon);
#pragma unroll
    for (int piece = 0; piece < PIECES; piece++) {
        int at = place_of(piece);
        if (!there || at >= WIDTH) continue;
        float w[EACH];
        load(weight + at, w);
#pragma unroll
        for (int e = 0; e < EACH; e++) own[piece][e] *= scale * w[e];
        store(y + (i64)row * WIDTH + at, own[piece]);
    }
}

// Each block has rows of its own, far apart, and adds up what they say of the weight: one row of `parts` a block.
extern "C" __global__ void __launch_bounds__(256, 3) rms_norm_back(
    const Number* __restrict__ x, const float* __restrict__ weight, const Number* __restrict__ grad, Number* __restrict__ of_x,
    float* __restrict__ parts,
#if ADDED
    const Number* __restrict__ so_far,
#endif
#if AGAIN
    Number* __restrict__ y,
#endif
    const __grid_constant__ Norm norm) {
    __shared__ float shared[8];
    __shared__ float sums[WIDTH];
    float of_weight[PIECES][EACH] = {};
    for (u32 first = blockIdx.x * ROWS; first < norm.rows; first += gridDim.x * ROWS) {
        u32 row = first + threadIdx.x / LANES;
        bool there = row < norm.rows;
        // As they lie in memory, which takes half as many registers.
        uint4 own[PIECES], grads[PIECES];
        float squares = 0.0f, along = 0.0f;
#pragma unroll
        for (int piece = 0; piece < PIECES; piece++) {
            int at = place_of(piece);
            if (!there || at >= WIDTH) continue;
            own[piece] = *(const uint4*)(x + (i64)row * WIDTH + at);
            grads[piece] = *(const uint4*)(grad + (i64)row * WIDTH + at);
        }
#pragma unroll
        for (int piece = 0; piece < PIECES; piece++) {
            int at = place_of(piece);
            if (!there || at >= WIDTH) continue;
            float w[EACH], one[EACH], g[EACH];
            load(weight + at, w);
            open(own[piece], one);
            open(grads[piece], g);
#pragma unroll
            for (int e = 0; e < EACH; e++) {
                squares += one[e] * one[e];
                along += one[e] * g[e] * w[e];
            }
        }
        float scale = rsqrtf(sum_of_row(squares, shared) / WIDTH + norm.epsilon);
        along = sum_of_row(along, shared) * scale * scale / WIDTH;
#pragma unroll
        for (int piece = 0; piece < PIECES; piece++) {
            int at = place_of(piece);
            if (!there || at >= WIDTH) continue;
            float w[EACH], one[EACH], g[EACH], out[EACH];
            load(weight + at, w);
            open(own[piece], one);
            open(grads[piece], g);
#pragma unroll
            for (int e = 0; e < EACH; e++) {
                out[e] = (g[e] * w[e] - one[e] * along) * scale;
                of_weight[piece][e] += g[e] * one[e] * scale;
            }
#if AGAIN
#pragma unroll
            for (int e = 0; e < EACH; e++) one[e] *= scale * w[e];
            store(y + (i64)row * WIDTH + at, one);
#endif
#if ADDED
            float more[EACH];
            load(so_far + (i64)row * WIDTH + at, more);
#pragma unroll
            for (int e = 0; e < EACH; e++) out[e] += more[e];
#endif
            store(of_x + (i64)row * WIDTH + at, out);
        }
    }
    // One group of threads after the other, so that the sum has an order.
    for (int group = 0; group < ROWS; group++) {
        if (threadIdx.x / LANES == group) {
#pragma unroll
            for (int piece = 0; piece < PIECES; piece++) {
                int at = place_of(piece);
                if (at >= WIDTH) continue;
#pragma unroll
                for (int e = 0; e < EACH; e++) sums[at + e] = (group ? sums[at + e] : 0.0f) + of_weight[piece][e];
            }
        }
        __syncthreads();
    }
    for (int at = threadIdx.x; at < WIDTH; at += 256) parts[(i64)blockIdx.x * WIDTH + at] = sums[at];
}
