// The gradient of attention's queries on Hopper: a warpgroup has 64 queries and goes through the keys that these see, KEYS at a time.
// While tensor cores finish one step, the next is on its way. KEEP: queries (1), and gradients too (2), stay in registers.
#define ROWS 64
#define THREADS 128

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attend_back_query(const u16* __restrict__ query, const u16* __restrict__ key, const u16* __restrict__ value, const u16* __restrict__ grad,
                  const int* __restrict__ starts, const float2* __restrict__ rows, u16* __restrict__ of_query,
                  const __grid_constant__ Params p) {
    extern __shared__ __align__(1024) char shared[];
    __shared__ int2 room[4];
    int tokens = p.tokens, tiles = (tokens + ROWS - 1) / ROWS, lane = threadIdx.x % 32;
    Place place(tiles, p.heads, p.batch, p.section);
    // The last rows see most.
    int first = (tiles - 1 - place.tile) * ROWS, own = first + threadIdx.x / 32 * 16 + lane / 4;
    int stride = p.heads * HEAD;
    i64 begin = (i64)place.item * tokens;
    const u16* keys = key + begin * p.row + place.head / GROUP * HEAD;
    const u16* values = value + begin * p.row + place.head / GROUP * HEAD;

    constexpr int TILE = KEYS * HEAD * 2;
    u32 queries_at = address_of(shared), grads_at = queries_at + ROWS * HEAD * 2, values_at = grads_at + ROWS * HEAD * 2;
    u32 keys_at = values_at + 2 * TILE;
    fetch_tile<ROWS, THREADS>(queries_at, query + begin * p.row + place.head * HEAD, first, tokens, p.row);
    fetch_tile<ROWS, THREADS>(grads_at, grad + begin * stride + place.head * HEAD, first, tokens, stride);
    // Rows behind the end take what the last one has, and nobody reads them.
    int starts_of[2] = {starts[begin + min(own, tokens - 1)], starts[begin + min(own + 8, tokens - 1)]};
    const float2* of_head = rows + ((i64)place.item * p.heads + place.head) * tokens;
    float2 rows_of[2] = {of_head[min(own, tokens - 1)], of_head[min(own + 8, tokens - 1)]};
    Reach reach(room, starts_of[0], starts_of[1], 4);
    int step = reach.least / KEYS, last = (min(first + ROWS, tokens) - 1) / KEYS;
    auto bring = [&](int which, u32 keys_to, u32 values_to) {
        fetch_tile<KEYS, THREADS>(keys_to, keys, which * KEYS, tokens, p.row);
        fetch_tile<KEYS, THREADS>(values_to, values, which * KEYS, tokens, p.row);
    };
    bring(step, keys_at, values_at);
    fetched();

    float sums[HEAD / 8][4] = {}, shares[KEYS / 8][4], of_shares[KEYS / 8][4], scale = p.scale * LOG2_E;
    u32 of_logits[KEYS / 16][4];
    auto soften = [&](int from) {
        if (from + KEYS - 1 > first || from < reach.most) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int start = starts_of[half];
                u32 seen = own + half * 8 - start;
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                    for (int side = 0; side < 2; side++)
                        if ((u32)(from + n * 8 + lane % 4 * 2 + side - start) > seen) shares[n][half * 2 + side] = NOTHING;
            }
        }
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int at = 0; at < 4; at++) shares[n][at] = power(shares[n][at] * scale - rows_of[at / 2].x);
    };
    auto turn_back = [&]() {
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int at = 0; at < 4; at++) shares[n][at] *= of_shares[n][at] - rows_of[at / 2].y;
    };
    settle_all();
    Own<ROWS, (KEEP > 0)> queries(queries_at);
    Own<ROWS, (KEEP > 1)> grads(grads_at);
    queries.keep(queries_at), grads.keep(grads_at);
    if (step < last) bring(step + 1, keys_at + TILE, values_at + TILE);
    fetched();
    with_rows<KEYS>(shares, queries, keys_at);
    with_rows<KEYS>(of_shares, grads, values_at);
    wait<1>();
    hold(shares);
    soften(step * KEYS);
    wait<0>();
    hold(of_shares);
    turn_back();
    narrow<KEYS>(of_logits, shares);
    // Keys are needed once more when the next logits are on their way, so that they have three turns and values have two.
    u32 before = keys_at, now = keys_at + TILE, next = keys_at + 2 * TILE;
    int turn = 1;
    for (step++; step <= last; step++, turn ^= 1) {
        settle_all();
        if (step < last) bring(step + 1, next, values_at + (turn ^ 1) * TILE);
        fetched();
        with_rows<KEYS>(shares, queries, now);
        with_rows<KEYS>(of_shares, grads, values_at + turn * TILE);
        with_columns<KEYS>(sums, of_logits, before);
        wait<2>();
        hold(shares);
        soften(step * KEYS);
        wait<1>();
        hold(of_shares);
        turn_back();
        wait<0>();
        hold(sums);
        narrow<KEYS>(of_logits, shares);
        u32 gone = before;
        before = now, now = next, next = gone;
    }
    with_columns<KEYS>(sums, of_logits, before);
    wait<0>();
    hold(sums);
    float scales[2] = {p.scale, p.scale};
    settle_team();
    give_rows<ROWS>(sums, scales, shared, of_query + begin * p.row + place.head * HEAD, first, tokens, p.row);
}
