// Products of many small matrices of f32, exact to f32: a block has TILE by TILE numbers of one of them, and each of its threads four by four.
typedef unsigned int u32;
typedef long long i64;

struct Few {
    u32 rows;
    u32 depth;
    u32 columns;
    u32 nothing;
};

#define TILE 64
#define DEPTH 16

extern "C" __global__ void __launch_bounds__(256) multiply_few(
    const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ out, const __grid_constant__ Few few) {
    __shared__ float left[DEPTH][TILE + 4], right[DEPTH][TILE + 4];
    i64 which = blockIdx.x;
    u32 row = blockIdx.y * TILE, column = blockIdx.z * TILE;
    a += which * few.rows * few.depth, b += which * few.depth * few.columns, out += which * few.rows * few.columns;
    u32 x = threadIdx.x % 16, y = threadIdx.x / 16;
    float sums[4][4] = {};
    for (u32 first = 0; first < few.depth; first += DEPTH) {
        for (u32 at = threadIdx.x; at < TILE * DEPTH; at += 256) {
            u32 r = row + at / DEPTH, k = first + at % DEPTH;
            left[at % DEPTH][at / DEPTH] = r < few.rows && k < few.depth ? a[(i64)r * few.depth + k] : 0.0f;
            u32 c = column + at % TILE, l = first + at / TILE;
            right[at / TILE][at % TILE] = c < few.columns && l < few.depth ? b[(i64)l * few.columns + c] : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (u32 k = 0; k < DEPTH; k++) {
            float4 own = *(const float4*)&left[k][4 * y], other = *(const float4*)&right[k][4 * x];
            float l[4] = {own.x, own.y, own.z, own.w}, r[4] = {other.x, other.y, other.z, other.w};
#pragma unroll
            for (u32 i = 0; i < 4; i++)
#pragma unroll
                for (u32 j = 0; j < 4; j++) sums[i][j] = fmaf(l[i], r[j], sums[i][j]);
        }
        __syncthreads();
    }
    for (u32 i = 0; i < 4; i++)
        for (u32 j = 0; j < 4; j++) {
            u32 r = row + 4 * y + i, c = column + 4 * x + j;
            if (r < few.rows && c < few.columns) out[(i64)r * few.columns + c] = sums[i][j];
        }
}
