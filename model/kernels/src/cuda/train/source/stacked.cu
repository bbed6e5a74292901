// Weights in one type, one behind the other. FROM_NARROW says whether they are bf16.
#if FROM_NARROW
typedef u16 From;
#else
typedef float From;
#endif

// Where each one ends, in pieces of eight numbers.
struct Ends {
    u32 first, second, third;
};

__device__ __forceinline__ void store(float* to, const float (&x)[8]) {
    *(float4*)to = make_float4(x[0], x[1], x[2], x[3]);
    *(float4*)(to + 4) = make_float4(x[4], x[5], x[6], x[7]);
}

extern "C" __global__ void __launch_bounds__(256) stacked(
    const From* __restrict__ first, const From* __restrict__ second, const From* __restrict__ third, Number* __restrict__ y,
    const __grid_constant__ Ends ends) {
    u32 piece = blockIdx.x * 256 + threadIdx.x;
    if (piece >= ends.third) return;
    const From* from = piece < ends.first ? first : piece < ends.second ? second : third;
    u32 begin = piece < ends.first ? 0 : piece < ends.second ? ends.first : ends.second;
    float x[8];
    load(from + (i64)(piece - begin) * 8, x);
    store(y + (i64)piece * 8, x);
}
