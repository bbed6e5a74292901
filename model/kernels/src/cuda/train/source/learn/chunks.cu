// What a chunk does to what a head has learned, which is known before that is: from chunk to chunk its product with one matrix is added to it, and
// another. BACK: and what the loss asks of it by way of this chunk. `own` and `taken` are kept for the kernels behind.
extern "C" __global__ void __launch_bounds__(256, 2) learn_chunks(
    const Number* __restrict__ rows, const int* __restrict__ begins, const Number* __restrict__ grads, float* __restrict__ owns,
    float* __restrict__ takens, float* __restrict__ times, float* __restrict__ plus, float* __restrict__ asked,
    const __grid_constant__ Learn learn) {
    extern __shared__ __align__(128) float tiles[];
    __shared__ Known known;
    float *key = tiles, *own = tiles + TILE, *taken = tiles + 2 * TILE, *both = tiles + 3 * TILE;
    Chunk chunk(begins, learn);
    i64 place = (i64)chunk.number * TILE;
    int begin = chunk.begin_of(begins, learn, OWN_ROW);
    known.find(begins, chunk, learn);
    bring_unit(key, rows, chunk, learn, key_of(learn, chunk));
    bool one = learn.rows == learn.heads;
    if (!one) bring(own, rows, chunk, learn, learn.rows, value_of(learn, chunk));
    OWN_FOURS(column) {
        float4 x = four_at(key, OWN_ROW, column);
        if (one) four_at(own, OWN_ROW, column) = x;
        four_at(taken, OWN_ROW, column) = begin < 0 ? x : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
#if BACK
    float *query = tiles + 4 * TILE, *grad = tiles + 5 * TILE;
    bring_unit(query, rows, chunk, learn, query_of(learn, chunk));
    bring(grad, grads, chunk, learn, learn.heads, chunk.head);
#endif
    __syncthreads();
    Sums sums = {};
    add<STRAIGHT, TURNED>(sums, key, key);
    put_both(both, sums, known, learn.rate);
#if BACK
    Sums within = {};
    add<STRAIGHT, TURNED>(within, query, key);
#endif
    __syncthreads();
    if (threadIdx.x < 2 * SIDE) solve<false>(both, threadIdx.x < SIDE ? own : taken, threadIdx.x % SIDE);
    // Of the keys only what the last document's tokens leave behind is asked for from here on.
    scale_own_row(key, (int)OWN_ROW >= chunk.last_begins ? learn.rate : 0.0f);
    __syncthreads();
    keep(owns + place, own);
    keep(takens + place, taken);
    Sums next = {};
    add<TURNED, STRAIGHT>(next, taken, key);
    EACH_OF(next, x = -x)
    give(times + place, next);
    Sums more = {};
    add<TURNED, STRAIGHT>(more, own, key);
    give(plus + place, more);
#if BACK
    put_before(both, within, known, learn.rate);
    scale_own_row(query, begin < 0 ? 1.0f : 0.0f);
    __syncthreads();
    Sums of_rest = {};
    add<TURNED, STRAIGHT>(of_rest, both, grad);
    EACH_OF(of_rest, x = -x)
    lay(own, of_rest);
    Sums ask = {};
    add<TURNED, STRAIGHT>(ask, grad, query);
    __syncthreads();
    add<TURNED, STRAIGHT>(ask, own, taken);
    give(asked + place, ask);
#endif
}
