// Sums in an order that is always the same.
struct Sums {
    u32 rows;
    u32 width;
};

// The sum of all rows: 32 columns a block, 32 threads a column.
extern "C" __global__ void __launch_bounds__(1024) sum_rows(
    const float* __restrict__ rows, float* __restrict__ sum, const __grid_constant__ Sums sums) {
    __shared__ float shared[32][33];
    u32 column = blockIdx.x * 32 + threadIdx.x % 32, share = threadIdx.x / 32;
    float own = 0.0f;
    if (column < sums.width) {
#pragma unroll 8
        for (u32 row = share; row < sums.rows; row += 32) own += rows[(i64)row * sums.width + column];
    }
    shared[share][threadIdx.x % 32] = own;
    __syncthreads();
    if (share == 0 && column < sums.width) {
        own = 0.0f;
        for (int other = 0; other < 32; other++) own += shared[other][threadIdx.x];
        sum[column] = own;
    }
}

struct Squares {
    Side side;
    // Where the first block writes.
    i64 first;
};

// The squares of each block's numbers.
extern "C" __global__ void __launch_bounds__(256) square_parts(
    EACH_OF(const Number*, x), float* __restrict__ parts, const __grid_constant__ Squares squares) {
    __shared__ float shared[8];
    const Number* const all[SIDE] = {ALL_OF(x)};
    Share share(squares.side);
    const Number* x = share.of(all);
    i64 pieces = share.count / EACH, stride = (i64)share.blocks * 256;
    float sum = 0.0f;
    for (i64 piece = share.block * 256 + threadIdx.x; piece < pieces; piece += stride) {
        float own[EACH];
        load(x + piece * EACH, own);
#pragma unroll
        for (int e = 0; e < EACH; e++) sum += own[e] * own[e];
    }
    if (share.block == 0) {
        i64 at = pieces * EACH + threadIdx.x;
        if (at < share.count) sum += one(x[at]) * one(x[at]);
    }
    sum = sum_of_block(sum, shared);
    if (threadIdx.x == 0) parts[squares.first + blockIdx.x] = sum;
}

struct Few {
    i64 count;
};

// The sum of numbers that are not many, by one block.
extern "C" __global__ void __launch_bounds__(256) sum_all(
    const float* __restrict__ x, float* __restrict__ sum, const __grid_constant__ Few few) {
    __shared__ float shared[8];
    float own = 0.0f;
    for (i64 at = threadIdx.x; at < few.count; at += 256) own += x[at];
    own = sum_of_block(own, shared);
    if (threadIdx.x == 0) *sum = own;
}

struct Clip {
    i64 count;
    // What the norm may be, where it is more than nothing.
    float most;
};

// By what a step's gradients are multiplied, their norm, and the loss, by one block. No number where one of these is none, or where
// there was none before.
extern "C" __global__ void __launch_bounds__(1024) clip(
    const float* __restrict__ squares, const float* loss, const float* before, float* clipped, const __grid_constant__ Clip clip) {
    __shared__ double shared[32];
    double own = 0.0;
    for (i64 at = threadIdx.x; at < clip.count; at += 1024) own += squares[at];
    for (int far = 16; far > 0; far /= 2) own += __shfl_xor_sync(ALL, own, far);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = own;
    __syncthreads();
    if (threadIdx.x != 0) return;
    double sum = 0.0;
    for (int warp = 0; warp < 32; warp++) sum += shared[warp];
    float norm = (float)sqrt(sum), scale = 1.0f;
    if (clip.most > 0.0f && norm > clip.most) scale = clip.most / norm;
    // Nothing but a finite number less itself is nothing.
    bool well = norm - norm == 0.0f && *loss - *loss == 0.0f && *before == *before;
    clipped[0] = well ? scale : __int_as_float(0x7fffffff);
    clipped[1] = norm;
    clipped[2] = *loss;
}
