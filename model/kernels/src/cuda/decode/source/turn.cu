// Queries and keys on their way to attention, and keys and values to the cache, where they lie as [slot, head, place, number].

// The exponent of 2 is what the hardware has.
#define LOG2_E 1.44269504088896340736f
// Numbers of a head that a lane has, and what a head takes in the cache.
#define OWN ((HEAD + SHARE - 1) / SHARE)
#define WIDE (OWN * SHARE)

// What attention is given: rows of queries, keys and values, whose texts they are and where they stand there, what turns them, and what
// is kept.
struct Attention {
    const float* all;
    const int *slots, *places;
    const float *cosines, *sines, *query_norm, *key_norm;
    // Queries that are turned. Without them each row is the only one of its text, and whoever attends turns what it needs by itself.
    float* queries;
    Number *keys, *values, *out;
    // Shares of parts of what is seen, and how many blocks are ready with theirs.
    float* parts;
    u32* ready;
    int rows, heads, kept, stride, context, window, splits, wide;
    float epsilon;
};

// Where a key or a value stands in the cache.
__device__ __forceinline__ Number* kept_at(const Attention& given, int slot, int part, int place) {
    int head = part - given.heads;
    bool value = head >= given.kept;
    i64 at = (((i64)slot * given.kept + head - (value ? given.kept : 0)) * given.context + place) * WIDE;
    return (value ? given.values : given.keys) + at;
}

// Turns a query or a key by its place's angles, behind its norm, or takes a value as it is: a warp for each head. A query goes to `query`,
// a key or a value to `to`.
__device__ __forceinline__ void turn(const Attention& given, const float* x, const float* cosines, const float* sines, int part, float* query,
                                     Number* to) {
    int lane = threadIdx.x % 32, head = part - given.heads;
    if (head >= given.kept) {
        for (int at = lane; at < WIDE; at += 32) to[at] = narrow(at < HEAD ? x[at] : 0.0f);
        return;
    }
    const float* weight = head < 0 ? given.query_norm : given.key_norm;
    float scale = 1.0f;
    if (weight) {
        float sum = 0.0f;
        for (int at = lane; at < HEAD; at += 32) sum += x[at] * x[at];
        scale = rsqrtf(sum_of_warp(sum) / HEAD + given.epsilon);
    }
    // Queries take with them what logits are multiplied by.
    float times = rsqrtf((float)HEAD) * LOG2_E;
    for (int at = lane; at < HEAD / 2; at += 32) {
        float first = x[at] * scale, second = x[at + HEAD / 2] * scale;
        if (weight) first *= weight[at], second *= weight[at + HEAD / 2];
        float cosine = cosines[at], sine = sines[at];
        float one = first * cosine - second * sine, two = first * sine + second * cosine;
        if (head < 0) {
            query[at] = one * times, query[at + HEAD / 2] = two * times;
        } else {
            to[at] = narrow(one), to[at + HEAD / 2] = narrow(two);
        }
    }
    if (head >= 0)
        for (int at = HEAD + lane; at < WIDE; at += 32) to[at] = narrow(0.0f);
}

extern "C" __global__ void keep_heads(const __grid_constant__ Attention given) {
    int warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32, parts = given.heads + 2 * given.kept, row = warp / parts, part = warp % parts;
    let_next_begin();
    settle();
    if (row >= given.rows) return;
    const float* x = given.all + (i64)row * given.stride + part * HEAD;
    float* query = given.queries + ((i64)row * given.heads + part) * HEAD;
    i64 angles = (i64)given.places[row] * (HEAD / 2);
    turn(given, x, given.cosines + angles, given.sines + angles, part, query, kept_at(given, given.slots[row], part, given.places[row]));
}
