// Numbers: how they are kept, and how they are read again. What a model is made of is known before this is compiled: KEPT says
// what its weights are kept as (0: f32, 1: bf16, 2: codes of 8 bits), HEAD how wide a head is, GROUP how many heads of queries
// share one of keys, TOGETHER how many of them a block looks at. So is how all lies in memory: CHUNK numbers of a row are multiplied at
// once and share a scale, TILE rows of a weight; SHARE lanes share a key; NEAR pieces lie near, with APART between rows; a block has
// SHARED bytes of memory of its own; what counts blocks takes COUNTER bytes, and HANDS buffers go round behind it.
typedef unsigned int u32;
typedef unsigned short u16;
typedef signed char i8;
typedef unsigned long long u64;
typedef long long i64;

// A warp's lanes, all of them.
#define ALL 0xffffffffu

// A kernel begins while the one before it still runs, where the GPU can do that. What it does until here, it does with weights alone:
// from here on all is there that was written before.
__device__ __forceinline__ void settle() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Those warps of a block that multiply and attend wait for each other.
template <int WARPS>
__device__ __forceinline__ void meet() {
    asm volatile("bar.sync 1, %0;" ::"n"(WARPS * 32) : "memory");
}

// The next one may begin.
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ __forceinline__ float from_bf16(u16 bits) { return __uint_as_float((u32)bits << 16); }

__device__ __forceinline__ u16 to_bf16(float x) {
    u16 bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

__device__ __forceinline__ float from_half(u16 bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}

__device__ __forceinline__ u16 to_half(float x) {
    u16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

// What rows are multiplied as, and keys and values kept as.
#if KEPT == 0
typedef float Number;
__device__ __forceinline__ float wide(Number x) { return x; }
__device__ __forceinline__ Number narrow(float x) { return x; }
#else
typedef u16 Number;
__device__ __forceinline__ float wide(Number x) { return from_bf16(x); }
__device__ __forceinline__ Number narrow(float x) { return to_bf16(x); }
#endif

__device__ __forceinline__ float sum_of_warp(float x) {
    for (int far = 16; far > 0; far /= 2) x += __shfl_xor_sync(ALL, x, far);
    return x;
}

// Where a number of a weight lies. Those that a warp multiplies at once lie side by side, in the order of its lanes, so that a
// weight is read from end to end: of a tile of 16 rows and a chunk of 32 numbers, each lane has 8 of one row and the same 8 of the
// row 8 below it. In bf16 two of one row and two of the other lie by turns, as tensor cores take them, and the second half of them behind
// the first half of all lanes. In f32 rows lie one behind the other.
__device__ __forceinline__ i64 place_of(int row, int at, int chunks) {
#if KEPT == 0
    return (i64)row * chunks * CHUNK + at;
#else
    int within = row % TILE, k = at % CHUNK;
    i64 block = (i64)(row / TILE) * chunks + at / CHUNK, lane = (within % 8) * 4 + k / 8;
    if (KEPT == 1) return ((block * 2 + k % 8 / 4) * 32 + lane) * 8 + k % 4 / 2 * 4 + within / 8 * 2 + k % 2;
    return ((block * 32 + lane) * 2 + within / 8) * 8 + k % 8;
#endif
}

// Where the scale of a row's codes lies.
__device__ __forceinline__ i64 scale_of(int row, int chunk, int chunks) {
    return ((i64)(row / TILE) * chunks + chunk) * TILE + row % TILE;
}
