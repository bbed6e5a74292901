// What the kernels of attention share: how rows lie in shared memory, how tensor cores multiply them, and which block does what.
// HEAD says how wide a head is (a multiple of 16, up to 256), GROUP how many heads of queries share one of keys.
typedef unsigned int u32;
typedef unsigned short u16;
typedef long long i64;

#define ALL 0xffffffffu
// The exponent that the hardware has is that of 2.
#define LOG2_E 1.44269504088896340736f
#define LN_2 0.693147180559945309417f
#define NOTHING (-__int_as_float(0x7f800000))
// Sixteen bytes are read and written at once.
#define PIECES (HEAD / 8)
// Rows lie apart by an odd number of pieces, so that eight of them, one below the other, lie in different banks.
#define WIDE (HEAD + 8)

struct Params {
    int batch, tokens, heads;
    // How many heads are gone through at once: as many as the cache keeps keys and values of.
    int section;
    float scale;
    // Numbers of a row of queries, keys and values, which lie side by side.
    int row;
};

// Which rows of which head a block has. Of a section's blocks those of one tile come side by side, so that the longest come first.
struct Place {
    int tile, head, item;

    __device__ __forceinline__ Place(int tiles, int heads, int batch, int section) {
        int all = heads * batch, index = blockIdx.x, begin = index / (section * tiles) * section;
        int count = min(section, all - begin), rest = index - begin * tiles, which = begin + rest % count;
        tile = rest / count, head = which % heads, item = which / heads;
    }
};

__device__ __forceinline__ float power(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ u32 two_narrow(float first, float second) {
    u32 two;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(second), "f"(first));
    return two;
}

// The larger one, whoever comes first: bits of numbers from 0 on order as integers do, those of numbers below the other way round.
__device__ __forceinline__ void raise(float* to, float x) {
    if (__float_as_int(x) >= 0) atomicMax((int*)to, __float_as_int(x));
    else atomicMin((u32*)to, __float_as_uint(x));
}

__device__ __forceinline__ u32 address_of(const void* x) { return (u32)__cvta_generic_to_shared(x); }

// Brings bytes to shared memory while other work goes on; zeros where there is nothing to bring.
template <int BYTES>
__device__ __forceinline__ void fetch(u32 to, const void* from, bool there) {
    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(BYTES), "r"(there ? BYTES : 0) : "memory");
}
__device__ __forceinline__ void fetched() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LEFT>
__device__ __forceinline__ void settle() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

// Brings ROWS rows of one head; behind the last token lie zeros.
template <int ROWS, int THREADS>
__device__ __forceinline__ void fetch_rows(u32 to, const u16* from, int first, int tokens, int stride) {
#pragma unroll
    for (int begin = 0; begin < ROWS * PIECES; begin += THREADS) {
        int at = begin + threadIdx.x, row = at / PIECES, piece = at % PIECES, token = first + row;
        if (begin + THREADS <= ROWS * PIECES || at < ROWS * PIECES)
            fetch<16>(to + (row * WIDE + piece * 8) * 2, from + (i64)min(token, tokens - 1) * stride + piece * 8, token < tokens);
    }
}

__device__ __forceinline__ void read(u32 (&to)[4], u32 from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(from) : "memory");
}
__device__ __forceinline__ void read_turned(u32 (&to)[4], u32 from) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(from) : "memory");
}
__device__ __forceinline__ void multiply(float (&sums)[4], const u32 (&left)[4], u32 upper, u32 lower) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(upper), "r"(lower));
}

// Where a lane begins to read a block of 16 by 16: as the left side of a product, or as its turned right side.
__device__ __forceinline__ u32 as_left() { return (threadIdx.x % 16 * WIDE + threadIdx.x % 32 / 16 * 8) * 2; }
// The same as a right side whose rows are multiplied with rows.
__device__ __forceinline__ u32 as_right() {
    int lane = threadIdx.x % 32;
    return ((lane % 8 + lane / 16 * 8) * WIDE + lane / 8 % 2 * 8) * 2;
}

// A warp's own rows, TALL times sixteen, read again for every product or, where KEPT says so, once.
template <int TALL, int KEPT>
struct Rows {
    u32 from, kept[KEPT ? HEAD / 16 : 1][TALL][4];

    __device__ __forceinline__ void get(u32 (&to)[TALL][4], int depth) const {
#pragma unroll
        for (int band = 0; band < TALL; band++) read(to[band], from + (band * 16 * WIDE + depth * 16) * 2);
    }
    __device__ __forceinline__ void keep() {
        if constexpr (KEPT != 0) {
#pragma unroll
            for (int depth = 0; depth < HEAD / 16; depth++) get(kept[depth], depth);
        }
    }
};

// Own rows times others' rows, COUNT of them.
template <int TALL, int COUNT, int KEPT>
__device__ __forceinline__ void with_rows(float (&sums)[TALL][COUNT / 8][4], const Rows<TALL, KEPT>& own, u32 others) {
#pragma unroll
    for (int depth = 0; depth < HEAD / 16; depth++) {
        u32 left[TALL][4], right[4];
        if constexpr (KEPT == 0) own.get(left, depth);
#pragma unroll
        for (int n = 0; n < COUNT / 16; n++) {
            read(right, others + (n * 16 * WIDE + depth * 16) * 2);
#pragma unroll
            for (int band = 0; band < TALL; band++) {
                if constexpr (KEPT != 0) {
                    multiply(sums[band][2 * n], own.kept[depth][band], right[0], right[1]);
                    multiply(sums[band][2 * n + 1], own.kept[depth][band], right[2], right[3]);
                } else {
                    multiply(sums[band][2 * n], left[band], right[0], right[1]);
                    multiply(sums[band][2 * n + 1], left[band], right[2], right[3]);
                }
            }
        }
    }
}

// Sums of a product as the left side of the next: what a lane has of the one is what it needs for the other.
template <int TALL, int COUNT>
__device__ __forceinline__ void narrow(u32 (&to)[TALL][COUNT / 16][4], const float (&from)[TALL][COUNT / 8][4]) {
#pragma unroll
    for (int band = 0; band < TALL; band++)
#pragma unroll
        for (int n = 0; n < COUNT / 16; n++)
#pragma unroll
            for (int part = 0; part < 4; part++) {
                const float* two = from[band][2 * n + part / 2] + part % 2 * 2;
                to[band][n][part] = two_narrow(two[0], two[1]);
            }
}

// Numbers of own rows times the first WIDTH columns of others' rows, COUNT of them; columns from `end` on are not there.
template <int TALL, int COUNT, int WIDTH>
__device__ __forceinline__ void with_columns(float (&sums)[TALL][WIDTH / 8][4], const u32 (&own)[TALL][COUNT / 16][4], u32 others,
                                             int end = WIDTH) {
#pragma unroll
    for (int depth = 0; depth < COUNT / 16; depth++)
#pragma unroll
        for (int n = 0; n < WIDTH / 16; n++) {
            if (n * 16 >= end) continue;
            u32 right[4];
            read_turned(right, others + (depth * 16 * WIDE + n * 16) * 2);
#pragma unroll
            for (int band = 0; band < TALL; band++) {
                multiply(sums[band][2 * n], own[band][depth], right[0], right[1]);
                multiply(sums[band][2 * n + 1], own[band][depth], right[2], right[3]);
            }
        }
}

// Writes a warp's rows of sums, each times its scale, by way of shared memory where only this warp reads and writes.
template <int TALL, int WIDTH>
__device__ __forceinline__ void give_rows(const float (&sums)[TALL][WIDTH / 8][4], const float (&scale)[TALL][2], u16* own, u16* to,
                                          int first, int tokens, int stride, int end = WIDTH) {
    int lane = threadIdx.x % 32;
    __syncwarp();
#pragma unroll
    for (int band = 0; band < TALL; band++)
#pragma unroll
        for (int n = 0; n < WIDTH / 8; n++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                if (n * 8 >= end) continue;
                u32* at = (u32*)(own + (band * 16 + half * 8 + lane / 4) * WIDE + n * 8 + lane % 4 * 2);
                *at = two_narrow(sums[band][n][half * 2] * scale[band][half], sums[band][n][half * 2 + 1] * scale[band][half]);
            }
    __syncwarp();
    int pieces = end / 8;
    for (int at = lane; at < TALL * 16 * pieces; at += 32) {
        int row = at / pieces, piece = at % pieces;
        if (first + row < tokens) *(uint4*)(to + (i64)(first + row) * stride + piece * 8) = *(const uint4*)(own + row * WIDE + piece * 8);
    }
}
