// A step of AdamW.
struct Adam {
    Side side;
    // What each mean keeps, and how much of the new comes in.
    float keep_mean;
    float keep_square;
    float new_mean;
    float new_square;
    // One over what the means are divided by, since they began at zero.
    float first;
    float second;
    float epsilon;
    float rate;
    // What decay leaves of a weight.
    float kept;
};

__device__ __forceinline__ float adam(float w, float g, float& mean, float& square, float scale, const Adam& a) {
    g *= scale;
    mean = mean * a.keep_mean + g * a.new_mean;
    square = square * a.keep_square + g * g * a.new_square;
    float update = mean * a.first / (sqrtf(square * a.second) + a.epsilon);
    return w * a.kept - update * a.rate;
}

// A block changes PART numbers of a weight, all in f32, where they lie. Where the scale of gradients is no number, all stays as it is.
extern "C" __global__ void __launch_bounds__(256) adamw(
    EACH_OF(float*, w), EACH_OF(const float*, g), EACH_OF(float*, m), EACH_OF(float*, s), const float* by,
    const __grid_constant__ Adam a) {
    float scale = *by;
    if (scale != scale) return;
    float* const all_w[SIDE] = {ALL_OF(w)};
    const float* const all_g[SIDE] = {ALL_OF(g)};
    float* const all_m[SIDE] = {ALL_OF(m)};
    float* const all_s[SIDE] = {ALL_OF(s)};
    Share share(a.side);
    float *weight = share.of(all_w), *mean = share.of(all_m), *square = share.of(all_s);
    const float* grad = share.of(all_g);
    i64 begin = (i64)share.block * PART, end = min(begin + PART, share.count), whole = end - (end - begin) % 4;
#pragma unroll 4
    for (i64 at = begin + threadIdx.x * 4; at < whole; at += 256 * 4) {
        float w[4], g[4], m[4], s[4];
        load(weight + at, w);
        load(grad + at, g);
        load(mean + at, m);
        load(square + at, s);
#pragma unroll
        for (int e = 0; e < 4; e++) w[e] = adam(w[e], g[e], m[e], s[e], scale, a);
        store(weight + at, w);
        store(mean + at, m);
        store(square + at, s);
    }
    for (i64 at = whole + threadIdx.x; at < end; at += 256) {
        float m = mean[at], s = square[at];
        weight[at] = adam(weight[at], grad[at], m, s, scale, a);
        mean[at] = m, square[at] = s;
    }
}
