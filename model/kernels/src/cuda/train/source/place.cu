// Queries and keys with their norms, turned by their places, and the way back. A head is WIDTH numbers: LANES threads have EACH of its
// first half and the same of its second.
#define LANES (WIDTH / 2 / EACH)
// Heads that are under way at once in a block.
#define GROUPS (256 / LANES)

struct Placing {
    u32 rows;
    // Heads of queries, those with keys, and all with values.
    u32 heads;
    u32 turned;
    u32 all;
    float epsilon;
    float sign;
};

__device__ __forceinline__ void turn(float (&a)[EACH], float (&b)[EACH], const float (&c)[EACH], const float (&s)[EACH], float sign) {
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        float before = a[e], by = s[e] * sign;
        a[e] = before * c[e] - b[e] * by;
        b[e] = before * by + b[e] * c[e];
    }
}

// Turns heads of queries and keys where they are. A thread does the same part of TOGETHER heads, which have the same angles.
extern "C" __global__ void __launch_bounds__(256) turn_heads(
    Number* x, const float* __restrict__ cos, const float* __restrict__ sin, const int* __restrict__ positions,
    const __grid_constant__ Placing p) {
    u32 groups = (p.turned + TOGETHER - 1) / TOGETHER;
    i64 own = (i64)blockIdx.x * 256 + threadIdx.x, rest = own / LANES;
    if (rest >= (i64)p.rows * groups) return;
    u32 within = (u32)(own % LANES) * EACH, first_head = (u32)(rest % groups) * TOGETHER;
    i64 row = rest / groups, angle = (i64)positions[row] * (WIDTH / 2) + within;
    Number* at = x + (row * p.all + first_head) * WIDTH + within;
    float first[TOGETHER][EACH], second[TOGETHER][EACH], c[EACH], s[EACH];
    // All is asked for before any of it is used.
#pragma unroll
    for (int head = 0; head < TOGETHER; head++) {
        if (first_head + head >= p.turned) continue;
        load(at + head * WIDTH, first[head]);
        load(at + head * WIDTH + WIDTH / 2, second[head]);
    }
    load(cos + angle, c);
    load(sin + angle, s);
#pragma unroll
    for (int head = 0; head < TOGETHER; head++) {
        if (first_head + head >= p.turned) continue;
        turn(first[head], second[head], c, s, p.sign);
        store(at + head * WIDTH, first[head]);
        store(at + head * WIDTH + WIDTH / 2, second[head]);
    }
}

// The sum over a head's threads.
__device__ __forceinline__ float sum_of_head(float x) {
#pragma unroll
    for (int far = LANES / 2; far > 0; far /= 2) x += __shfl_xor_sync(ALL, x, far);
    return x;
}

__device__ __forceinline__ float square_of(const float (&a)[EACH], const float (&b)[EACH]) {
    float sum = 0.0f;
#pragma unroll
    for (int e = 0; e < EACH; e++) sum += a[e] * a[e] + b[e] * b[e];
    return sum_of_head(sum);
}

// Norms and turns; values are as they were.
extern "C" __global__ void __launch_bounds__(256) place_heads(
    const Number* __restrict__ x, const float* __restrict__ cos, const float* __restrict__ sin, const int* __restrict__ positions,
    const float* __restrict__ query_norm, const float* __restrict__ key_norm, Number* __restrict__ y,
    const __grid_constant__ Placing p) {
    i64 own = (i64)blockIdx.x * 256 + threadIdx.x, number = own / LANES, last = (i64)p.rows * p.all - 1;
    // The threads of a warp stay together, since they ask each other.
    bool there = number <= last;
    if (!there) number = last;
    i64 row = number / p.all;
    u32 head = (u32)(number % p.all), within = (u32)(own % LANES) * EACH;
    i64 at = number * WIDTH + within;
    float a[EACH], b[EACH];
    load(x + at, a);
    load(x + at + WIDTH / 2, b);
    float scale = rsqrtf(square_of(a, b) / WIDTH + p.epsilon);
    if (head < p.turned) {
        const float* norm = (head < p.heads ? query_norm : key_norm) + within;
        i64 angle = (i64)positions[row] * (WIDTH / 2) + within;
        float c[EACH], s[EACH], w[EACH];
        load(norm, w);
#pragma unroll
        for (int e = 0; e < EACH; e++) a[e] *= scale * w[e];
        load(norm + WIDTH / 2, w);
#pragma unroll
        for (int e = 0; e < EACH; e++) b[e] *= scale * w[e];
        load(cos + angle, c);
        load(sin + angle, s);
        turn(a, b, c, s, 1.0f);
    }
    if (!there) return;
    store(y + at, a);
    store(y + at + WIDTH / 2, b);
}

// Each block has heads of its own, far apart, and adds up what they say of the norms: a row of `parts` a block, that of queries and
// that of keys. Gradients of values stay where they are.
extern "C" __global__ void __launch_bounds__(256) place_heads_back(
    const Number* __restrict__ x, const float* __restrict__ cos, const float* __restrict__ sin, const int* __restrict__ positions,
    const float* __restrict__ query_norm, const float* __restrict__ key_norm, Number* grad, float* __restrict__ parts,
    const __grid_constant__ Placing p) {
    __shared__ float sums[2][WIDTH];
    // Of queries and of keys, first half and second.
    float of_norms[2][2][EACH] = {};
    u32 within = threadIdx.x % LANES * EACH;
    i64 last = (i64)p.rows * p.turned - 1;
    for (i64 begin = (i64)blockIdx.x * GROUPS; begin <= last; begin += (i64)gridDim.x * GROUPS) {
        i64 number = begin + threadIdx.x / LANES;
        bool there = number <= last;
        if (!there) number = last;
        i64 row = number / p.turned;
        u32 head = (u32)(number % p.turned);
        bool query = head < p.heads;
        i64 at = (row * p.all + head) * WIDTH + within, angle = (i64)positions[row] * (WIDTH / 2) + within;
        const float* norm = (query ? query_norm : key_norm) + within;
        float a[EACH], b[EACH], g[EACH], h[EACH], c[EACH], s[EACH];
        load(x + at, a);
        load(x + at + WIDTH / 2, b);
        load(grad + at, g);
        load(grad + at + WIDTH / 2, h);
        load(cos + angle, c);
        load(sin + angle, s);
        turn(g, h, c, s, -1.0f);
        float scale = rsqrtf(square_of(a, b) / WIDTH + p.epsilon), along = 0.0f;
        // Angles are used up: their places take the norm.
        load(norm, c);
        load(norm + WIDTH / 2, s);
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            float one = there ? g[e] * a[e] * scale : 0.0f, other = there ? h[e] * b[e] * scale : 0.0f;
            of_norms[0][0][e] += query ? one : 0.0f, of_norms[0][1][e] += query ? other : 0.0f;
            of_norms[1][0][e] += query ? 0.0f : one, of_norms[1][1][e] += query ? 0.0f : other;
            g[e] *= c[e], h[e] *= s[e];
            along += g[e] * a[e] + h[e] * b[e];
        }
        along = sum_of_head(along) * scale * scale / WIDTH;
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            g[e] = (g[e] - a[e] * along) * scale;
            h[e] = (h[e] - b[e] * along) * scale;
        }
        if (!there) continue;
        store(grad + at, g);
        store(grad + at + WIDTH / 2, h);
    }
    // First over a warp, then one warp after the other, so that the sum has an order.
#pragma unroll
    for (int which = 0; which < 4; which++)
#pragma unroll
        for (int e = 0; e < EACH; e++)
#pragma unroll
            for (int far = 16; far >= LANES; far /= 2)
                of_norms[which / 2][which % 2][e] += __shfl_xor_sync(ALL, of_norms[which / 2][which % 2][e], far);
    for (int warp = 0; warp < 8; warp++) {
        if (threadIdx.x / 32 == warp && threadIdx.x % 32 < LANES) {
#pragma unroll
            for (int which = 0; which < 4; which++)
#pragma unroll
                for (int e = 0; e < EACH; e++) {
                    float* to = &sums[which / 2][which % 2 * (WIDTH / 2) + within + e];
                    *to = (warp ? *to : 0.0f) + of_norms[which / 2][which % 2][e];
                }
        }
        __syncthreads();
    }
    for (int at = threadIdx.x; at < 2 * WIDTH; at += 256) parts[(i64)blockIdx.x * 2 * WIDTH + at] = sums[at / WIDTH][at % WIDTH];
}
