// Products where a step is one kernel.
#if KEPT != 0 && SHARED > 0

__device__ __forceinline__ int tiles_of(const Given& given) { return (given.wide + TILE - 1) / TILE; }

// A number and where it stands as one word: the larger the number the larger the word, and of equals that of the first.
__device__ __forceinline__ u64 ranked(float x, int at) {
    u32 bits = __float_as_uint(x);
    return x == x ? (u64)(bits >> 31 ? ~bits : bits | 0x80000000u) << 32 | (u32)~at : 0;
}

// Finds the largest of each row among what all blocks have. Words and the counter are zeros before and after.
__device__ __forceinline__ void find_best(const Given& given, Block& block, const u64* best) {
    u64* near = block.near.best;
    int lane = threadIdx.x % 32;
    if (threadIdx.x < 8) near[threadIdx.x] = 0;
    meet<WARPS>();
    for (int two = 0; two < 2; two++) {
        u64 own = best[two];
        for (int far = 4; far < 32; far *= 2) own = max(own, __shfl_xor_sync(ALL, own, far));
        if (lane < 4) atomicMax(near + lane * 2 + two, own);
    }
    meet<WARPS>();
    if (threadIdx.x >= given.rows) return;
    u64* all = (u64*)given.ready + threadIdx.x * 2;
    atomicMax(all, near[threadIdx.x]);
    __threadfence();
    if (atomicAdd(all + 1, 1) != min(tiles_of(given), (int)gridDim.x) - 1) return;
    __threadfence();
    u64 most = atomicExch(all, 0);
    all[1] = 0;
    ((float*)given.out)[threadIdx.x] = most ? (float)(u32)~(u32)most : 0.0f;
}

// A product of few rows by weights that come. The first of them are held before there is anything to multiply by them.
__device__ __forceinline__ void multiply_whole(const Given& given, Block& block, const Stage* ring, int room, const Ahead& ahead, Held& held,
                                               Place& place, const Hand& taken, void* hand) {
    constexpr int ONCE = Held::ONCE;
    Near<WARPS>& near = block.near;
    uint4* x = (uint4*)block.desk();
    int chunks = given.chunks, lane = threadIdx.x % 32, group = lane / 4, four = lane % 4, warp = threadIdx.x / 32;
    int tiles = tiles_of(given), turn = 0;
    if (first_tile(given.first) >= tiles) return;
    if (given.norm) bring_own<true>(given, taken.of(given.x), taken.over, near, x, ahead);
    else bring_own<false>(given, taken.of(given.x), taken.over, near, x, ahead);
    if (threadIdx.x == 0) block.waits = false;
    float roots[2] = {1.0f, 1.0f};
    bool open[Held::SIDE_BY_SIDE] = {}, holds = true, there_is = group < given.rows;
    u64 best[2] = {};
    // What stands for rows that are not there comes to nothing that is given.
    uint4 eights[ONCE] = {};
    for (int tile = first_tile(given.first); tile < tiles; tile += gridDim.x) {
        float4 there = warp == turn % WARPS ? there_already(given, four * 2, tile, group) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        float sums[4][4] = {};
        const uint4* own = x + group * (chunks * 4 + APART) + warp * 4 + four;
        for (int left = chunks - warp; left + warp > 0; left -= ONCE * WARPS, own += ONCE * WARPS * 4) {
            if (!holds) held.take(block.full, ring, room, place, left + warp, open);
#pragma unroll
            for (int at = 0; at < ONCE; at++)
                if (there_is) eights[at] = own[at * WARPS * 4];
            // Whether the next ones are there is asked before these are multiplied.
            Place next = place;
#pragma unroll
            for (int at = 0; at < Held::SIDE_BY_SIDE; at++) open[at] = block.full[next.stage].is_open(next.turn), next.go_on(room);
#pragma unroll
            for (int at = 0; at < ONCE; at++)
                if (left > at * WARPS) Tile(held.pieces[at], held.scale[at]).multiply(sums[at % 2 * 2], sums[at % 2 * 2 + 1], eights[at]);
            if (!holds) held.let_go(block.empty, left + warp);
            holds = false;
        }
        float sum[4];
        for (int at = 0; at < 4; at++) sum[at] = sums[0][at] + sums[1][at] + (sums[2][at] + sums[3][at]);
        float4 whole;
        bool adds = add_up(near, turn, sum, whole);
        // What all warps have brought is known from here on.
        if (given.norm && turn == 0) roots[0] = root_of(given, near, four * 2), roots[1] = root_of(given, near, four * 2 + 1);
        turn++;
        if (!adds) continue;
        whole = by_root(whole, roots);
        if (given.way != BEST) {
            give(given, four * 2, tile, group, plus(whole, there), hand);
            continue;
        }
        int column = tile * TILE + group;
        if (column < given.wide) best[0] = max(best[0], ranked(whole.x, column)), best[1] = max(best[1], ranked(whole.y, column));
        if (column + 8 < given.wide) best[0] = max(best[0], ranked(whole.z, column + 8)), best[1] = max(best[1], ranked(whole.w, column + 8));
    }
    if (given.way == BEST) find_best(given, block, best);
}
#endif
