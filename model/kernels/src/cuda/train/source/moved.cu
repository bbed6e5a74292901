// Weights that go some way each.
struct Move {
    Side side;
    // What decay leaves of a weight.
    float kept;
    float rate;
};

__device__ __forceinline__ float moved_by(float w, float way, const Move& move) { return w * move.kept - way * move.rate; }

__device__ __forceinline__ void load_wide(const float* from, float (&x)[EACH]) { load(from, x); }
__device__ __forceinline__ void store_wide(float* to, const float (&x)[EACH]) {
#pragma unroll
    for (int at = 0; at < EACH; at += 4) *(float4*)(to + at) = make_float4(x[at], x[at + 1], x[at + 2], x[at + 3]);
}

// A block moves PART numbers of a weight of f32, where they lie. They stay where the scale of gradients is no number.
extern "C" __global__ void __launch_bounds__(256) moved(
    EACH_OF(float*, w), EACH_OF(const Number*, x), const float* by, const __grid_constant__ Move move) {
    if (*by != *by) return;
    float* const all_w[SIDE] = {ALL_OF(w)};
    const Number* const all_x[SIDE] = {ALL_OF(x)};
    Share share(move.side);
    float* weight = share.of(all_w);
    const Number* way = share.of(all_x);
    i64 begin = (i64)share.block * PART, end = min(begin + PART, share.count), whole = end - (end - begin) % EACH;
#pragma unroll 2
    for (i64 at = begin + threadIdx.x * EACH; at < whole; at += 256 * EACH) {
        float w[EACH], x[EACH];
        load_wide(weight + at, w);
        load(way + at, x);
#pragma unroll
        for (int e = 0; e < EACH; e++) w[e] = moved_by(w[e], x[e], move);
        store_wide(weight + at, w);
    }
    for (i64 at = whole + threadIdx.x; at < end; at += 256) weight[at] = moved_by(weight[at], one(way[at]), move);
}
