// Few rows of x times a weight, as a model that writes one text has them.
#if KEPT != 0

// A block has all rows of x near, at most eight, and goes from tile to tile: the weights of the next one are on their way while what
// its eight warps have of this one is added up.
template <bool NORM>
__device__ __forceinline__ void near(const Given& given) {
    constexpr int WARPS = 8, AHEAD = 8, PIECES = KEPT == 1 ? 2 : 1;
    __shared__ uint4 rows[NEAR];
    __shared__ float4 parts[2][WARPS][32];
    __shared__ float squares[WARPS][8];
    int chunks = given.chunks, lane = threadIdx.x % 32, group = lane / 4, four = lane % 4, warp = threadIdx.x / 32;
    int tiles = (given.wide + TILE - 1) / TILE, groups = (chunks + WARPS * AHEAD - 1) / (WARPS * AHEAD);
    int apart = chunks * 4 + APART, own = min(group, given.rows - 1) * apart + four;
    uint4 pieces[AHEAD][PIECES];
    u16 scale[AHEAD][2] = {};
    auto load = [&](int tile, int part) {
#pragma unroll
        for (int at = 0; at < AHEAD; at++) {
            i64 place = (i64)tile * chunks + min((part * AHEAD + at) * WARPS + warp, chunks - 1);
#pragma unroll
            for (int piece = 0; piece < PIECES; piece++)
                pieces[at][piece] = read_once(given.weight + (place * 32 + lane) * PIECES + piece);
            if (KEPT == 2) scale[at][0] = given.scales[place * TILE + group], scale[at][1] = given.scales[place * TILE + group + 8];
        }
    };
    let_next_begin();
    // The first weights are on their way before there is anything to multiply them by.
    load(blockIdx.x, 0);
    settle();
    for (int row = 0; row < given.rows; row++) {
        float sum = 0.0f;
        for (int at = threadIdx.x; at < chunks * 4; at += 256)
            rows[row * apart + at] = NORM ? eight_of_norm(given, row, at * 8, sum) : eight_of(given, row, at * 8);
        if (NORM) sum = sum_of_warp(sum);
        if (NORM && lane == 0) squares[warp][row] = sum;
    }
    __syncthreads();
    float roots[2] = {1.0f, 1.0f};
    for (int two = 0; NORM && two < 2; two++) {
        int row = min(four * 2 + two, given.rows - 1);
        float sum = 0.0f;
        for (int one = 0; one < WARPS; one++) sum += squares[one][row];
        roots[two] = rsqrtf(sum / given.width + given.epsilon);
    }
    float sums[4] = {};
    int turn = 0;
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
        if (whole) {
            parts[turn % 2][warp][lane] = make_float4(sums[0], sums[1], sums[2], sums[3]);
            sums[0] = sums[1] = sums[2] = sums[3] = 0.0f;
            __syncthreads();
            // Each time another warp adds up, and the others go on; they write elsewhere until all have met again.
            if (warp == turn % WARPS) {
                float4 sum = parts[turn % 2][0][lane];
                for (int one = 1; one < WARPS; one++) {
                    float4 more = parts[turn % 2][one][lane];
                    sum.x += more.x, sum.y += more.y, sum.z += more.z, sum.w += more.w;
                }
                sum.x *= roots[0], sum.z *= roots[0], sum.y *= roots[1], sum.w *= roots[1];
                give(given, four * 2, tile, group, sum);
            }
            turn++;
        }
        tile = next;
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) near_product(const __grid_constant__ Given given) { near<false>(given); }
extern "C" __global__ void __launch_bounds__(256, 2) near_product_norm(const __grid_constant__ Given given) { near<true>(given); }
#endif
