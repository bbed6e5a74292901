// SwiGLU: a row has its gates and, behind them, what they let through. A thread has STEP numbers of a row, side by side.
struct Gates {
    // Pieces of all rows, and of one half of a row.
    u32 pieces;
    u32 half;
};

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + __expf(-x)); }

// Where a thread's piece lies: among results, and among gates.
#define PIECE                                                                    \
    u32 piece = blockIdx.x * 256 + threadIdx.x, row = piece / gates.half;        \
    if (piece >= gates.pieces) return;                                           \
    i64 own = (i64)piece * STEP, gate = own + (i64)row * gates.half * STEP, up = gate + (i64)gates.half * STEP

extern "C" __global__ void __launch_bounds__(256) swiglu(
    const Number* __restrict__ both, Number* __restrict__ y, const __grid_constant__ Gates gates) {
    PIECE;
    float g[STEP], u[STEP];
    TAKE(both + gate, g);
    TAKE(both + up, u);
#pragma unroll
    for (int e = 0; e < STEP; e++) g[e] *= sigmoid(g[e]) * u[e];
    GIVE(y + own, g);
}

// What SwiGLU gave comes out again.
extern "C" __global__ void __launch_bounds__(256) swiglu_back(
    const Number* __restrict__ both, const Number* __restrict__ grad, Number* __restrict__ y, Number* __restrict__ back,
    const __grid_constant__ Gates gates) {
    PIECE;
    float g[STEP], u[STEP], d[STEP], out[STEP];
    TAKE(both + gate, g);
    TAKE(both + up, u);
    TAKE(grad + own, d);
#pragma unroll
    for (int e = 0; e < STEP; e++) {
        float sigma = sigmoid(g[e]), silu = g[e] * sigma;
        out[e] = silu * u[e];
        g[e] = d[e] * u[e] * sigma * (1.0f + g[e] - silu);
        u[e] = d[e] * silu;
    }
    GIVE(y + own, out);
    GIVE(back + gate, g);
    GIVE(back + up, u);
}
