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

// Turns a query or a key as its place says, behind its norm, or takes a value as it is: a warp for each head. Keys and values go to the
// cache.
__device__ __forceinline__ void turn(const Attention& given, int row, int slot, int place, int part, float* query) {
    int lane = threadIdx.x % 32, head = part - given.heads;
    const float* x = given.all + (i64)row * given.stride + part * HEAD;
    i64 kept = (((i64)slot * given.kept + head) * given.context + place) * WIDE;
    if (head >= given.kept) {
        Number* to = given.values + kept - (i64)given.kept * given.context * WIDE;
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
    Number* key = given.keys + kept;
    // Queries take with them what logits are multiplied by.
    float times = rsqrtf((float)HEAD) * LOG2_E;
    for (int at = lane; at < HEAD / 2; at += 32) {
        float first = x[at] * scale, second = x[at + HEAD / 2] * scale;
        if (weight) first *= weight[at], second *= weight[at + HEAD / 2];
        float cosine = given.cosines[(i64)place * (HEAD / 2) + at], sine = given.sines[(i64)place * (HEAD / 2) + at];
        float one = first * cosine - second * sine, two = first * sine + second * cosine;
        if (head < 0) {
            query[at] = one * times, query[at + HEAD / 2] = two * times;
        } else {
            key[at] = narrow(one), key[at + HEAD / 2] = narrow(two);
        }
    }
    if (head >= 0)
        for (int at = HEAD + lane; at < WIDE; at += 32) key[at] = narrow(0.0f);
}

extern "C" __global__ void keep_heads(const __grid_constant__ Attention given) {
    int warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32, parts = given.heads + 2 * given.kept, row = warp / parts, part = warp % parts;
    let_next_begin();
    settle();
    if (row < given.rows) turn(given, row, given.slots[row], given.places[row], part, given.queries + ((i64)row * given.heads + part) * HEAD);
}
