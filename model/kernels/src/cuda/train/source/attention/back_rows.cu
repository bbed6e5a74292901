// What the way back of attention needs of each row before all else, and of STEP rows together.
#define THREADS 256
#define LANES (PIECES <= 2 ? 2 : PIECES <= 4 ? 4 : PIECES <= 8 ? 8 : PIECES <= 16 ? 16 : 32)

__device__ __forceinline__ float times(u32 x, u32 y) {
    return __uint_as_float(x << 16) * __uint_as_float(y << 16) + __uint_as_float(x & 0xffff0000u) * __uint_as_float(y & 0xffff0000u);
}

// Of each row the logarithm of its sum, as the exponent of 2 takes it, and its output times the output's gradient; of each step the
// smallest and the largest start.
extern "C" __global__ void __launch_bounds__(THREADS)
attend_back_rows(const u16* __restrict__ out, const u16* __restrict__ grad, const float* __restrict__ lse, const int* __restrict__ starts,
                 float2* __restrict__ rows, int2* __restrict__ bounds, const __grid_constant__ Params p) {
    // How many rows are under way at once.
    constexpr int AHEAD = 4, SIDE = THREADS / LANES;
    int tokens = p.tokens, heads = p.heads, steps = (tokens + STEP - 1) / STEP, lane = threadIdx.x % LANES;
    int step = blockIdx.x % steps, item = blockIdx.x / steps, count = min(STEP, tokens - step * STEP) * heads;
    i64 base = ((i64)item * tokens + step * STEP) * heads;
    for (int begin = 0; begin < count; begin += SIDE * AHEAD) {
        uint4 x[AHEAD], y[AHEAD];
#pragma unroll
        for (int n = 0; n < AHEAD; n++) {
            int which = begin + n * SIDE + threadIdx.x / LANES;
            i64 at = (base + min(which, count - 1)) * PIECES + min(lane, PIECES - 1);
            x[n] = ((const uint4*)out)[at], y[n] = ((const uint4*)grad)[at];
        }
#pragma unroll
        for (int n = 0; n < AHEAD; n++) {
            int which = begin + n * SIDE + threadIdx.x / LANES;
            float sum = times(x[n].x, y[n].x) + times(x[n].y, y[n].y) + times(x[n].z, y[n].z) + times(x[n].w, y[n].w);
            if (lane >= PIECES) sum = 0.0f;
#pragma unroll
            for (int far = LANES / 2; far > 0; far /= 2) sum += __shfl_xor_sync(ALL, sum, far);
            if (which < count && lane == 0) {
                i64 at = ((i64)item * heads + which % heads) * tokens + step * STEP + which / heads;
                rows[at] = make_float2(lse[at] * LOG2_E, sum);
            }
        }
    }
    if (threadIdx.x >= 32) return;
    int least = 0x7fffffff, most = 0;
    for (int token = step * STEP + threadIdx.x; token < min(tokens, (step + 1) * STEP); token += 32) {
        int start = starts[(i64)item * tokens + token];
        least = min(least, start), most = max(most, start);
    }
    least = __reduce_min_sync(ALL, least), most = __reduce_max_sync(ALL, most);
    if (threadIdx.x == 0) bounds[(i64)item * steps + step] = make_int2(least, most);
}
