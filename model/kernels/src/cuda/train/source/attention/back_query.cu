// The gradient of attention's queries, for GPUs of compute capability 8.0 and more: WARPS warps have BANDS times sixteen queries each
// and go through the keys that these see, KEYS at a time. KEEP: queries and gradients stay in registers.
#define ROWS (WARPS * BANDS * 16)
#define THREADS (WARPS * 32)

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attend_back_query(const u16* __restrict__ query, const u16* __restrict__ key, const u16* __restrict__ value, const u16* __restrict__ grad,
                  const int* __restrict__ starts, const float2* __restrict__ rows, u16* __restrict__ of_query,
                  const __grid_constant__ Params p) {
    extern __shared__ __align__(128) u16 shared[];
    __shared__ int least_of[WARPS];
    int tokens = p.tokens, tiles = (tokens + ROWS - 1) / ROWS, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    Place place(tiles, p.heads, p.batch, p.section);
    // The last rows see most.
    int first = (tiles - 1 - place.tile) * ROWS, own = first + warp * BANDS * 16;
    int stride = p.heads * HEAD;
    i64 begin = (i64)place.item * tokens;
    const u16* keys = key + begin * p.row + place.head / GROUP * HEAD;
    const u16* values = value + begin * p.row + place.head / GROUP * HEAD;

    constexpr int TURN = KEYS * WIDE * 2;
    u32 queries_at = address_of(shared), grads_at = queries_at + ROWS * WIDE * 2;
    u32 keys_at = grads_at + ROWS * WIDE * 2, values_at = keys_at + TURNS * TURN;
    fetch_rows<ROWS, THREADS>(queries_at, query + begin * p.row + place.head * HEAD, first, tokens, p.row);
    fetch_rows<ROWS, THREADS>(grads_at, grad + begin * stride + place.head * HEAD, first, tokens, stride);

    // Rows behind the end take what the last one has, and nobody reads them.
    int starts_of[BANDS][2], least = 0x7fffffff, most = 0;
    float2 rows_of[BANDS][2];
#pragma unroll
    for (int band = 0; band < BANDS; band++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int token = min(own + band * 16 + half * 8 + lane / 4, tokens - 1), start = starts[begin + token];
            starts_of[band][half] = start, least = min(least, start), most = max(most, start);
            rows_of[band][half] = rows[((i64)place.item * p.heads + place.head) * tokens + token];
        }
    least = __reduce_min_sync(ALL, least), most = __reduce_max_sync(ALL, most);
    if (lane == 0) least_of[warp] = least;
    __syncthreads();
    int least_of_all = least;
#pragma unroll
    for (int other = 0; other < WARPS; other++) least_of_all = min(least_of_all, least_of[other]);
    int step = least_of_all / KEYS, last = (min(first + ROWS, tokens) - 1) / KEYS;
    fetch_rows<KEYS, THREADS>(keys_at, keys, step * KEYS, tokens, p.row);
    fetch_rows<KEYS, THREADS>(values_at, values, step * KEYS, tokens, p.row);
    fetched();

    Rows<BANDS, KEEP> queries, grads;
    queries.from = queries_at + warp * BANDS * 16 * WIDE * 2 + as_left();
    grads.from = grads_at + warp * BANDS * 16 * WIDE * 2 + as_left();
    float sums[BANDS][HEAD / 8][4] = {}, scale = p.scale * LOG2_E;
    settle<0>();
    __syncthreads();
    queries.keep(), grads.keep();

    for (int turn = 0; step <= last; step++, turn = (turn + 1) % TURNS) {
        settle<0>();
        __syncthreads();
        if (TURNS > 1 && step < last) {
            fetch_rows<KEYS, THREADS>(keys_at + (turn ^ 1) * TURN, keys, (step + 1) * KEYS, tokens, p.row);
            fetch_rows<KEYS, THREADS>(values_at + (turn ^ 1) * TURN, values, (step + 1) * KEYS, tokens, p.row);
        }
        fetched();
        int from = step * KEYS;
        if (from <= own + BANDS * 16 - 1 && from + KEYS > least) {
            float shares[BANDS][KEYS / 8][4] = {}, of_shares[BANDS][KEYS / 8][4] = {};
            with_rows<BANDS, KEYS>(shares, queries, keys_at + turn * TURN + as_right());
            with_rows<BANDS, KEYS>(of_shares, grads, values_at + turn * TURN + as_right());
            bool partly = from + KEYS - 1 > own || from < most;
#pragma unroll
            for (int band = 0; band < BANDS; band++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    int start = starts_of[band][half];
                    u32 seen = own + band * 16 + half * 8 + lane / 4 - start;
                    if (partly) {
#pragma unroll
                        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                            for (int side = 0; side < 2; side++)
                                if ((u32)(from + n * 8 + lane % 4 * 2 + side - start) > seen) shares[band][n][half * 2 + side] = NOTHING;
                    }
#pragma unroll
                    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                        for (int side = half * 2; side < half * 2 + 2; side++)
                            of_shares[band][n][side] = power(shares[band][n][side] * scale - rows_of[band][half].x) *
                                                       (of_shares[band][n][side] - rows_of[band][half].y);
                }
            u32 of_logits[BANDS][KEYS / 16][4];
            narrow<BANDS, KEYS>(of_logits, of_shares);
            with_columns<BANDS, KEYS, HEAD>(sums, of_logits, keys_at + turn * TURN + as_left());
        }
        if (TURNS == 1 && step < last) {
            __syncthreads();
            fetch_rows<KEYS, THREADS>(keys_at, keys, (step + 1) * KEYS, tokens, p.row);
            fetch_rows<KEYS, THREADS>(values_at, values, (step + 1) * KEYS, tokens, p.row);
            fetched();
        }
    }
    float scales[BANDS][2];
#pragma unroll
    for (int band = 0; band < BANDS; band++) scales[band][0] = scales[band][1] = p.scale;
    settle<0>();
    give_rows<BANDS, HEAD>(sums, scales, shared + warp * BANDS * 16 * WIDE, of_query + begin * p.row + place.head * HEAD, own, tokens,
                           p.row);
}
