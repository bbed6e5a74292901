// Few rows of x times a weight, as a model that writes one text has them.
#if KEPT != 0

// What the warps of a block have in common, besides all rows of x, at most eight: what each warp has of a tile.
template <int WARPS>
struct Near {
    float4 parts[2][WARPS][32];
    float squares[WARPS][8];
    u64 best[8];
};

// Brings rows of x near. `first` is what was read before x was there.
template <bool NORM, int WARPS>
__device__ __forceinline__ void bring(const Given& given, Near<WARPS>& near, uint4* rows, const Ahead& first) {
    constexpr int AHEAD = 4, THREADS = WARPS * 32;
    int pieces = given.chunks * 4, apart = pieces + APART;
    for (int row = 0; row < given.rows; row++) {
        float sum = 0.0f;
        for (int begin = threadIdx.x; begin < pieces; begin += AHEAD * THREADS) {
            // All that is read is under way before any of it is needed.
            uint4 some[AHEAD];
#pragma unroll
            for (int at = 0; at < AHEAD; at++) {
                int piece = begin + at * THREADS;
                if (piece >= pieces) continue;
                if (NORM) some[at] = eight_of_norm(given, row, piece * 8, piece == threadIdx.x ? first : norm_of(given, piece), sum);
                else some[at] = eight_of(given, row, piece * 8);
            }
#pragma unroll
            for (int at = 0; at < AHEAD; at++)
                if (begin + at * THREADS < pieces) rows[row * apart + begin + at * THREADS] = some[at];
        }
        if (NORM) sum = sum_of_warp(sum);
        if (NORM && threadIdx.x % 32 == 0) near.squares[threadIdx.x / 32][row] = sum;
    }
}

// What the products of a row are multiplied by, whose norm was left to them.
template <int WARPS>
__device__ __forceinline__ float root_of(const Given& given, const Near<WARPS>& near, int row) {
    float sum = 0.0f;
    for (int one = 0; one < WARPS; one++) sum += near.squares[one][min(row, given.rows - 1)];
    return rsqrtf(sum / given.width + given.epsilon);
}

__device__ __forceinline__ float4 by_root(float4 sum, const float* roots) {
    return make_float4(sum.x * roots[0], sum.y * roots[1], sum.z * roots[0], sum.w * roots[1]);
}

// Adds up what all warps have of a tile. Each time another warp does, and knows it by what comes back; the others go on, and write
// elsewhere until all have met again.
template <int WARPS>
__device__ __forceinline__ bool add_up(Near<WARPS>& near, int turn, float* sums, float4& sum) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    near.parts[turn % 2][warp][lane] = make_float4(sums[0], sums[1], sums[2], sums[3]);
    sums[0] = sums[1] = sums[2] = sums[3] = 0.0f;
    meet<WARPS>();
    if (warp != turn % WARPS) return false;
    sum = near.parts[turn % 2][0][lane];
    for (int one = 1; one < WARPS; one++) sum = plus(sum, near.parts[turn % 2][one][lane]);
    return true;
}

// A block goes from tile to tile: the weights of the next one are on their way while what its warps have of this one is added up.
template <bool NORM>
__device__ __forceinline__ void near(const Given& given) {
    constexpr int WARPS = 8, AHEAD = 8, PIECES = KEPT == 1 ? 2 : 1;
    __shared__ Near<WARPS> near;
    __shared__ uint4 rows[NEAR];
    int chunks = given.chunks, lane = threadIdx.x % 32, group = lane / 4, four = lane % 4, warp = threadIdx.x / 32;
    int tiles = (given.wide + TILE - 1) / TILE, groups = (chunks + WARPS * AHEAD - 1) / (WARPS * AHEAD);
    int own = min(group, given.rows - 1) * (chunks * 4 + APART) + four;
    uint4 pieces[AHEAD][PIECES];
    u16 scale[AHEAD][2] = {};
    auto load = [&](int tile, int part) {
#pragma unroll
        for (int at = 0; at < AHEAD; at++) {
            i64 place = (i64)tile * chunks + min((part * AHEAD + at) * WARPS + warp, chunks - 1);
#pragma unroll
            for (int piece = 0; piece < PIECES; piece++)
                pieces[at][piece] = read_once(given.weight + (place * PIECES + piece) * 32 + lane);
            if (KEPT == 2) scale[at][0] = given.scales[place * TILE + group], scale[at][1] = given.scales[place * TILE + group + 8];
        }
    };
    let_next_begin();
    // The first weights are on their way before there is anything to multiply them by.
    load(blockIdx.x, 0);
    Ahead first = {};
    if (NORM && threadIdx.x < chunks * 4) first = norm_of(given, threadIdx.x);
    settle();
    bring<NORM>(given, near, rows, first);
    meet<WARPS>();
    float roots[2] = {1.0f, 1.0f};
    if (NORM) roots[0] = root_of(given, near, four * 2), roots[1] = root_of(given, near, four * 2 + 1);
    float sums[4] = {};
    int turn = 0;
    auto ask = [&](int tile) { return warp == turn % WARPS ? there_already(given, four * 2, tile, group) : make_float4(0.0f, 0.0f, 0.0f, 0.0f); };
    float4 there = ask(blockIdx.x);
    for (int tile = blockIdx.x, part = 0; tile < tiles;) {
#pragma unroll
        for (int at = 0; at < AHEAD; at++) {
            int chunk = (part * AHEAD + at) * WARPS + warp;
            uint4 eight = rows[own + min(chunk, chunks - 1) * 4];
            // Behind the end weights are multiplied by nothing.
            if (chunk >= chunks) eight = make_uint4(0, 0, 0, 0);
            Tile(pieces[at], scale[at]).multiply(sums, eight);
        }
        bool whole = ++part == groups;
        int next = whole ? tile + gridDim.x : tile;
        if (whole) part = 0;
        if (next < tiles) load(next, part);
        float4 sum;
        if (whole && add_up(near, turn++, sums, sum)) give(given, four * 2, tile, group, plus(by_root(sum, roots), there));
        if (whole && next < tiles) there = ask(next);
        tile = next;
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) near_product(const __grid_constant__ Given given) { near<false>(given); }
extern "C" __global__ void __launch_bounds__(256, 2) near_product_norm(const __grid_constant__ Given given) { near<true>(given); }
#endif
