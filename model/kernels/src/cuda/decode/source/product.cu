// Rows times weights: what products in all ways share.

// What becomes of the products: they are stored; or added to what is there; or the two of a pair are joined; or the number of each row's
// largest is all that is wanted; or they are stored as what is multiplied next.
#define STORE 0
#define ADD 1
#define GATE 2
#define BEST 3
#define INNER 4

__device__ __forceinline__ float gated(float gate, float up) { return gate / (1.0f + __expf(-gate)) * up; }

// Weights are read once, and only what is multiplied by them need stay near.
__device__ __forceinline__ uint4 read_once(const uint4* from) {
    uint4 x;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "l"(from));
    return x;
}

__device__ __forceinline__ void fetch(const uint4* from) { asm volatile("prefetch.global.L2 [%0];" ::"l"(from)); }

__device__ __forceinline__ float4 plus(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }

__device__ __forceinline__ float4 as_numbers(uint4 x) {
    return make_float4(__uint_as_float(x.x), __uint_as_float(x.y), __uint_as_float(x.z), __uint_as_float(x.w));
}

// Where a number is handed over, zero says that it has not come yet; so a zero goes as a negative one.
__device__ __forceinline__ float not_zero(float x) { return x == 0.0f ? -0.0f : x; }
__device__ __forceinline__ u16 not_zero(u16 bits) { return bits ? bits : 0x8000; }

// A number goes to where it stays, and to the same place of what is handed over, if it is.
template <class T>
__device__ __forceinline__ void put(T* out, void* hand, i64 at, T x) {
    if (hand) ((T*)hand)[at] = not_zero(x);
    out[at] = x;
}

// What a product is given. With `norm` rows of x are in f32, and are divided by the root of their mean square and multiplied by these:
// the numbers on the way in, the root on the way out.
struct Given {
    const uint4* weight;
    const u16* scales;
    const void* x;
    const float* norm;
    void* out;
    // Sums of parts of a row, and how many blocks are ready with theirs.
    float4* parts;
    u32* ready;
    int rows, width, wide, chunks, stride, way;
    float epsilon;
    // The block that has the first tile, where a step is one kernel.
    int first;
};
