// Numbers: how rows are kept, and how they are read and written 16 bytes at a time. NARROW says whether they are bf16; sums are
// made in f32 either way.
typedef unsigned int u32;
typedef unsigned short u16;
typedef long long i64;

// A warp's lanes, all of them.
#define ALL 0xffffffffu

__device__ __forceinline__ float from_bf16(u16 bits) { return __uint_as_float((u32)bits << 16); }

__device__ __forceinline__ u16 to_bf16(float x) {
    u16 bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

// Two of them in a word, the first one low.
__device__ __forceinline__ u32 pair_of(float first, float second) {
    u32 bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
    return bits;
}

// Sixteen bytes as numbers: four of f32, or eight of bf16.
__device__ __forceinline__ void open(uint4 all, float (&x)[4]) {
    x[0] = __uint_as_float(all.x), x[1] = __uint_as_float(all.y), x[2] = __uint_as_float(all.z), x[3] = __uint_as_float(all.w);
}

__device__ __forceinline__ void open(uint4 all, float (&x)[8]) {
    u32 words[4] = {all.x, all.y, all.z, all.w};
#pragma unroll
    for (int at = 0; at < 4; at++) {
        x[2 * at] = __uint_as_float(words[at] << 16);
        x[2 * at + 1] = __uint_as_float(words[at] & 0xffff0000u);
    }
}

__device__ __forceinline__ void load(const float* from, float (&x)[4]) { open(*(const uint4*)from, x); }
__device__ __forceinline__ void load(const u16* from, float (&x)[8]) { open(*(const uint4*)from, x); }

// Eight of a weight that is kept in f32.
__device__ __forceinline__ void load(const float* from, float (&x)[8]) {
    float half[4];
    load(from, half);
#pragma unroll
    for (int at = 0; at < 4; at++) x[at] = half[at];
    load(from + 4, half);
#pragma unroll
    for (int at = 0; at < 4; at++) x[4 + at] = half[at];
}

__device__ __forceinline__ void store(float* to, const float (&x)[4]) {
    *(float4*)to = make_float4(x[0], x[1], x[2], x[3]);
}

__device__ __forceinline__ void store(u16* to, const float (&x)[8]) {
    *(uint4*)to = make_uint4(pair_of(x[0], x[1]), pair_of(x[2], x[3]), pair_of(x[4], x[5]), pair_of(x[6], x[7]));
}

__device__ __forceinline__ float one(float x) { return x; }
__device__ __forceinline__ float one(u16 x) { return from_bf16(x); }
__device__ __forceinline__ void put(float* to, float x) { *to = x; }
__device__ __forceinline__ void put(u16* to, float x) { *to = to_bf16(x); }

#if NARROW
typedef u16 Number;
#define EACH 8
#else
typedef float Number;
#define EACH 4
#endif

// The sum of a block's numbers, the same in every thread, added up in an order that is always the same. `shared` has one place a
// warp.
__device__ __forceinline__ float sum_of_block(float x, float* shared) {
    for (int far = 16; far > 0; far /= 2) x += __shfl_xor_sync(ALL, x, far);
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0.0f;
    for (int warp = 0; warp < blockDim.x / 32; warp++) sum += shared[warp];
    return sum;
}
