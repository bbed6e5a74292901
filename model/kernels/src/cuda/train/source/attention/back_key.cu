// The gradients of attention's keys and values, for GPUs of compute capability 8.0 and more: WARPS warps have BANDS times sixteen keys
// each and go through the queries that see these, STEP at a time, of all heads of their group. Each sum has one order, so the same bits
// come out every time. KEEP: keys and values stay in registers. SLICE: how many columns of the gradients a block has (all, up to 128).
#define ROWS (WARPS * BANDS * 16)
#define THREADS (WARPS * 32)
#define SLICES ((HEAD + SLICE - 1) / SLICE)

// What is brought for one step: queries, gradients, and what is known of each row and of all together.
constexpr int TILE = STEP * WIDE * 2, OF_ROWS = 2 * TILE, OF_STARTS = OF_ROWS + STEP * 8, OF_BOUNDS = OF_STARTS + STEP * 4;
constexpr int TURN = OF_BOUNDS + 16;

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attend_back_key(const u16* __restrict__ query, const u16* __restrict__ key, const u16* __restrict__ value, const u16* __restrict__ grad,
                const int* __restrict__ starts, const float2* __restrict__ rows, const int2* __restrict__ bounds, u16* __restrict__ of_key,
                u16* __restrict__ of_value, const __grid_constant__ Params p) {
    extern __shared__ __align__(128) u16 shared[];
    __shared__ int last_of_all;
    int tokens = p.tokens, tiles = (tokens + ROWS - 1) / ROWS, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int kept = p.heads / GROUP, stride = p.heads * HEAD;
    // The first keys are seen by most.
    Place place(tiles * SLICES, kept, p.batch, p.section);
    int first = place.tile / SLICES * ROWS, column = place.tile % SLICES * SLICE, own = first + warp * BANDS * 16;
    int end = min(SLICE, HEAD - column);
    i64 begin = (i64)place.item * tokens;
    bounds += (i64)place.item * ((tokens + STEP - 1) / STEP);

    u32 keys_at = address_of(shared), values_at = keys_at + ROWS * WIDE * 2, turns_at = values_at + ROWS * WIDE * 2;
    i64 of_kept = begin * p.row + place.head * HEAD;
    fetch_rows<ROWS, THREADS>(keys_at, key + of_kept, first, tokens, p.row);
    fetch_rows<ROWS, THREADS>(values_at, value + of_kept, first, tokens, p.row);

    auto bring = [&](int member, int step, int turn) {
        int head = place.head * GROUP + member, token = step * STEP;
        u32 to = turns_at + turn * TURN;
        fetch_rows<STEP, THREADS>(to, query + begin * p.row + head * HEAD, token, tokens, p.row);
        fetch_rows<STEP, THREADS>(to + TILE, grad + begin * stride + head * HEAD, token, tokens, stride);
        for (int at = threadIdx.x; at < STEP; at += THREADS) {
            int there = min(token + at, tokens - 1);
            fetch<8>(to + OF_ROWS + at * 8, rows + ((i64)place.item * p.heads + head) * tokens + there, token + at < tokens);
            fetch<4>(to + OF_STARTS + at * 4, starts + begin + there, token + at < tokens);
        }
        if (threadIdx.x == 0) fetch<8>(to + OF_BOUNDS, bounds + step, true);
    };

    // The last step in which anybody sees one of these keys; in the first one they see themselves.
    int begin_step = first / STEP, last = begin_step;
    if (threadIdx.x == 0) last_of_all = begin_step;
    bring(0, begin_step, 0);
    fetched();
    for (int step = begin_step + 1 + threadIdx.x; step * STEP < tokens; step += THREADS)
        if (bounds[step].x < first + ROWS) last = step;
    __syncthreads();
    last = __reduce_max_sync(ALL, last);
    if (lane == 0) atomicMax(&last_of_all, last);

    Rows<BANDS, KEEP> keys, values;
    keys.from = keys_at + warp * BANDS * 16 * WIDE * 2 + as_left();
    values.from = values_at + warp * BANDS * 16 * WIDE * 2 + as_left();
    float key_sums[BANDS][SLICE / 8][4] = {}, value_sums[BANDS][SLICE / 8][4] = {}, scale = p.scale * LOG2_E;
    settle<0>();
    __syncthreads();
    keys.keep(), values.keep();
    last = last_of_all;

    int member = 0, step = begin_step;
    for (int turn = 0; member < GROUP; turn = (turn + 1) % TURNS) {
        int next_member = step < last ? member : member + 1, next = step < last ? step + 1 : begin_step;
        settle<0>();
        __syncthreads();
        if (TURNS > 1 && next_member < GROUP) bring(next_member, next, turn ^ 1);
        fetched();
        const char* here = (const char*)shared + 2 * ROWS * WIDE * 2 + turn * TURN;
        u32 queries_at = turns_at + turn * TURN, grads_at = queries_at + TILE;
        int from = step * STEP;
        int2 bound = *(const int2*)(here + OF_BOUNDS);
        if (from + STEP > own && bound.x < own + BANDS * 16) {
            float shares[BANDS][STEP / 8][4] = {}, of_shares[BANDS][STEP / 8][4] = {};
            with_rows<BANDS, STEP>(shares, keys, queries_at + as_right());
            if (own + BANDS * 16 - 1 > from || bound.y > own) {
#pragma unroll
                for (int n = 0; n < STEP / 8; n++)
#pragma unroll
                    for (int side = 0; side < 2; side++) {
                        int at = n * 8 + lane % 4 * 2 + side, start = *(const int*)(here + OF_STARTS + at * 4);
                        u32 seen = from + at - start;
#pragma unroll
                        for (int band = 0; band < BANDS; band++)
#pragma unroll
                            for (int half = 0; half < 2; half++)
                                if ((u32)(own + band * 16 + half * 8 + lane / 4 - start) > seen) shares[band][n][half * 2 + side] = NOTHING;
                    }
            }
#pragma unroll
            for (int n = 0; n < STEP / 8; n++) {
                float4 two = *(const float4*)(here + OF_ROWS + (n * 8 + lane % 4 * 2) * 8);
#pragma unroll
                for (int band = 0; band < BANDS; band++)
#pragma unroll
                    for (int at = 0; at < 4; at++)
                        shares[band][n][at] = power(shares[band][n][at] * scale - (at % 2 ? two.z : two.x));
            }
            u32 left[BANDS][STEP / 16][4];
            narrow<BANDS, STEP>(left, shares);
            with_columns<BANDS, STEP, SLICE>(value_sums, left, grads_at + as_left() + column * 2, end);
            with_rows<BANDS, STEP>(of_shares, values, grads_at + as_right());
#pragma unroll
            for (int n = 0; n < STEP / 8; n++) {
                float4 two = *(const float4*)(here + OF_ROWS + (n * 8 + lane % 4 * 2) * 8);
#pragma unroll
                for (int band = 0; band < BANDS; band++)
#pragma unroll
                    for (int at = 0; at < 4; at++) shares[band][n][at] *= of_shares[band][n][at] - (at % 2 ? two.w : two.y);
            }
            narrow<BANDS, STEP>(left, shares);
            with_columns<BANDS, STEP, SLICE>(key_sums, left, queries_at + as_left() + column * 2, end);
        }
        if (TURNS == 1 && next_member < GROUP) {
            __syncthreads();
            bring(next_member, next, 0);
            fetched();
        }
        member = next_member, step = next;
    }
    float scales[BANDS][2], ones[BANDS][2];
#pragma unroll
    for (int band = 0; band < BANDS; band++) scales[band][0] = scales[band][1] = p.scale, ones[band][0] = ones[band][1] = 1.0f;
    settle<0>();
    u16* space = shared + warp * BANDS * 16 * WIDE;
    give_rows<BANDS, SLICE>(key_sums, scales, space, of_key + of_kept + column, own, tokens, p.row, end);
    give_rows<BANDS, SLICE>(value_sums, ones, space + ROWS * WIDE, of_value + of_kept + column, own, tokens, p.row, end);
}
