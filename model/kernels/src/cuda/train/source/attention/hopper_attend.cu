// Attention on Hopper: a warpgroup has 64 queries and goes through the keys that these see, KEYS at a time. While tensor cores multiply
// shares by values, the next shares are on their way. KEEP: queries stay in registers. BLOCKS: how many a multiprocessor is to hold.
#define ROWS 64
#define THREADS 128
#define LOWEST -1e30f
// How far above 0 exponents may be.
#define ROOM 8.0f

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attend(const u16* __restrict__ query, const u16* __restrict__ key, const u16* __restrict__ value, const int* __restrict__ starts,
       u16* __restrict__ out, float* __restrict__ lse, float* peak, const __grid_constant__ Params p) {
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
    u32 queries_at = address_of(shared), keys_at = queries_at + ROWS * HEAD * 2, values_at = keys_at + 2 * TILE;
    fetch_tile<ROWS, THREADS>(queries_at, query + begin * p.row + place.head * HEAD, first, tokens, p.row);
    // Rows behind the end take what the last one has, and nobody reads them.
    int starts_of[2] = {starts[begin + min(own, tokens - 1)], starts[begin + min(own + 8, tokens - 1)]};
    Reach reach(room, starts_of[0], starts_of[1], 4);
    int step = reach.least / KEYS, last = (min(first + ROWS, tokens) - 1) / KEYS;
    // Keys come one step ahead, and values come when their keys are multiplied: shares wait for them until the next step.
    auto bring_keys = [&](int which, int turn) {
        fetch_tile<KEYS, THREADS>(keys_at + turn * TILE, keys, which * KEYS, tokens, p.row);
    };
    auto bring_values = [&](int which, int turn) {
        fetch_tile<KEYS, THREADS>(values_at + turn * TILE, values, which * KEYS, tokens, p.row);
    };
    bring_keys(step, 0);
    fetched();

    float sums[HEAD / 8][4] = {}, logits[KEYS / 8][4], scale = p.scale * LOG2_E;
    // The largest logit that a lane saw of each row; what exponents of a row are less by, and their sum.
    float largest[2] = {NOTHING, NOTHING}, less[2] = {LOWEST, LOWEST}, total[2] = {}, fade[2];
    u32 shares[KEYS / 16][4];
    // From logits to shares as far as is known; says whether earlier ones fade.
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
                        if ((u32)(from + n * 8 + lane % 4 * 2 + side - start) > seen) logits[n][half * 2 + side] = NOTHING;
            }
        }
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) largest[half] = fmaxf(largest[half], fmaxf(logits[n][half * 2], logits[n][half * 2 + 1]));
        // Exponents need not be below 0, only small; so what they are less by changes seldom.
        bool fades = __any_sync(ALL, largest[0] * scale > less[0] + ROOM || largest[1] * scale > less[1] + ROOM);
        if (fades) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float high = fmaxf(largest[half], __shfl_xor_sync(ALL, largest[half], 1));
                high = fmaxf(high, __shfl_xor_sync(ALL, high, 2));
                high = fmaxf(high * scale, less[half]);
                fade[half] = power(less[half] - high), less[half] = high, total[half] *= fade[half];
            }
        }
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int side = half * 2; side < half * 2 + 2; side++)
                    logits[n][side] = power(logits[n][side] * scale - less[half]), total[half] += logits[n][side];
        return fades;
    };

    settle_all();
    Own<ROWS, KEEP> queries(queries_at);
    queries.keep(queries_at);
    if (step < last) bring_keys(step + 1, 1);
    bring_values(step, 0);
    fetched();
    with_rows<KEYS>(logits, queries, keys_at);
    wait<0>();
    hold(logits);
    soften(step * KEYS);
    narrow<KEYS>(shares, logits);
    int turn = 1;
    for (step++; step <= last; step++, turn ^= 1) {
        settle_all();
        if (step < last) bring_keys(step + 1, turn ^ 1);
        bring_values(step, turn);
        fetched();
        with_rows<KEYS>(logits, queries, keys_at + turn * TILE);
        with_columns<KEYS>(sums, shares, values_at + (turn ^ 1) * TILE);
        wait<1>();
        hold(logits);
        bool fades = soften(step * KEYS);
        wait<0>();
        hold(sums);
        if (fades) {
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
                for (int at = 0; at < 4; at++) sums[n][at] *= fade[at / 2];
        }
        narrow<KEYS>(shares, logits);
    }
    settle_all();
    with_columns<KEYS>(sums, shares, values_at + (turn ^ 1) * TILE);
    wait<0>();
    hold(sums);

    float high = NOTHING, scales[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = total[half];
        sum += __shfl_xor_sync(ALL, sum, 1);
        sum += __shfl_xor_sync(ALL, sum, 2);
        scales[half] = 1.0f / sum;
        int token = own + half * 8;
        if (token >= tokens) continue;
        high = fmaxf(high, largest[half] * p.scale);
        if (lane % 4 == 0) lse[((i64)place.item * p.heads + place.head) * tokens + token] = less[half] * LN_2 + __logf(sum);
    }
    for (int far = 16; far > 0; far /= 2) high = fmaxf(high, __shfl_xor_sync(ALL, high, far));
    if (lane == 0 && own - lane / 4 < tokens) raise(peak + place.head, high);
    settle_team();
    give_rows<ROWS>(sums, scales, shared, out + begin * stride + place.head * HEAD, first, tokens, stride);
}
