// Attention, for GPUs of compute capability 8.0 and more: WARPS warps have BANDS times sixteen queries each and go through the keys
// that these see, KEYS at a time. KEEP: queries stay in registers. BLOCKS: how many blocks a multiprocessor is to hold.
#define ROWS (WARPS * BANDS * 16)
#define THREADS (WARPS * 32)

// The largest logit of each head begins as none.
extern "C" __global__ void clear_peak(float* peak, const __grid_constant__ Params p) {
    int head = blockIdx.x * blockDim.x + threadIdx.x;
    if (head < p.heads) peak[head] = NOTHING;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
attend(const u16* __restrict__ query, const u16* __restrict__ key, const u16* __restrict__ value, const int* __restrict__ starts,
       u16* __restrict__ out, float* __restrict__ lse, float* peak, const __grid_constant__ Params p) {
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

    u32 queries_at = address_of(shared), keys_at = queries_at + ROWS * WIDE * 2, values_at = keys_at + 2 * KEYS * WIDE * 2;
    fetch_rows<ROWS, THREADS>(queries_at, query + begin * p.row + place.head * HEAD, first, tokens, p.row);

    // What each row of a lane sees begins here; rows behind the end take what the last one has, and nobody reads them.
    int starts_of[BANDS][2], least = 0x7fffffff, most = 0;
#pragma unroll
    for (int band = 0; band < BANDS; band++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int start = starts[begin + min(own + band * 16 + half * 8 + lane / 4, tokens - 1)];
            starts_of[band][half] = start, least = min(least, start), most = max(most, start);
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

    Rows<BANDS, KEEP> queries;
    queries.from = queries_at + warp * BANDS * 16 * WIDE * 2 + as_left();
    float sums[BANDS][HEAD / 8][4] = {}, largest[BANDS][2], total[BANDS][2] = {}, scale = p.scale * LOG2_E;
#pragma unroll
    for (int band = 0; band < BANDS; band++) largest[band][0] = largest[band][1] = NOTHING;

    settle<0>();
    __syncthreads();
    queries.keep();
    for (int turn = 0; step <= last; step++, turn ^= 1) {
        settle<0>();
        // All is there for all warps, and none reads any more what comes next takes the place of.
        __syncthreads();
        if (step < last) {
            u32 next = (turn ^ 1) * KEYS * WIDE * 2;
            fetch_rows<KEYS, THREADS>(keys_at + next, keys, (step + 1) * KEYS, tokens, p.row);
            fetch_rows<KEYS, THREADS>(values_at + next, values, (step + 1) * KEYS, tokens, p.row);
        }
        fetched();
        int from = step * KEYS, place_of_turn = turn * KEYS * WIDE * 2;
        // Not all warps of a block see all that it goes through.
        if (from > own + BANDS * 16 - 1 || from + KEYS <= least) continue;
        float logits[BANDS][KEYS / 8][4] = {};
        with_rows<BANDS, KEYS>(logits, queries, keys_at + place_of_turn + as_right());
        if (from + KEYS - 1 > own || from < most) {
#pragma unroll
            for (int band = 0; band < BANDS; band++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    int start = starts_of[band][half];
                    u32 seen = own + band * 16 + half * 8 + lane / 4 - start;
#pragma unroll
                    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                        for (int side = 0; side < 2; side++)
                            if ((u32)(from + n * 8 + lane % 4 * 2 + side - start) > seen) logits[band][n][half * 2 + side] = NOTHING;
                }
        }
#pragma unroll
        for (int band = 0; band < BANDS; band++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float high = largest[band][half];
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) high = fmaxf(high, fmaxf(logits[band][n][half * 2], logits[band][n][half * 2 + 1]));
                high = fmaxf(high, __shfl_xor_sync(ALL, high, 1));
                high = fmaxf(high, __shfl_xor_sync(ALL, high, 2));
                // A row that saw nothing yet has no largest logit to take away.
                float less = high == NOTHING ? 0.0f : high * scale, fade = power(largest[band][half] * scale - less), sum = 0.0f;
                largest[band][half] = high;
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                    for (int side = 0; side < 2; side++) {
                        float& x = logits[band][n][half * 2 + side];
                        x = power(x * scale - less), sum += x;
                    }
                total[band][half] = total[band][half] * fade + sum;
#pragma unroll
                for (int n = 0; n < HEAD / 8; n++) sums[band][n][half * 2] *= fade, sums[band][n][half * 2 + 1] *= fade;
            }
        u32 shares[BANDS][KEYS / 16][4];
        narrow<BANDS, KEYS>(shares, logits);
        with_columns<BANDS, KEYS, HEAD>(sums, shares, values_at + place_of_turn + as_left());
    }

    float high = NOTHING, scales[BANDS][2];
#pragma unroll
    for (int band = 0; band < BANDS; band++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float sum = total[band][half];
            sum += __shfl_xor_sync(ALL, sum, 1);
            sum += __shfl_xor_sync(ALL, sum, 2);
            scales[band][half] = 1.0f / sum;
            int token = own + band * 16 + half * 8 + lane / 4;
            if (token >= tokens) continue;
            float top = largest[band][half] * p.scale;
            high = fmaxf(high, top);
            if (lane % 4 == 0) lse[((i64)place.item * p.heads + place.head) * tokens + token] = top + __logf(sum);
        }
    for (int far = 16; far > 0; far /= 2) high = fmaxf(high, __shfl_xor_sync(ALL, high, far));
    if (lane == 0 && own < tokens) raise(peak + place.head, high);
    settle<0>();
    give_rows<BANDS, HEAD>(sums, scales, shared + warp * BANDS * 16 * WIDE, out + begin * stride + place.head * HEAD, own, tokens, stride);
}
