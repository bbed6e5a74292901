// The gradients of a chunk's queries, keys and values, where what was learned before it is known, and what the loss asks of what is learned behind it.
// With `R` for what values are off by, and a step that adds `rate Rᵀ K`, the loss asks of `R` what it asks by way of this chunk's answers and of
// what comes behind; and `(I + below)ᵀ Z` is that for Z, of which all else is made.

// From the gradient of a row of a length of one to that of the row it was made of, in a thread's own row.
__device__ __forceinline__ void give_unit(
    Number* to, float* grad, float* unit, float length, const Chunk& chunk, const Learn& learn, u32 which) {
    float along = 0.0f;
    OWN_FOURS(column) along += product(four_at(unit, OWN_ROW, column), four_at(grad, OWN_ROW, column));
    along = sum_of_row(along) * length / (length - LEAST);
    if (!chunk.has(learn, OWN_ROW)) return;
    to += chunk.place(learn, OWN_ROW, learn.rows, which);
    OWN_FOURS(column) {
        float4 own = four_at(grad, OWN_ROW, column) + -along * four_at(unit, OWN_ROW, column);
        if (column < learn.width) put_four(to + column, (1.0f / length) * own);
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) learn_back(
    const Number* __restrict__ rows, const int* __restrict__ begins, const Number* __restrict__ grads,
    const float* __restrict__ owns, const float* __restrict__ takens, const float* __restrict__ found,
    const float* __restrict__ behind, Number* __restrict__ out, const __grid_constant__ Learn learn) {
    extern __shared__ __align__(128) float tiles[];
    __shared__ Known known;
    float *key = tiles, *grad = tiles + TILE, *rest = tiles + 2 * TILE, *matrix = tiles + 3 * TILE;
    // These are first what the loss asks and what was taken, and then one thing after the other.
    float *a = tiles + 4 * TILE, *b = tiles + 5 * TILE;
    Chunk chunk(begins, learn);
    i64 place = (i64)chunk.number * TILE;
    auto leaves = [&](u32 row) { return (int)row >= chunk.last_begins ? learn.rate : 0.0f; };
    known.find(begins, chunk, learn);
    float key_length = bring_unit(key, rows, chunk, learn, key_of(learn, chunk));
    bring(grad, grads, chunk, learn, learn.heads, chunk.head);
    fetch(rest, owns + place);
    fetch(matrix, found + place);
    fetch(a, behind + place);
    fetch(b, takens + place);
    __syncthreads();
    Sums sums = {};
    add<STRAIGHT, TURNED>(sums, b, matrix);
    EACH_OF(sums, x = rest[at(row, column)] - x)
    lay(rest, sums);
    __syncthreads();
    // By way of what the chunk leaves behind.
    Sums of_key = {};
    add<STRAIGHT, STRAIGHT>(of_key, rest, a);
    EACH_OF(of_key, x *= leaves(row))
    Sums of_rest = {};
    add<STRAIGHT, TURNED>(of_rest, key, a);
    EACH_OF(of_rest, x *= leaves(row))
    __syncthreads();
    float query_length = bring_unit(a, rows, chunk, learn, query_of(learn, chunk));
    __syncthreads();
    Sums within = {};
    add<STRAIGHT, TURNED>(within, a, key);
    put_before(b, within, known, learn.rate);
    __syncthreads();
    add<TURNED, STRAIGHT>(of_rest, b, grad);
    Sums alike = {};
    add<STRAIGHT, TURNED>(alike, key, key);
    put_both(a, alike, known, learn.rate);
    __syncthreads();
    lay(b, of_rest);
    __syncthreads();
    if (threadIdx.x < SIDE) solve<true>(a, b, threadIdx.x);
    __syncthreads();
    // What the values are asked, and by way of the keys that they were asked by.
    bool one = learn.rows == learn.heads;
    if (!one && chunk.has(learn, OWN_ROW)) {
        Number* to = out + chunk.place(learn, OWN_ROW, learn.rows, value_of(learn, chunk));
        OWN_FOURS(column) if (column < learn.width) put_four(to + column, four_at(b, OWN_ROW, column));
    }
    Sums taken = {};
    add<STRAIGHT, STRAIGHT>(taken, b, matrix);
    Sums below = {};
    add<STRAIGHT, TURNED>(below, b, rest);
    EACH_OF(below, if (row <= column) continue; float of = known.before(row, column) ? held(-learn.rate * x) : 0.0f;
            a[at(row, column)] = of; a[at(column, row)] = of)
    if (threadIdx.x < SIDE) a[at(threadIdx.x, threadIdx.x)] = 0.0f;
#pragma unroll
    for (int part = 0; part < 4; part++)
#pragma unroll
        for (int n = 0; n < 4; n++) {
            if (known.carried(row_of(n))) of_key[part][n] -= taken[part][n];
            if (one) of_key[part][n] += b[at(row_of(n), column_of(part, n))];
        }
    __syncthreads();
    add<STRAIGHT, STRAIGHT>(of_key, a, key);
    Sums asked = {};
    add<STRAIGHT, TURNED>(asked, grad, rest);
    put_before(b, asked, known, learn.rate);
    __syncthreads();
    bring_unit(a, rows, chunk, learn, query_of(learn, chunk));
    Sums of_query = {};
    add<STRAIGHT, STRAIGHT>(of_query, grad, matrix);
    EACH_OF(of_query, x = known.carried(row) ? x : 0.0f)
    add<STRAIGHT, STRAIGHT>(of_query, b, key);
    __syncthreads();
    add<TURNED, STRAIGHT>(of_key, b, a);
    // Nobody reads these any more.
    lay(rest, of_query);
    lay(matrix, of_key);
    __syncthreads();
    if (one) {
        OWN_FOURS(column) four_at(matrix, OWN_ROW, column) = four_at(matrix, OWN_ROW, column) + four_at(rest, OWN_ROW, column);
    } else {
        give_unit(out, rest, a, query_length, chunk, learn, query_of(learn, chunk));
    }
    give_unit(out, matrix, key, key_length, chunk, learn, key_of(learn, chunk));
}
