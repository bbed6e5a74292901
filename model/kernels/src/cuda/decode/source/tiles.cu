// Rows times weights, by tensor cores. What it costs to use a model is to read its weights; so each is read once for up to 64 rows.
#if KEPT != 0
// Tensor cores multiply 16 rows of a weight by 8 rows of x, 16 numbers of each at once. In which order numbers are added up is
// theirs to choose as long as it is the same on both sides: so each lane has 8 numbers that lie side by side, for two products.
__device__ __forceinline__ void multiply(float* sums, const u32* weight, const u32* x) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(weight[0]), "r"(weight[1]), "r"(weight[2]), "r"(weight[3]), "r"(x[0]), "r"(x[1]));
}

__device__ __forceinline__ u32 two_narrow(float first, float second) {
    u32 two;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(second), "f"(first));
    return two;
}

// Two codes of 8 bits as two numbers. In bf16 those from 128 to 256 are one apart, so a code's last seven bits behind the bits of
// 128 are the code and 128, or 256 where it is negative; that is taken off again.
__device__ __forceinline__ u32 two_of(u32 codes, u32 which) {
    u32 spread = __byte_perm(codes, 0, which), shifted = (spread & 0x007f007fu) | 0x43004300u;
    u32 off = (spread & 0x00800080u) | 0xc300c300u, two, one = 0x3f803f80u;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(two) : "r"(shifted), "r"(one), "r"(off));
    return two;
}

// What a lane has of a tile of weights: numbers of one row, and those of the row 8 below it.
struct Tile {
    u32 low[4], high[4];
    float above, below;

    __device__ __forceinline__ Tile(const uint4* pieces, const u16* scale) {
#if KEPT == 1
        low[0] = pieces[0].x, low[1] = pieces[0].y, low[2] = pieces[0].z, low[3] = pieces[0].w;
        high[0] = pieces[1].x, high[1] = pieces[1].y, high[2] = pieces[1].z, high[3] = pieces[1].w;
#else
        uint4 codes = pieces[0];
        low[0] = two_of(codes.x, 0x4140), low[1] = two_of(codes.z, 0x4140);
        low[2] = two_of(codes.x, 0x4342), low[3] = two_of(codes.z, 0x4342);
        high[0] = two_of(codes.y, 0x4140), high[1] = two_of(codes.w, 0x4140);
        high[2] = two_of(codes.y, 0x4342), high[3] = two_of(codes.w, 0x4342);
        above = from_half(scale[0]), below = from_half(scale[1]);
#endif
    }

    __device__ __forceinline__ void multiply(float* sums, uint4 eight) const { multiply(sums, sums, eight); }

    // Sums that do not wait for each other may be two.
    __device__ __forceinline__ void multiply(float* sums, float* others, uint4 eight) const {
        u32 left[2] = {eight.x, eight.y}, right[2] = {eight.z, eight.w};
#if KEPT == 1
        ::multiply(sums, low, left);
        ::multiply(others, high, right);
#else
        float part[4] = {};
        ::multiply(part, low, left);
        ::multiply(part, high, right);
        sums[0] += part[0] * above, sums[1] += part[1] * above;
        sums[2] += part[2] * below, sums[3] += part[3] * below;
#endif
    }
};

// Eight numbers of a row of x, as they are multiplied.
__device__ __forceinline__ uint4 eight_of(const Given& given, int row, int at) {
    return *(const uint4*)((const u16*)given.x + (i64)row * given.chunks * CHUNK + at);
}

// What a thread multiplies the first eight numbers of its own by, where rows are left to a norm.
struct Ahead {
    float4 low, high;
};

__device__ __forceinline__ Ahead norm_of(const Given& given, int piece) {
    const float4* norm = (const float4*)(given.norm + piece * 8);
    return {norm[0], norm[1]};
}

// The same of rows that a norm is left to; adds their squares up.
__device__ __forceinline__ uint4 eight_of_norm(const Given& given, int row, int at, const Ahead& norm, float& squares) {
    const float4* x = (const float4*)((const float*)given.x + (i64)row * given.chunks * CHUNK + at);
    float4 a = x[0], b = x[1], c = norm.low, d = norm.high;
    squares += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w + b.x * b.x + b.y * b.y + b.z * b.z + b.w * b.w;
    return make_uint4(two_narrow(a.x * c.x, a.y * c.y), two_narrow(a.z * c.z, a.w * c.w), two_narrow(b.x * d.x, b.y * d.y),
                      two_narrow(b.z * d.z, b.w * d.w));
}

// What products are added to, in the order of their sums.
__device__ __forceinline__ float4 there_already(const Given& given, int row, int tile, int group) {
    int column = tile * TILE + group, stride = given.stride;
    const float* at = (const float*)given.out + (i64)row * stride + column;
    bool add = given.way == ADD, upper = column < given.wide, lower = column + 8 < given.wide;
    bool one = add && row < given.rows, two = add && row + 1 < given.rows;
    return make_float4(one && upper ? at[0] : 0.0f, two && upper ? at[stride] : 0.0f, one && lower ? at[8] : 0.0f,
                       two && lower ? at[stride + 8] : 0.0f);
}

// `hand` is where else they go, where they are handed over.
__device__ __forceinline__ void give(const Given& given, int row, int tile, int group, float4 sum, void* hand = nullptr) {
    int stride = given.stride;
    bool first = row < given.rows, second = row + 1 < given.rows;
    if (given.way == GATE) {
        i64 at = (i64)row * stride + tile * 8 + group;
        if (first) put((u16*)given.out, hand, at, to_bf16(gated(sum.x, sum.z)));
        if (second) put((u16*)given.out, hand, at + stride, to_bf16(gated(sum.y, sum.w)));
        return;
    }
    int column = tile * TILE + group;
    i64 at = (i64)row * stride + column;
    bool upper = column < given.wide, lower = column + 8 < given.wide;
    if (given.way == INNER) {
        u16* out = (u16*)given.out;
        if (first && upper) put(out, hand, at, to_bf16(sum.x));
        if (second && upper) put(out, hand, at + stride, to_bf16(sum.y));
        if (first && lower) put(out, hand, at + 8, to_bf16(sum.z));
        if (second && lower) put(out, hand, at + stride + 8, to_bf16(sum.w));
        return;
    }
    float* out = (float*)given.out;
    if (first && upper) put(out, hand, at, sum.x);
    if (second && upper) put(out, hand, at + stride, sum.y);
    if (first && lower) put(out, hand, at + 8, sum.z);
    if (second && lower) put(out, hand, at + stride + 8, sum.w);
}

__device__ __forceinline__ void give_all(const Given& given, int row, int tile, int group, float4 sum) {
    give(given, row, tile, group, plus(sum, there_already(given, row, tile, group)));
}

// A block multiplies TILES times 16 rows of a weight by COUNT times 8 rows of x. Its eight warps share out the tiles, and the numbers
// of a row, which several blocks may share too.
template <int COUNT, int TILES>
__device__ __forceinline__ void product(const Given& given) {
    constexpr int WARPS = 8 / TILES, AHEAD = COUNT == 1 ? 8 : COUNT == 8 ? 2 : 4, PIECES = KEPT == 1 ? 2 : 1;
    int chunks = given.chunks, lane = threadIdx.x % 32, group = lane / 4, four = lane % 4, first = blockIdx.y * COUNT * 8;
    int tile = blockIdx.x * TILES + threadIdx.x / 32 % TILES, warp = threadIdx.x / 32 / TILES;
    int step = WARPS * gridDim.z, begin = blockIdx.z * WARPS + warp;
    i64 block = (i64)min(tile, (given.wide + TILE - 1) / TILE - 1) * chunks;
    float sums[COUNT][4] = {};
    let_next_begin();
    // The first weights are on their way before there is anything to multiply them by.
    if (lane % 4 == 0)
        for (int chunk = begin; chunk < min(chunks, begin + AHEAD * step); chunk += step)
            fetch(given.weight + ((block + chunk) * 32 + lane) * PIECES);
    settle();
    for (; begin < chunks; begin += AHEAD * step) {
        // All that is read is under way before any of it is needed.
        uint4 pieces[AHEAD][PIECES], eights[AHEAD][COUNT];
        u16 scale[AHEAD][2] = {};
#pragma unroll
        for (int at = 0; at < AHEAD; at++) {
            int chunk = min(begin + at * step, chunks - 1);
#pragma unroll
            for (int piece = 0; piece < PIECES; piece++)
                pieces[at][piece] = read_once(given.weight + ((block + chunk) * PIECES + piece) * 32 + lane);
            if (KEPT == 2) {
                scale[at][0] = given.scales[(block + chunk) * TILE + group];
                scale[at][1] = given.scales[(block + chunk) * TILE + group + 8];
            }
        }
#pragma unroll
        for (int at = 0; at < AHEAD; at++)
#pragma unroll
            for (int n = 0; n < COUNT; n++) {
                int chunk = begin + at * step, row = min(first + n * 8 + group, given.rows - 1);
                eights[at][n] = eight_of(given, row, min(chunk, chunks - 1) * CHUNK + four * 8);
                // Behind the end weights are multiplied by nothing.
                if (chunk >= chunks) eights[at][n] = make_uint4(0, 0, 0, 0);
            }
#pragma unroll
        for (int at = 0; at < AHEAD; at++) {
            Tile weights(pieces[at], scale[at]);
#pragma unroll
            for (int n = 0; n < COUNT; n++) weights.multiply(sums[n], eights[at][n]);
        }
    }
    // What warps have is added up in their order, and then what blocks have.
    __shared__ float4 parts[WARPS][TILES][COUNT][32];
    __shared__ bool last;
    for (int n = 0; n < COUNT; n++)
        parts[warp][threadIdx.x / 32 % TILES][n][lane] = make_float4(sums[n][0], sums[n][1], sums[n][2], sums[n][3]);
    __syncthreads();
    i64 own = ((i64)blockIdx.y * gridDim.x + blockIdx.x) * TILES * COUNT * 32, all = (i64)gridDim.y * gridDim.x * TILES * COUNT * 32;
    for (int at = threadIdx.x; at < TILES * COUNT * 32; at += 256) {
        int there = at / 32 / COUNT, n = at / 32 % COUNT, lane = at % 32, row = lane % 4 * 2;
        float4 sum = parts[0][there][n][lane];
        for (int warp = 1; warp < WARPS; warp++) sum = plus(sum, parts[warp][there][n][lane]);
        if (gridDim.z > 1) given.parts[blockIdx.z * all + own + at] = sum;
        else give_all(given, first + n * 8 + row, blockIdx.x * TILES + there, lane / 4, sum);
    }
    if (gridDim.z == 1) return;
    u32* ready = given.ready + blockIdx.y * gridDim.x + blockIdx.x;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(ready, 1) == gridDim.z - 1;
    __syncthreads();
    if (!last) return;
    __threadfence();
    if (threadIdx.x == 0) *ready = 0;
    for (int at = threadIdx.x; at < TILES * COUNT * 32; at += 256) {
        float4 sum = __ldcg(given.parts + own + at);
        for (int split = 1; split < gridDim.z; split++) sum = plus(sum, __ldcg(given.parts + split * all + own + at));
        int lane = at % 32;
        give_all(given, first + at / 32 % COUNT * 8 + lane % 4 * 2, blockIdx.x * TILES + at / 32 / COUNT, lane / 4, sum);
    }
}

#define PRODUCT(name, count, tiles)                                                                          \
    extern "C" __global__ void __launch_bounds__(256, 2) name(const __grid_constant__ Given given) {         \
        product<count, tiles>(given);                                                                        \
    }

PRODUCT(product_1, 1, 1)
PRODUCT(product_2, 2, 4)
PRODUCT(product_4, 4, 4)
PRODUCT(product_8, 8, 4)
#endif
