// What a head answers its queries: by what was learned before the chunk, and within it.
extern "C" __global__ void __launch_bounds__(256, 2) learn_answers(
    const Number* __restrict__ rows, const int* __restrict__ begins, const float* __restrict__ owns,
    const float* __restrict__ takens, const float* __restrict__ found, Number* __restrict__ answers,
    const __grid_constant__ Learn learn) {
    extern __shared__ __align__(128) float tiles[];
    __shared__ Known known;
    float *query = tiles, *key = tiles + TILE, *rest = tiles + 2 * TILE, *other = tiles + 3 * TILE, *matrix = tiles + 4 * TILE;
    Chunk chunk(begins, learn);
    i64 place = (i64)chunk.number * TILE;
    known.find(begins, chunk, learn);
    bring_unit(query, rows, chunk, learn, query_of(learn, chunk));
    bring_unit(key, rows, chunk, learn, key_of(learn, chunk));
    fetch(rest, owns + place);
    fetch(other, takens + place);
    fetch(matrix, found + place);
    __syncthreads();
    Sums less = {};
    add<STRAIGHT, TURNED>(less, other, matrix);
    EACH_OF(less, x = rest[at(row, column)] - x)
    lay(rest, less);
    Sums within = {};
    add<STRAIGHT, TURNED>(within, query, key);
    __syncthreads();
    put_before(other, within, known, learn.rate);
    Sums sums = {};
    add<STRAIGHT, TURNED>(sums, query, matrix);
    EACH_OF(sums, x = known.carried(row) ? x : 0.0f)
    __syncthreads();
    add<STRAIGHT, STRAIGHT>(sums, other, rest);
    __syncthreads();
    lay(query, sums);
    __syncthreads();
    if (!chunk.has(learn, OWN_ROW)) return;
    answers += chunk.place(learn, OWN_ROW, learn.heads, chunk.head);
    OWN_FOURS(column) if (column < learn.width) put_four(answers + column, four_at(query, OWN_ROW, column));
}
