// What is done number by number: SwiGLU, rotary places, dropping, and AdamW.
struct Many {
    i64 count;
};

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + __expf(-x)); }

// A thread has EACH numbers side by side; the last one may have fewer.
#define PIECE i64 at = ((i64)blockIdx.x * 256 + threadIdx.x) * EACH

extern "C" __global__ void __launch_bounds__(256) swiglu(
    const Number* __restrict__ gate, const Number* __restrict__ up, Number* __restrict__ y, const __grid_constant__ Many many) {
    PIECE;
    if (at + EACH <= many.count) {
        float g[EACH], u[EACH];
        load(gate + at, g);
        load(up + at, u);
#pragma unroll
        for (int e = 0; e < EACH; e++) g[e] *= sigmoid(g[e]) * u[e];
        store(y + at, g);
        return;
    }
    for (; at < many.count; at++) {
        float g = one(gate[at]);
        put(y + at, g * sigmoid(g) * one(up[at]));
    }
}

__device__ __forceinline__ void swiglu_turn(float& gate, float& up, float grad) {
    float sigma = sigmoid(gate), silu = gate * sigma;
    float of_gate = grad * up * sigma * (1.0f + gate - silu);
    up = grad * silu;
    gate = of_gate;
}

extern "C" __global__ void __launch_bounds__(256) swiglu_back(
    const Number* __restrict__ gate, const Number* __restrict__ up, const Number* __restrict__ grad, Number* __restrict__ of_gate,
    Number* __restrict__ of_up, const __grid_constant__ Many many) {
    PIECE;
    if (at + EACH <= many.count) {
        float g[EACH], u[EACH], back[EACH];
        load(gate + at, g);
        load(up + at, u);
        load(grad + at, back);
#pragma unroll
        for (int e = 0; e < EACH; e++) swiglu_turn(g[e], u[e], back[e]);
        store(of_gate + at, g);
        store(of_up + at, u);
        return;
    }
    for (; at < many.count; at++) {
        float g = one(gate[at]), u = one(up[at]);
        swiglu_turn(g, u, one(grad[at]));
        put(of_gate + at, g);
        put(of_up + at, u);
    }
}

struct Turn {
    u32 rows;
    u32 heads;
    u32 half;
    float sign;
};

// A thread has EACH numbers of the first half of a head and the same of the second, of TOGETHER heads: they have the same angles.
extern "C" __global__ void __launch_bounds__(256) rotate(
    const Number* __restrict__ x, const float* __restrict__ cos, const float* __restrict__ sin, const int* __restrict__ positions,
    Number* __restrict__ y, const __grid_constant__ Turn turn) {
    u32 pieces = turn.half / EACH, groups = (turn.heads + TOGETHER - 1) / TOGETHER;
    i64 own = (i64)blockIdx.x * 256 + threadIdx.x, rest = own / pieces;
    if (rest >= (i64)turn.rows * groups) return;
    u32 within = (u32)(own % pieces) * EACH, first_head = (u32)(rest % groups) * TOGETHER;
    i64 row = rest / groups;
    i64 angle = (i64)positions[row] * turn.half + within;
    i64 at = (row * turn.heads + first_head) * 2 * turn.half + within;
    float first[TOGETHER][EACH], second[TOGETHER][EACH], c[EACH], s[EACH];
    // All is asked for before any of it is used.
#pragma unroll
    for (int head = 0; head < TOGETHER; head++) {
        if (first_head + head >= turn.heads) continue;
        load(x + at + head * 2 * turn.half, first[head]);
        load(x + at + (head * 2 + 1) * turn.half, second[head]);
    }
    load(cos + angle, c);
    load(sin + angle, s);
#pragma unroll
    for (int head = 0; head < TOGETHER; head++) {
        if (first_head + head >= turn.heads) continue;
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            float before = first[head][e], by = s[e] * turn.sign;
            first[head][e] = before * c[e] - second[head][e] * by;
            second[head][e] = before * by + second[head][e] * c[e];
        }
        store(y + at + head * 2 * turn.half, first[head]);
        store(y + at + (head * 2 + 1) * turn.half, second[head]);
    }
}

struct Adam {
    i64 count;
    float scale;
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

__device__ __forceinline__ float adam(float w, float g, float& mean, float& square, const Adam& a) {
    g *= a.scale;
    mean = mean * a.keep_mean + g * a.new_mean;
    square = square * a.keep_square + g * g * a.new_square;
    float update = mean * a.first / (sqrtf(square * a.second) + a.epsilon);
    return w * a.kept - update * a.rate;
}

// All is in f32, and may be written over what was read.
extern "C" __global__ void __launch_bounds__(256) adamw(
    const float* weight, const float* grad, const float* mean, const float* square, float* new_weight, float* new_mean,
    float* new_square, const __grid_constant__ Adam a) {
    i64 at = ((i64)blockIdx.x * 256 + threadIdx.x) * 4;
    if (at + 4 <= a.count) {
        float w[4], g[4], m[4], s[4];
        load(weight + at, w);
        load(grad + at, g);
        load(mean + at, m);
        load(square + at, s);
#pragma unroll
        for (int e = 0; e < 4; e++) w[e] = adam(w[e], g[e], m[e], s[e], a);
        store(new_weight + at, w);
        store(new_mean + at, m);
        store(new_square + at, s);
        return;
    }
    for (; at < a.count; at++) {
        float m = mean[at], s = square[at];
        new_weight[at] = adam(weight[at], grad[at], m, s, a);
        new_mean[at] = m;
        new_square[at] = s;
    }
}
