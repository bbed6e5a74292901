// A chunk of 64 tokens of a head that learns: whose rows are whose, and what its tokens know of each other. The formulas are told where the
// plain bodies are.

// What is added to the length of a key, so that nothing is divided by zero.
#define LEAST 1e-6f

struct Learn {
    u32 tokens;
    u32 chunks;
    u32 heads;
    // Rows of a token: queries, keys and values of all heads, or one for all three.
    u32 rows;
    u32 width;
    float rate;
};

struct Chunk {
    // Its number among all chunks of all heads of all sequences, its first token, and its sequence and head.
    u32 number, first, sequence, head;
    // The first token of its last document, seen from its own first token.
    int last_begins;

    __device__ __forceinline__ Chunk(const int* begins, const Learn& learn) {
        number = blockIdx.x;
        first = number % learn.chunks * SIDE;
        sequence = number / learn.chunks / learn.heads;
        head = number / learn.chunks % learn.heads;
        last_begins = begin_of(begins, learn, SIDE - 1);
    }

    // Where a row's document begins, seen from the chunk's first token. Behind the last token all is as it is there.
    __device__ __forceinline__ int begin_of(const int* begins, const Learn& learn, u32 row) const {
        return begins[sequence * learn.tokens + min(first + row, learn.tokens - 1)] - (int)first;
    }

    __device__ __forceinline__ bool has(const Learn& learn, u32 row) const { return first + row < learn.tokens; }

    // Where one of so many rows of a token lies, of which each token has `all`.
    __device__ __forceinline__ i64 place(const Learn& learn, u32 row, u32 all, u32 which) const {
        return (((i64)sequence * learn.tokens + first + row) * all + which) * learn.width;
    }
};

// Which row of a token it is.
__device__ __forceinline__ u32 query_of(const Learn& learn, const Chunk& chunk) { return chunk.head; }
__device__ __forceinline__ u32 key_of(const Learn& learn, const Chunk& chunk) {
    return learn.rows == learn.heads ? chunk.head : learn.heads + chunk.head;
}
__device__ __forceinline__ u32 value_of(const Learn& learn, const Chunk& chunk) { return 2 * learn.heads + chunk.head; }

// Rows of a chunk, with zeros behind the last token and beside a head that is narrower than a tile.
__device__ __forceinline__ void bring(float* tile, const Number* from, const Chunk& chunk, const Learn& learn, u32 all, u32 which) {
    from += chunk.place(learn, OWN_ROW, all, which);
    bool there = chunk.has(learn, OWN_ROW);
    OWN_FOURS(column) {
        bool inside = there && column < learn.width;
        four_at(tile, OWN_ROW, column) = inside ? four(from + column) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
}

// The same, of a length of one. Gives what a thread's row was divided by.
__device__ __forceinline__ float bring_unit(float* tile, const Number* from, const Chunk& chunk, const Learn& learn, u32 which) {
    bring(tile, from, chunk, learn, learn.rows, which);
    float sum = 0.0f;
    OWN_FOURS(column) sum += product(four_at(tile, OWN_ROW, column), four_at(tile, OWN_ROW, column));
    float length = sqrtf(fmaxf(sum_of_row(sum), LEAST * LEAST)) + LEAST;
    OWN_FOURS(column) four_at(tile, OWN_ROW, column) = held((1.0f / length) * four_at(tile, OWN_ROW, column));
    return length;
}

__device__ __forceinline__ void scale_own_row(float* tile, float by) {
    OWN_FOURS(column) four_at(tile, OWN_ROW, column) = held(by * four_at(tile, OWN_ROW, column));
}

// Which tokens know of which: those before them of the same document.
struct Known {
    // Where each row's document begins.
    int begin[SIDE];

    __device__ __forceinline__ void find(const int* begins, const Chunk& chunk, const Learn& learn) {
        if (threadIdx.x < SIDE) begin[threadIdx.x] = chunk.begin_of(begins, learn, threadIdx.x);
    }
    __device__ __forceinline__ bool before(u32 row, u32 column) const { return column < row && (int)column >= begin[row]; }
    __device__ __forceinline__ bool carried(u32 row) const { return begin[row] < 0; }
};

// What tokens get of those before them, as a tile.
__device__ __forceinline__ void put_before(float* tile, Sums& sums, const Known& known, float by) {
    EACH_OF(sums, x = known.before(row, column) ? by * x : 0.0f)
    lay(tile, sums);
}

// The same of what is symmetric, on both sides of the diagonal.
__device__ __forceinline__ void put_both(float* tile, Sums& sums, const Known& known, float by) {
    EACH_OF(sums, x = known.before(max(row, column), min(row, column)) ? by * x : 0.0f)
    lay(tile, sums);
}

// Solves `(I + below) y = x` for a column of a tile, where it stands, or the same with `below` turned. It is given on both sides of the diagonal, so
// that what one row asks of sixteen others lies side by side.
template <bool UP>
__device__ __forceinline__ void solve(const float* both, float* tile, u32 column) {
#pragma unroll 1
    for (int block = 0; block < 4; block++) {
        u32 first = 16 * (UP ? 3 - block : block), begin = UP ? first + 16 : 0, end = UP ? SIDE : first;
        float y[16];
#pragma unroll
        for (u32 n = 0; n < 16; n++) y[n] = tile[at(first + n, column)];
#pragma unroll 4
        for (u32 row = begin; row < end; row++) {
            float of = tile[at(row, column)];
#pragma unroll
            for (u32 n = 0; n < 16; n += 4) {
                float4 by = four(both + at(row, first + n));
                y[n] -= by.x * of, y[n + 1] -= by.y * of, y[n + 2] -= by.z * of, y[n + 3] -= by.w * of;
            }
        }
#pragma unroll
        for (u32 step = 0; step < 16; step++) {
            u32 own = UP ? 15 - step : step;
#pragma unroll
            for (u32 n = 0; n < 16; n++)
                if (UP ? n < own : n > own) y[n] -= both[at(first + own, first + n)] * y[own];
        }
#pragma unroll
        for (u32 n = 0; n < 16; n++) tile[at(first + n, column)] = held(y[n]);
    }
}
