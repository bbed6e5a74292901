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

struct Many {
    i64 count;
    // Where the first block writes.
    u32 first;
};

// The squares of each block's numbers.
extern "C" __global__ void __launch_bounds__(256) square_parts(
    const Number* __restrict__ x, float* __restrict__ parts, const __grid_constant__ Many many) {
    __shared__ float shared[8];
    i64 pieces = many.count / EACH, stride = (i64)gridDim.x * 256;
    float sum = 0.0f;
    for (i64 piece = blockIdx.x * 256 + threadIdx.x; piece < pieces; piece += stride) {
        float own[EACH];
        load(x + piece * EACH, own);
#pragma unroll
        for (int e = 0; e < EACH; e++) sum += own[e] * own[e];
    }
    if (blockIdx.x == 0) {
        i64 at = pieces * EACH + threadIdx.x;
        if (at < many.count) sum += one(x[at]) * one(x[at]);
    }
    sum = sum_of_block(sum, shared);
    if (threadIdx.x == 0) parts[many.first + blockIdx.x] = sum;
}

// The sum of numbers that are not many, by one block.
extern "C" __global__ void __launch_bounds__(256) sum_all(
    const float* __restrict__ x, float* __restrict__ sum, const __grid_constant__ Many many) {
    __shared__ float shared[8];
    float own = 0.0f;
    for (i64 at = threadIdx.x; at < many.count; at += 256) own += x[at];
    own = sum_of_block(own, shared);
    if (threadIdx.x == 0) *sum = own;
}
