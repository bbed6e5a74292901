// What the kernels of attention share on Hopper: a warpgroup, four warps, multiplies 64 rows of its own with rows or columns that lie
// in shared memory, and does other things meanwhile. HEAD is 64 or 128.
typedef unsigned long long u64;
// Rows lie in blocks of 64 columns, 128 bytes wide, whose pieces change places from row to row so that eight rows lie in all banks.
__device__ __forceinline__ u32 place_of(int row, int piece, int rows) {
    return piece / 8 * rows * 128 + row * 128 + ((piece % 8) ^ (row % 8)) * 16;
}

// Brings ROWS rows of one head, each thread its own pieces of them; behind the last token lie zeros.
template <int TALL, int THREAD_COUNT>
__device__ __forceinline__ void fetch_tile(u32 to, const u16* from, int first, int tokens, int stride) {
    constexpr int SIDE = THREAD_COUNT / PIECES, TIMES = (TALL + SIDE - 1) / SIDE;
    static_assert(SIDE % 8 == 0, "a thread's pieces change places alike");
    int row = threadIdx.x / PIECES, piece = threadIdx.x % PIECES;
    to += place_of(row, piece, TALL);
    const u16* at = from + (i64)(first + row) * stride + piece * 8;
    if (first + TALL <= tokens) {
#pragma unroll
        for (int n = 0; n < TIMES; n++, at += SIDE * stride)
            if (TALL % SIDE == 0 || n * SIDE + row < TALL)
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + n * SIDE * 128), "l"(at) : "memory");
    } else {
#pragma unroll
        for (int n = 0; n < TIMES; n++) {
            int token = first + row + n * SIDE;
            if (TALL % SIDE == 0 || n * SIDE + row < TALL)
                fetch<16>(to + n * SIDE * 128, from + (i64)min(token, tokens - 1) * stride + piece * 8, token < tokens);
        }
    }
}

// What was brought is there, also for tensor cores, which read by a way of their own; all threads must say so before any goes on.
__device__ __forceinline__ void settle_all() {
    settle<0>();
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
}
// A warpgroup waits for its own warps.
__device__ __forceinline__ void settle_team() { asm volatile("bar.sync %0, 128;" ::"r"(1 + threadIdx.x / 128) : "memory"); }

// How tensor cores find rows: where they begin, and how far blocks of columns are apart; the rest says that eight rows take 1024 bytes.
__device__ __forceinline__ u32 describe(u32 address, u32 apart) { return (apart / 16) << 16 | (address & 0x3ffff) / 16; }
#define EIGHT_ROWS "0x40000040"

__device__ __forceinline__ void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void end_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// All products are ready but the last LEFT ones.
template <int LEFT>
__device__ __forceinline__ void wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}
// Nobody reads sums before this.
template <int COUNT>
__device__ __forceinline__ void hold(float (&sums)[COUNT][4]) {
#pragma unroll
    for (int n = 0; n < COUNT; n++)
#pragma unroll
        for (int at = 0; at < 4; at++) asm volatile("" : "+f"(sums[n][at])::"memory");
}

#define FOUR(x, n) "+f"(x[n][0]), "+f"(x[n][1]), "+f"(x[n][2]), "+f"(x[n][3])
#define SUMS_32(x) FOUR(x, 0), FOUR(x, 1), FOUR(x, 2), FOUR(x, 3)
#define SUMS_64(x) SUMS_32(x), FOUR(x, 4), FOUR(x, 5), FOUR(x, 6), FOUR(x, 7)
#define SUMS_128(x) SUMS_64(x), FOUR(x, 8), FOUR(x, 9), FOUR(x, 10), FOUR(x, 11), FOUR(x, 12), FOUR(x, 13), FOUR(x, 14), FOUR(x, 15)
#define NUMBERS_32 \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}"
#define NUMBERS_64 \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define NUMBERS_128 \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"

// 64 rows times COUNT rows, 16 numbers of each: sums anew, or added to where `add` says so.
#define PRODUCT(count, here, right, add)                                                                                            \
    __device__ __forceinline__ void product(float (&sums)[count / 8][4], u32 left, u32 others, int more) {                           \
        asm volatile("{\n.reg .pred p;\n.reg .b64 a, b;\nsetp.ne.b32 p, %" add ", 0;\n"                                                \
                     "mov.b64 a, {%" here ", " EIGHT_ROWS "};\nmov.b64 b, {%" right ", " EIGHT_ROWS "};\n"                           \
                     "wgmma.mma_async.sync.aligned.m64n" #count "k16.f32.bf16.bf16 " NUMBERS_##count ", a, b, p, 1, 1, 0, 0;\n}"       \
                                                                                                              \
                     : SUMS_##count(sums) : "r"(left), "r"(others), "r"(more));                                                      \
    }
#define PRODUCT_KEPT(count, one, two, three, four, right, add, turned)                                                              \
    template <int TURNED>                                                                                                            \
    __device__ __forceinline__ void product(float (&sums)[count / 8][4], const u32 (&left)[4], u32 others, int more) {               \
        asm volatile("{\n.reg .pred p;\n.reg .b64 b;\nsetp.ne.b32 p, %" add ", 0;\n"                                                   \
                     "mov.b64 b, {%" right ", " EIGHT_ROWS "};\n"                                                                    \
                     "wgmma.mma_async.sync.aligned.m64n" #count "k16.f32.bf16.bf16 " NUMBERS_##count ", {%" one ", %" two ", %" three  \
                     ", %" four "}, b, p, 1, 1, %" turned ";\n}"                                                             \
                     : SUMS_##count(sums)                                                                                           \
                     : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(others), "r"(more), "n"(TURNED));        \
    }
PRODUCT(32, "16", "17", "18")
PRODUCT_KEPT(32, "16", "17", "18", "19", "20", "21", "22")
PRODUCT(64, "32", "33", "34")
PRODUCT_KEPT(64, "32", "33", "34", "35", "36", "37", "38")
PRODUCT(128, "64", "65", "66")
PRODUCT_KEPT(128, "64", "65", "66", "67", "68", "69", "70")

// A warpgroup's own 64 rows of a block's TALL ones: read by tensor cores or, where KEPT says so, once by its warps.
template <int TALL, int KEPT>
struct Own {
    u32 from;
    u32 kept[KEPT ? HEAD / 16 : 1][4];

    __device__ __forceinline__ Own(u32 tile) { from = describe(tile + threadIdx.x / 128 * 64 * 128, 0); }
    __device__ __forceinline__ void keep(u32 tile) {
        if constexpr (KEPT != 0) {
#pragma unroll
            for (int depth = 0; depth < HEAD / 16; depth++)
                read(kept[depth], tile + place_of(threadIdx.x / 32 * 16 + threadIdx.x % 16, depth * 2 + threadIdx.x % 32 / 16, TALL));
        }
    }
};

// Own rows times the COUNT rows of a tile.
template <int COUNT, int TALL, int KEPT>
__device__ __forceinline__ void with_rows(float (&sums)[COUNT / 8][4], const Own<TALL, KEPT>& own, u32 tile) {
    u32 others = describe(tile, 0);
    begin_products();
#pragma unroll
    for (int depth = 0; depth < HEAD / 16; depth++) {
        u32 right = others + (depth / 4 * COUNT * 128 + depth % 4 * 32) / 16;
        if constexpr (KEPT != 0) product<0>(sums, own.kept[depth], right, depth > 0);
        else product(sums, own.from + (depth / 4 * TALL * 128 + depth % 4 * 32) / 16, right, depth > 0);
    }
    end_products();
}

// Numbers of own rows times the columns of a tile of COUNT rows, added up.
template <int COUNT>
__device__ __forceinline__ void with_columns(float (&sums)[HEAD / 8][4], const u32 (&own)[COUNT / 16][4], u32 tile) {
    u32 others = describe(tile, COUNT * 128);
    begin_products();
#pragma unroll
    for (int depth = 0; depth < COUNT / 16; depth++) product<1>(sums, own[depth], others + depth * 16 * 128 / 16, 1);
    end_products();
}

// Sums of a product as the left side of the next.
template <int COUNT>
__device__ __forceinline__ void narrow(u32 (&to)[COUNT / 16][4], const float (&from)[COUNT / 8][4]) {
#pragma unroll
    for (int n = 0; n < COUNT / 16; n++)
#pragma unroll
        for (int part = 0; part < 4; part++) {
            const float* two = from[2 * n + part / 2] + part % 2 * 2;
            to[n][part] = two_narrow(two[0], two[1]);
        }
}

// Writes a warp's 16 rows of sums, each times its scale, by way of a tile of TALL rows that nobody needs any more.
template <int TALL>
__device__ __forceinline__ void give_rows(const float (&sums)[HEAD / 8][4], const float (&scale)[2], char* tile, u16* to, int first,
                                          int tokens, int stride) {
    int lane = threadIdx.x % 32, own = threadIdx.x / 32 * 16;
#pragma unroll
    for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
        for (int half = 0; half < 2; half++)
            *(u32*)(tile + place_of(own + half * 8 + lane / 4, n, TALL) + lane % 4 * 4) =
                two_narrow(sums[n][half * 2] * scale[half], sums[n][half * 2 + 1] * scale[half]);
    __syncwarp();
#pragma unroll
    for (int at = lane; at < 16 * PIECES; at += 32) {
        int row = at / PIECES, piece = at % PIECES, token = first + own + row;
        if (token < tokens) *(uint4*)(to + (i64)token * stride + piece * 8) = *(const uint4*)(tile + place_of(own + row, piece, TALL));
    }
}

// The smallest and the largest start among a warpgroup's rows, and the smallest of the block.
struct Reach {
    int least, most, least_of_all;

    __device__ __forceinline__ Reach(int2* room, int one, int two, int warps) {
        int2 mine = make_int2(__reduce_min_sync(ALL, min(one, two)), __reduce_max_sync(ALL, max(one, two)));
        if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = mine;
        __syncthreads();
        least = least_of_all = 0x7fffffff, most = 0;
        for (int warp = 0; warp < warps; warp++) {
            int2 there = room[warp];
            least_of_all = min(least_of_all, there.x);
            if (warp / 4 == threadIdx.x / 128) least = min(least, there.x), most = max(most, there.y);
        }
        // Nobody reads this again from shared memory.
        asm volatile("" : "+r"(least), "+r"(most), "+r"(least_of_all));
    }
};
