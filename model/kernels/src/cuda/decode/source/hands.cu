// What one task of a step hands to the next. It lies there in its own order, over zeros; so whoever reads a number sees whether it has
// come, and nobody waits until all that was written is known to be everywhere.
#if KEPT != 0 && SHARED > 0

// They go round: one is written, one is read, and one has zeros written.
struct Hands {
    uint4* all;
    int pieces;

    __device__ __forceinline__ uint4* of(int task) const { return all + (i64)(task % HANDS) * pieces; }
};

// Where a task takes what it reads from: from where it stays, or from hand to hand.
struct Hand {
    const uint4* from;
    bool over;

    __device__ __forceinline__ const uint4* of(const void* stays) const { return over ? from : (const uint4*)stays; }
};

// Reads what others may be writing.
__device__ __forceinline__ uint4 read_now(const uint4* from) {
    uint4 x;
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "l"(from) : "memory");
    return x;
}

__device__ __forceinline__ float read_now(const float* from) {
    float x;
    asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];" : "=f"(x) : "l"(from) : "memory");
    return x;
}

__device__ __forceinline__ u32 read_now(const u32* from) {
    u32 x;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(x) : "l"(from) : "memory");
    return x;
}

// Whether a number of these is zero: in f32, or in 16 bits.
__device__ __forceinline__ bool lacks_one(uint4 x) { return !x.x || !x.y || !x.z || !x.w; }
__device__ __forceinline__ u32 zero_half(u32 x) { return (x - 0x00010001u) & ~x & 0x80008000u; }
__device__ __forceinline__ bool lacks_half(uint4 x) { return zero_half(x.x) | zero_half(x.y) | zero_half(x.z) | zero_half(x.w); }

// A warp has chunks of its own, each eighth one, of so many pieces; this is which of all pieces its piece `at` is.
template <int EACH>
__device__ __forceinline__ int piece_of(int at) {
    return (at / EACH * WARPS + threadIdx.x / 32) * EACH + at % EACH;
}

// What a lane multiplies its first numbers by, where rows are left to a norm.
__device__ __forceinline__ void norm_ahead(const Given& given, Ahead& ahead) {
    const float4* norm = (const float4*)given.norm;
    int lane = threadIdx.x % 32, first = piece_of<8>(lane), second = piece_of<8>(lane + 32);
    if (first < given.chunks * 8) ahead.low = norm[first];
    if (second < given.chunks * 8) ahead.high = norm[second];
}

// Brings a warp's own chunks of rows near. Nobody else multiplies by them, so nobody else is waited for.
template <bool NORM>
__device__ __forceinline__ void bring_own(const Given& given, const uint4* from, bool handed, Near<WARPS>& near, uint4* rows,
                                          const Ahead& ahead) {
    // Pieces of 16 bytes: four numbers before their norm, and eight where there is none.
    constexpr int EACH = NORM ? 8 : 4, AHEAD = 4;
    int chunks = given.chunks, apart = chunks * 4 + APART, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int pieces = (chunks + WARPS - 1 - warp) / WARPS * EACH;
    for (int row = 0; row < given.rows; row++, from += chunks * EACH) {
        float sum = 0.0f;
        for (int begin = lane; begin < pieces; begin += AHEAD * 32) {
            // All that is read is under way before any of it is needed.
            uint4 some[AHEAD];
            bool lacks[AHEAD], any;
#pragma unroll
            for (int at = 0; at < AHEAD; at++) lacks[at] = begin + at * 32 < pieces;
            do {
#pragma unroll
                for (int at = 0; at < AHEAD; at++)
                    if (lacks[at]) some[at] = read_now(from + piece_of<EACH>(begin + at * 32));
                any = false;
#pragma unroll
                for (int at = 0; at < AHEAD; at++) {
                    lacks[at] = lacks[at] && handed && (NORM ? lacks_one(some[at]) : lacks_half(some[at]));
                    any |= lacks[at];
                }
            } while (any);
#pragma unroll
            for (int at = 0; at < AHEAD; at++) {
                if (begin + at * 32 >= pieces) continue;
                int piece = piece_of<EACH>(begin + at * 32);
                if (NORM) {
                    float4 a = as_numbers(some[at]), b = begin >= 32 || at > 1 ? ((const float4*)given.norm)[piece] : at ? ahead.high : ahead.low;
                    sum += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w;
                    ((uint2*)(rows + row * apart))[piece] = make_uint2(two_narrow(a.x * b.x, a.y * b.y), two_narrow(a.z * b.z, a.w * b.w));
                } else {
                    rows[row * apart + piece] = some[at];
                }
            }
        }
        if (NORM) sum = sum_of_warp(sum);
        if (NORM && lane == 0) near.squares[warp][row] = sum;
    }
    __syncwarp();
}
#endif
