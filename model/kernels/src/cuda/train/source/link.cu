// Chains (BK-Core), and their way back. A block has a chain of a sequence, and each of its threads SPAN tokens that follow each other. What a span
// does to that which comes in is known before it does: so first all spans are put together, and then each is gone through.
typedef unsigned int u32;
typedef long long i64;

struct Link {
    u32 tokens;
    u32 chains;
    // Tokens of a thread.
    u32 span;
    u32 nothing;
};

struct Complex {
    float re, im;
};

__device__ __forceinline__ Complex operator+(Complex x, Complex y) { return {x.re + y.re, x.im + y.im}; }
__device__ __forceinline__ Complex operator-(Complex x, Complex y) { return {x.re - y.re, x.im - y.im}; }
__device__ __forceinline__ Complex operator-(Complex x) { return {-x.re, -x.im}; }
__device__ __forceinline__ Complex operator*(float x, Complex y) { return {x * y.re, x * y.im}; }
__device__ __forceinline__ Complex operator*(Complex x, Complex y) {
    return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}
__device__ __forceinline__ Complex over_one(Complex x) {
    float inverse = 1.0f / (x.re * x.re + x.im * x.im);
    return {x.re * inverse, -x.im * inverse};
}
__device__ __forceinline__ float size(Complex x) { return fmaxf(fabsf(x.re), fabsf(x.im)); }

// What becomes of that which is handed on: h to (a h + b) / (c h + d).
struct Turn {
    Complex a, b, c, d;
};

// Only the ways of the four numbers to each other count.
__device__ __forceinline__ Turn scaled(Turn x) {
    float most = fmaxf(fmaxf(size(x.a), size(x.b)), fmaxf(size(x.c), size(x.d)));
    float by = most > 0.0f ? 1.0f / most : 1.0f;
    return {by * x.a, by * x.b, by * x.c, by * x.d};
}

__device__ __forceinline__ Turn after(const Turn& x, const Turn& y) {
    return scaled({x.a * y.a + x.b * y.c, x.a * y.b + x.b * y.d, x.c * y.a + x.d * y.c, x.c * y.b + x.d * y.d});
}

// What becomes of what the loss asks of a token: s to a + b s.
struct Ask {
    Complex a, b;
};

__device__ __forceinline__ Ask after(const Ask& x, const Ask& y) { return {x.a + x.b * y.a, x.b * y.b}; }

// All that was before a thread, in their order: that of thread 0 is of no use.
template <typename T>
__device__ __forceinline__ T before(T own, T* shared) {
    for (u32 far = 1; far < THREADS; far *= 2) {
        shared[threadIdx.x] = own;
        __syncthreads();
        if (threadIdx.x >= far) own = after(own, shared[threadIdx.x - far]);
        __syncthreads();
    }
    shared[threadIdx.x] = own;
    __syncthreads();
    return shared[threadIdx.x == 0 ? 0 : threadIdx.x - 1];
}

extern "C" __global__ void __launch_bounds__(THREADS) link_chains(
    const float* __restrict__ links, const float* __restrict__ eta, const int* __restrict__ begins, float* __restrict__ out,
    const __grid_constant__ Link link) {
    __shared__ Turn shared[THREADS];
    u32 chain = blockIdx.x, across = 2 * link.chains;
    i64 sequence = (i64)blockIdx.y * link.tokens;
    const float* own = links + sequence * across + chain;
    begins += sequence;
    out += sequence * across + chain;
    float below = -eta[chain];
    u32 begin = min(threadIdx.x * link.span, link.tokens), end = min(begin + link.span, link.tokens);
    Turn all = {{1.0f, 0.0f}, {}, {}, {1.0f, 0.0f}};
    for (u32 at = begin; at < end; at++) {
        Complex s = {own[(i64)at * across], below};
        float k = own[(i64)at * across + link.chains];
        bool first = begins[at] == (int)at;
        Complex c = s * all.c, d = s * all.d;
        all = scaled({k * all.c, k * all.d, first ? c : c - all.a, first ? d : d - all.b});
    }
    Turn come = before(all, shared);
    Complex handed = threadIdx.x == 0 ? Complex{} : come.b * over_one(come.d);
    for (u32 at = begin; at < end; at++) {
        Complex s = {own[(i64)at * across], below};
        if (begins[at] == (int)at) handed = {};
        Complex found = over_one(s - handed);
        out[(i64)at * across] = found.re;
        out[(i64)at * across + link.chains] = found.im;
        handed = own[(i64)at * across + link.chains] * found;
    }
}

// From the last token to the first. `of_eta` has a number of each chain of each sequence.
extern "C" __global__ void __launch_bounds__(THREADS) link_chains_back(
    const float* __restrict__ links, const float* __restrict__ found, const int* __restrict__ begins,
    const float* __restrict__ grad, float* __restrict__ out, float* __restrict__ of_eta, const __grid_constant__ Link link) {
    __shared__ Ask shared[THREADS];
    u32 chain = blockIdx.x, across = 2 * link.chains;
    i64 sequence = (i64)blockIdx.y * link.tokens, place = sequence * across + chain;
    links += place, found += place, grad += place, out += place;
    begins += sequence;
    // The first thread has the last tokens.
    u32 end = link.tokens - min(threadIdx.x * link.span, link.tokens), begin = end - min(link.span, end);
    // What a token asks by itself, and how much it takes over of what the one behind it asks.
    auto of = [&](u32 at) -> Ask {
        i64 row = (i64)at * across;
        Complex g = {found[row], found[row + link.chains]}, h = {grad[row], -grad[row + link.chains]};
        Complex square = g * g;
        bool on = at + 1 < link.tokens && begins[at + 1] != (int)(at + 1);
        return {-(square * h), on ? links[row + link.chains] * square : Complex{}};
    };
    Ask all = {{}, {1.0f, 0.0f}};
    for (u32 at = end; at-- > begin;) all = after(of(at), all);
    Ask come = before(all, shared);
    Complex behind = threadIdx.x == 0 ? Complex{} : come.a;
    float sum = 0.0f;
    for (u32 at = end; at-- > begin;) {
        i64 row = (i64)at * across;
        Complex g = {found[row], found[row + link.chains]};
        bool on = at + 1 < link.tokens && begins[at + 1] != (int)(at + 1);
        out[row + link.chains] = on ? -(behind * g).re : 0.0f;
        Ask own = of(at);
        behind = own.a + own.b * behind;
        out[row] = behind.re;
        sum += behind.im;
    }
    // In an order that is always the same.
    __shared__ float sums[THREADS];
    sums[threadIdx.x] = sum;
    for (u32 far = THREADS / 2; far > 0; far /= 2) {
        __syncthreads();
        if (threadIdx.x < far) sums[threadIdx.x] += sums[threadIdx.x + far];
    }
    if (threadIdx.x == 0) of_eta[(i64)blockIdx.y * link.chains + chain] = sums[0];
}
