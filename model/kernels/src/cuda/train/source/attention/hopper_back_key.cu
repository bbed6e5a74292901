// The gradients of attention's keys and values on Hopper: a warpgroup has 64 keys and goes through the queries that see these, STEP at a
// time, of all heads of their group. Each sum has one order, so the same bits come out every time. BLOCKS: how many blocks a
// multiprocessor is to hold; their work fills each other's pauses.
#define ROWS 64
#define THREADS 128

// What is brought for one step: queries, gradients, and what is known of each row and of all together.
constexpr int TILE = STEP * HEAD * 2, TURN = 2 * TILE, OF_STARTS = STEP * 8, OF_BOUNDS = OF_STARTS + STEP * 4, KNOWN = OF_BOUNDS + 16;

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attend_back_key(const u16* __restrict__ query, const u16* __restrict__ key, const u16* __restrict__ value, const u16* __restrict__ grad,
                const int* __restrict__ starts, const float2* __restrict__ rows, const int2* __restrict__ bounds, u16* __restrict__ of_key,
                u16* __restrict__ of_value, const __grid_constant__ Params p) {
    extern __shared__ __align__(1024) char shared[];
    __shared__ int last_of_all;
    int tokens = p.tokens, tiles = (tokens + ROWS - 1) / ROWS, lane = threadIdx.x % 32;
    int kept = p.heads / GROUP, stride = p.heads * HEAD;
    // The first keys are seen by most.
    Place place(tiles, kept, p.batch, p.section);
    int first = place.tile * ROWS, own = first + threadIdx.x / 32 * 16 + lane / 4;
    i64 begin = (i64)place.item * tokens;
    bounds += (i64)place.item * ((tokens + STEP - 1) / STEP);

    u32 keys_at = address_of(shared), values_at = keys_at + ROWS * HEAD * 2, turns_at = values_at + ROWS * HEAD * 2;
    char* known = shared + 2 * ROWS * HEAD * 2 + 2 * TURN;
    i64 of_kept = begin * p.row + place.head * HEAD;
    fetch_tile<ROWS, THREADS>(keys_at, key + of_kept, first, tokens, p.row);
    fetch_tile<ROWS, THREADS>(values_at, value + of_kept, first, tokens, p.row);

    auto bring = [&](int member, int step, int turn) {
        int head = place.head * GROUP + member, token = step * STEP;
        u32 to = turns_at + turn * TURN, know = address_of(known) + turn * KNOWN;
        fetch_tile<STEP, THREADS>(to, query + begin * p.row + head * HEAD, token, tokens, p.row);
        fetch_tile<STEP, THREADS>(to + TILE, grad + begin * stride + head * HEAD, token, tokens, stride);
        if (threadIdx.x < STEP) {
            int at = threadIdx.x, there = min(token + at, tokens - 1);
            fetch<8>(know + at * 8, rows + ((i64)place.item * p.heads + head) * tokens + there, token + at < tokens);
            fetch<4>(know + OF_STARTS + at * 4, starts + begin + there, token + at < tokens);
        }
        if (threadIdx.x == 0) fetch<8>(know + OF_BOUNDS, bounds + step, true);
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

    float key_sums[HEAD / 8][4] = {}, value_sums[HEAD / 8][4] = {}, scale = p.scale * LOG2_E;
    settle_all();
    last = last_of_all;
    Own<ROWS, 0> keys(keys_at), values(values_at);

    int member = 0, step = begin_step;
    for (int turn = 0; member < GROUP;) {
        int next_member = step < last ? member : member + 1, next = step < last ? step + 1 : begin_step;
        settle_all();
        int next_turn = turn ^ 1;
        if (next_member < GROUP) bring(next_member, next, next_turn);
        fetched();
        const char* here = known + turn * KNOWN;
        u32 queries_at = turns_at + turn * TURN, grads_at = queries_at + TILE;
        int from = step * STEP;
        int2 bound = *(const int2*)(here + OF_BOUNDS);
        // In the middle of documents and windows all see something; among other starts a step may be empty.
        if (bound.x < first + ROWS) {
            float shares[STEP / 8][4], of_shares[STEP / 8][4];
            with_rows<STEP>(shares, keys, queries_at);
            with_rows<STEP>(of_shares, values, grads_at);
            wait<1>();
            hold(shares);
            if (first + 63 > from || bound.y > first) {
#pragma unroll
                for (int n = 0; n < STEP / 8; n++)
#pragma unroll
                    for (int side = 0; side < 2; side++) {
                        int at = n * 8 + lane % 4 * 2 + side, start = *(const int*)(here + OF_STARTS + at * 4);
                        u32 seen = from + at - start;
#pragma unroll
                        for (int half = 0; half < 2; half++)
                            if ((u32)(own + half * 8 - start) > seen) shares[n][half * 2 + side] = NOTHING;
                    }
            }
#pragma unroll
            for (int n = 0; n < STEP / 8; n++) {
                float4 two = *(const float4*)(here + (n * 8 + lane % 4 * 2) * 8);
#pragma unroll
                for (int at = 0; at < 4; at++) shares[n][at] = power(shares[n][at] * scale - (at % 2 ? two.z : two.x));
            }
            u32 stayed[STEP / 16][4], of_logits[STEP / 16][4];
            narrow<STEP>(stayed, shares);
            with_columns<STEP>(value_sums, stayed, grads_at);
            wait<1>();
            hold(of_shares);
#pragma unroll
            for (int n = 0; n < STEP / 8; n++) {
                float4 two = *(const float4*)(here + (n * 8 + lane % 4 * 2) * 8);
#pragma unroll
                for (int at = 0; at < 4; at++) shares[n][at] *= of_shares[n][at] - (at % 2 ? two.w : two.y);
            }
            narrow<STEP>(of_logits, shares);
            with_columns<STEP>(key_sums, of_logits, queries_at);
            wait<0>();
            hold(key_sums), hold(value_sums);
        }
        member = next_member, step = next, turn = next_turn;
    }
    float scales[2] = {p.scale, p.scale}, ones[2] = {1.0f, 1.0f};
    settle_team();
    give_rows<ROWS>(key_sums, scales, shared, of_key + of_kept, first, tokens, p.row);
    give_rows<ROWS>(value_sums, ones, shared + ROWS * HEAD * 2, of_value + of_kept, first, tokens, p.row);
}
