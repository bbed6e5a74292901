// A step of AdamW.
struct Adam {
    i64 count;
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
    if (scale != scale) return w;
    g *= scale;
    mean = mean * a.keep_mean + g * a.new_mean;
    square = square * a.keep_square + g * g * a.new_square;
    float update = mean * a.first / (sqrtf(square * a.second) + a.epsilon);
    return w * a.kept - update * a.rate;
}

// All is in f32, and may be written over what was read. Where the scale of gradients is no number, all stays as it is.
extern "C" __global__ void __launch_bounds__(256) adamw(
    const float* weight, const float* grad, const float* mean, const float* square, float* new_weight, float* new_mean,
    float* new_square, const float* by, const __grid_constant__ Adam a) {
    float scale = *by;
    i64 at = ((i64)blockIdx.x * 256 + threadIdx.x) * 4;
    if (at + 4 <= a.count) {
        float w[4], g[4], m[4], s[4];
        load(weight + at, w);
        load(grad + at, g);
        load(mean + at, m);
        load(square + at, s);
#pragma unroll
        for (int e = 0; e < 4; e++) w[e] = adam(w[e], g[e], m[e], s[e], scale, a);
        store(new_weight + at, w);
        store(new_mean + at, m);
        store(new_square + at, s);
        return;
    }
    for (; at < a.count; at++) {
        float m = mean[at], s = square[at];
        new_weight[at] = adam(weight[at], grad[at], m, s, scale, a);
        new_mean[at] = m;
        new_square[at] = s;
    }
}
