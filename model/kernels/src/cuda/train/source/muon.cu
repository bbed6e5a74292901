// The step of Muon but for its products: momentum takes gradients in, and what comes of it lies in bf16 as a stack of matrices.
__device__ __forceinline__ void store(float* to, const float (&x)[8]) {
    float half[4] = {x[0], x[1], x[2], x[3]};
    store(to, half);
#pragma unroll
    for (int at = 0; at < 4; at++) half[at] = x[4 + at];
    store(to + 4, half);
}

struct Push {
    // Numbers of a matrix, and from one to the next in the stack.
    i64 count;
    i64 apart;
    // Which matrix of the stack is the first of these.
    u32 first;
    float momentum;
    u32 nesterov;
};

// Gives where momentum goes, and momentum in its own place. Both stay where they are where the scale of gradients is no number.
__device__ __forceinline__ float ahead(float grad, float& momentum, float scale, const Push& push) {
    if (scale != scale) return momentum;
    grad *= scale;
    momentum = momentum * push.momentum + grad;
    return push.nesterov ? grad + momentum * push.momentum : momentum;
}

#define EIGHT(type, name) \
    type name##0, type name##1, type name##2, type name##3, type name##4, type name##5, type name##6, type name##7
#define CHOSEN(name) \
    (at == 0 ? name##0 : at == 1 ? name##1 : at == 2 ? name##2 : at == 3 ? name##3 \
    : at == 4 ? name##4 : at == 5 ? name##5 : at == 6 ? name##6 : name##7)

// Up to eight matrices, since to start a kernel takes as long as one of them: a row of blocks each. Momentum may be written over.
// Each block gives the sum of the squares of what it wrote to the stack.
extern "C" __global__ void __launch_bounds__(256) push_all(
    EIGHT(const float*, grad), EIGHT(const float*, momentum), EIGHT(float*, kept), u16* stack, float* parts,
    const float* by, const __grid_constant__ Push push) {
    __shared__ float shared[8];
    u32 at = blockIdx.y;
    const float *grad = CHOSEN(grad), *momentum = CHOSEN(momentum);
    float *kept = CHOSEN(kept), scale = *by;
    u16* own = stack + (push.first + at) * push.apart;
    i64 pieces = push.count / 8, stride = (i64)gridDim.x * 256;
    float sum = 0.0f;
    for (i64 piece = (i64)blockIdx.x * 256 + threadIdx.x; piece < pieces; piece += stride) {
        float g[8], m[8];
        load(grad + piece * 8, g);
        load(momentum + piece * 8, m);
#pragma unroll
        for (int e = 0; e < 8; e++) {
            g[e] = ahead(g[e], m[e], scale, push);
            sum += g[e] * g[e];
        }
        store(kept + piece * 8, m);
        store(own + piece * 8, g);
    }
    i64 last = pieces * 8 + threadIdx.x;
    if (blockIdx.x == 0 && last < push.count) {
        float m = momentum[last], g = ahead(grad[last], m, scale, push);
        kept[last] = m;
        put(own + last, g);
        sum += g * g;
    }
    sum = sum_of_block(sum, shared);
    if (threadIdx.x == 0) parts[(push.first + at) * gridDim.x + blockIdx.x] = sum;
}

struct One {
    i64 count;
    i64 apart;
    // How many blocks summed up squares of a matrix.
    u32 shares;
    float smallest;
};

// Brings each matrix of the stack to a Frobenius norm of one: a row of blocks each.
extern "C" __global__ void __launch_bounds__(256) to_one(u16* stack, const float* parts, const __grid_constant__ One one) {
    __shared__ float shared[8];
    float sum = 0.0f;
    for (u32 share = threadIdx.x; share < one.shares; share += 256) sum += parts[blockIdx.y * one.shares + share];
    float by = 1.0f / (sqrtf(sum_of_block(sum, shared)) + one.smallest);
    u16* own = stack + blockIdx.y * one.apart;
    i64 pieces = one.count / 8, stride = (i64)gridDim.x * 256;
    for (i64 piece = (i64)blockIdx.x * 256 + threadIdx.x; piece < pieces; piece += stride) {
        float x[8];
        load(own + piece * 8, x);
#pragma unroll
        for (int e = 0; e < 8; e++) x[e] *= by;
        store(own + piece * 8, x);
    }
    i64 last = pieces * 8 + threadIdx.x;
    if (blockIdx.x == 0 && last < one.count) put(own + last, from_bf16(own[last]) * by);
}
