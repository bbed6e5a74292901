// Products of the rows of each matrix of a stack with each other or, where TURNED says so, of its columns, or with those of another matrix
// where that is known to be symmetric, on Hopper. A block makes a tile on the diagonal or above it, and writes it to both places. ADDED: the
// matrix, symmetric too, is added, and a number on the diagonal. What a matrix is short of a norm of one may be made up for on the way.
typedef unsigned long long u64;

// Rows and columns of a tile, and numbers that are summed at a time.
#define SIDE 128
#define DEEP 64
// Bytes of what a side of a tile needs of them.
#define HALF (SIDE * DEEP * 2)
// How many of both are there or on their way.
#define STAGES 3

struct Gram {
    // Numbers from one matrix to the next, and from one result to the next.
    i64 apart;
    i64 result_apart;
    // Rows and columns of a result.
    u32 side;
    u32 steps;
    float times;
    float added;
    float on_diagonal;
    // How often a result is divided by the norm of its matrix, how many sums of squares that is found by, and what it is at least.
    u32 normed;
    u32 shares;
    float smallest;
};

// Rows lie in blocks of 64 columns, 128 bytes wide, whose pieces change places from row to row so that eight rows lie in all banks.
__device__ __forceinline__ u32 place_of(int row, int piece, int rows) {
    return piece / 8 * rows * 128 + row * 128 + ((piece % 8) ^ (row % 8)) * 16;
}

// Brings ROWS rows of so many pieces of 16 bytes. Those of a thread change places alike.
template <int ROWS, int PIECES>
__device__ __forceinline__ void fetch(u32 to, const u16* from, u32 stride) {
    constexpr int NEXT = 256 / PIECES;
    u32 row = threadIdx.x / PIECES, piece = threadIdx.x % PIECES;
    to += place_of(row, piece, ROWS);
    from += (i64)row * stride + piece * 8;
#pragma unroll
    for (int n = 0; n < ROWS / NEXT; n++, from += NEXT * stride)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + n * NEXT * 128), "l"(from) : "memory");
}
// What was brought is there, but for the last LEFT times, also for tensor cores, which read by a way of their own.
template <int LEFT>
__device__ __forceinline__ void settle() {
    asm volatile("cp.async.wait_group %0;\nfence.proxy.async.shared::cta;" ::"n"(LEFT) : "memory");
    __syncthreads();
}

// How tensor cores find rows: where they begin, and how far blocks of columns are apart; the rest says that eight rows take 1024 bytes.
__device__ __forceinline__ u32 describe(u32 address, u32 apart) { return (apart / 16) << 16 | (address & 0x3ffff) / 16; }

#define FOUR(n) "+f"(sums[n][0]), "+f"(sums[n][1]), "+f"(sums[n][2]), "+f"(sums[n][3])
// A warpgroup's 64 rows of 16 numbers times 128 others: sums anew, or added to where `more` says so.
__device__ __forceinline__ void product(float (&sums)[16][4], u32 left, u32 right, int more) {
    asm volatile(
        "{\n.reg .pred p;\n.reg .b64 a, b;\nsetp.ne.b32 p, %66, 0;\nmov.b64 a, {%64, 0x40000040};\nmov.b64 b, {%65, 0x40000040};\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, a, b, p, 1, 1, %67, %67;\n}"
        : FOUR(0), FOUR(1), FOUR(2), FOUR(3), FOUR(4), FOUR(5), FOUR(6), FOUR(7), FOUR(8), FOUR(9), FOUR(10), FOUR(11), FOUR(12),
          FOUR(13), FOUR(14), FOUR(15)
        : "r"(left), "r"(right), "r"(more), "n"(TURNED));
}

extern "C" __global__ void __launch_bounds__(256, 2)
gram(const u16* from, const u16* with, u16* to, const float* parts, const __grid_constant__ Gram g) {
    extern __shared__ __align__(1024) char shared[];
    u32 begin = (u32)__cvta_generic_to_shared(shared), row = 0, column = blockIdx.x, rest = g.side / SIDE;
    for (; column >= rest; rest--, row++) column -= rest;
    column += row;
    // One side is the other.
    bool diagonal = row == column, alike = diagonal && with == from;
    u32 stride = TURNED ? g.side : g.steps * DEEP;
    const u16 *own = from + blockIdx.y * g.apart, *other = with + blockIdx.y * g.apart;
    auto bring = [&](u32 step) {
        u32 place = begin + step % STAGES * 2 * HALF;
        if (step < g.steps) {
#if TURNED
            i64 at = (i64)step * DEEP * stride;
            fetch<DEEP, SIDE / 8>(place, own + at + row * SIDE, stride);
            if (!alike) fetch<DEEP, SIDE / 8>(place + HALF, other + at + column * SIDE, stride);
#else
            fetch<SIDE, DEEP / 8>(place, own + step * DEEP + (i64)row * SIDE * stride, stride);
            if (!alike) fetch<SIDE, DEEP / 8>(place + HALF, other + step * DEEP + (i64)column * SIDE * stride, stride);
#endif
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    };
    bring(0);
    bring(1);
    float by = 1.0f;
    if (g.normed) {
        float sum = 0.0f;
        for (u32 share = threadIdx.x; share < g.shares; share += 256) sum += parts[blockIdx.y * g.shares + share];
        // Nothing comes to the third stage before all have settled.
        by = 1.0f / (sqrtf(sum_of_block(sum, (float*)(shared + 2 * 2 * HALF))) + g.smallest);
        if (g.normed == 2) by *= by;
    }

    float sums[16][4];
    u32 team = threadIdx.x / 128, warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    for (u32 step = 0; step < g.steps; step++) {
        settle<1>();
        u32 left = begin + step % STAGES * 2 * HALF, right = alike ? left : left + HALF;
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
        for (int depth = 0; depth < DEEP / 16; depth++) {
#if TURNED
            u32 next = depth * 16 * 128, apart = DEEP * 128;
#else
            u32 next = depth * 16 * 2, apart = 0;
#endif
            // Both ways a team's own 64 rows or columns are 64 rows of 128 bytes.
            product(sums, describe(left + team * 64 * 128 + next, apart), describe(right + next, apart), step + depth > 0);
        }
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        // Where that goes, all have been through with since they settled.
        bring(step + 2);
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
        // Nobody reads sums before this.
#pragma unroll
        for (int n = 0; n < 16; n++)
#pragma unroll
            for (int at = 0; at < 4; at++) asm volatile("" : "+f"(sums[n][at])::"memory");
    }
    float times = g.times * by, added = g.added * by, on_diagonal = g.on_diagonal * by;
    // A tile as it is, where what is added comes to lie, and one that is turned.
    char* tile = shared + g.steps % STAGES * 2 * HALF;
#if ADDED
    fetch<SIDE, SIDE / 8>(begin + g.steps % STAGES * 2 * HALF, own + (i64)row * SIDE * stride + column * SIDE, stride);
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
    settle<0>();
    u32 turned = begin + (g.steps + 1) % STAGES * 2 * HALF;
#pragma unroll
    for (int n = 0; n < 16; n += 2) {
        u32 two[4];
#pragma unroll
        for (int at = 0; at < 4; at++) {
            const float* pair = sums[n + at / 2] + at % 2 * 2;
            u32* place = (u32*)(tile + place_of(team * 64 + warp * 16 + at % 2 * 8 + lane / 4, n + at / 2, SIDE) + lane % 4 * 4);
            float first = pair[0] * times, second = pair[1] * times;
#if ADDED
            first += __uint_as_float(*place << 16) * added;
            second += __uint_as_float(*place & 0xffff0000u) * added;
            if (diagonal) {
                int beyond = (n + at / 2) * 8 + lane % 4 * 2 - (team * 64 + warp * 16 + at % 2 * 8 + lane / 4);
                if (beyond == 0) first += on_diagonal;
                if (beyond == -1) second += on_diagonal;
            }
#endif
            two[at] = pair_of(first, second);
            *place = two[at];
        }
        if (diagonal) continue;
        u32 place = turned + place_of((n + lane / 16) * 8 + lane % 8, team * 8 + warp * 2 + lane / 8 % 2, SIDE);
        asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(place), "r"(two[0]),
                     "r"(two[1]), "r"(two[2]), "r"(two[3])
                     : "memory");
    }
    __syncthreads();
    u16* out = to + blockIdx.y * g.result_apart;
    const char* mirrored = shared + (g.steps + 1) % STAGES * 2 * HALF;
#pragma unroll
    for (int n = 0; n < SIDE * SIDE / 8 / 256; n++) {
        int at = n * 256 + threadIdx.x, down = at / (SIDE / 8), piece = at % (SIDE / 8);
        u32 place = place_of(down, piece, SIDE);
        *(uint4*)(out + (i64)(row * SIDE + down) * g.side + column * SIDE + piece * 8) = *(const uint4*)(tile + place);
        if (!diagonal) *(uint4*)(out + (i64)(column * SIDE + down) * g.side + row * SIDE + piece * 8) = *(const uint4*)(mirrored + place);
    }
}
