// What links of chains are made of: potentials kept within bounds, couplings above nothing. A thread has one number.
struct Bound {
    u32 rows;
    u32 chains;
    float most;
    u32 nothing;
};

// Which number a thread has, and what stands in it behind its bias.
#define OWN                                                                                        \
    u32 at = blockIdx.x * 256 + threadIdx.x, across = 2 * bound.chains;                            \
    if (at >= bound.rows * across) return;                                                         \
    u32 column = at % across;                                                                      \
    bool couples = column >= bound.chains;                                                         \
    float x = one(both[at]) + (couples ? coupling[column - bound.chains] : potential[column])

// What is large is itself.
__device__ __forceinline__ float softplus(float x) { return x > 20.0f ? x : log1pf(__expf(x)); }

extern "C" __global__ void __launch_bounds__(256) bound_links(
    const Number* __restrict__ both, const float* __restrict__ potential, const float* __restrict__ coupling,
    float* __restrict__ links, const __grid_constant__ Bound bound) {
    OWN;
    links[at] = couples ? softplus(x) : bound.most * tanhf(x / bound.most);
}

extern "C" __global__ void __launch_bounds__(256) bound_links_back(
    const Number* __restrict__ both, const float* __restrict__ potential, const float* __restrict__ coupling,
    const float* __restrict__ grad, Number* __restrict__ of_both, float* __restrict__ of_bias,
    const __grid_constant__ Bound bound) {
    OWN;
    float turned = tanhf(x / bound.most);
    float slope = couples ? 1.0f / (1.0f + __expf(-x)) : 1.0f - turned * turned;
    float own = grad[at] * slope;
    put(of_both + at, own);
    of_bias[at] = own;
}
