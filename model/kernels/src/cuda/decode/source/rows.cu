// What is done to rows, one by one: weights brought to their places, tokens looked up, norms.

// Brings rows in f32 to their places in a weight, a warp for each chunk of a row. `way` says which row becomes which: 0 the same,
// from `first` on; 1 and 2 are the gates and the other halves of a pair, which stand so that a lane has both.
extern "C" __global__ void keep(const float* from, Number* to, i8* codes, u16* scales, int rows, int width, int chunks, int first,
                                int way) {
    i64 warp = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int lane = threadIdx.x % 32, row = warp / chunks, chunk = warp % chunks, at = chunk * CHUNK + lane;
    if (row >= rows) return;
    float x = at < width ? from[(i64)row * width + at] : 0.0f;
    int target = first + row;
#if KEPT == 0
    if (way) target = target * 2 + way - 1;
#else
    if (way) target = target / 8 * TILE + target % 8 + (way - 1) * 8;
#endif
#if KEPT == 2
    float most = fabsf(x);
    for (int far = 16; far > 0; far /= 2) most = fmaxf(most, __shfl_xor_sync(ALL, most, far));
    float times = most > 0.0f ? 127.0f / most : 0.0f;
    codes[place_of(target, at, chunks)] = (i8)roundf(x * times);
    if (lane == 0) scales[scale_of(target, chunk, chunks)] = to_half(most / 127.0f);
#else
    to[place_of(target, at, chunks)] = narrow(x);
#endif
}

// A number of a row of a weight.
__device__ __forceinline__ float looked_up(int row, int at, const Number* weight, const i8* codes, const u16* scales, int chunks) {
#if KEPT == 2
    return (float)codes[place_of(row, at, chunks)] * from_half(scales[scale_of(row, at / CHUNK, chunks)]);
#else
    return wide(weight[place_of(row, at, chunks)]);
#endif
}

extern "C" __global__ void look_up(const int* ids, const Number* weight, const i8* codes, const u16* scales, float* out, int width,
                                   int chunks) {
    let_next_begin();
    int row = blockIdx.x, id = ids[row];
    for (int at = threadIdx.x; at < chunks * CHUNK; at += blockDim.x) {
        float x = looked_up(id, at, weight, codes, scales, chunks);
        out[(i64)row * chunks * CHUNK + at] = at < width ? x : 0.0f;
    }
}

// A block for each row. `which` names the rows that are wanted, where not all are.
extern "C" __global__ void norm_rows(const float* x, const int* which, const float* weight, Number* out, int width, int stride,
                                int out_stride, float epsilon) {
    __shared__ float parts[32];
    let_next_begin();
    settle();
    int row = which ? which[blockIdx.x] : blockIdx.x, warps = blockDim.x / 32;
    x += (i64)row * stride;
    out += (i64)blockIdx.x * out_stride;
    float sum = 0.0f;
    for (int at = threadIdx.x; at < width; at += blockDim.x) sum += x[at] * x[at];
    sum = sum_of_warp(sum);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = sum_of_warp(threadIdx.x % 32 < warps ? parts[threadIdx.x % 32] : 0.0f);
    float scale = rsqrtf(sum / width + epsilon);
    for (int at = threadIdx.x; at < out_stride; at += blockDim.x) out[at] = narrow(at < width ? x[at] * scale * weight[at] : 0.0f);
}

// Rows rounded to codes of 8 bits by their largest number, which is what weights of three values are multiplied by: a block for each part
// of a row, of which there are so many side by side. Numbers that lie half-way come to the larger code, as everywhere (plain/round.rs).
extern "C" __global__ void round_rows(const Number* x, Number* out, int width, int parts, int stride) {
    __shared__ float most[32];
    let_next_begin();
    settle();
    int row = blockIdx.x / parts, part = blockIdx.x % parts, warps = blockDim.x / 32;
    x += (i64)row * stride + part * width;
    out += (i64)row * stride + part * width;
    float largest = 0.0f;
    for (int at = threadIdx.x; at < width; at += blockDim.x) largest = fmaxf(largest, fabsf(wide(x[at])));
    for (int round = 0; round < 2; round++) {
        for (int far = 16; far > 0; far /= 2) largest = fmaxf(largest, __shfl_xor_sync(ALL, largest, far));
        if (round) break;
        if (threadIdx.x % 32 == 0) most[threadIdx.x / 32] = largest;
        __syncthreads();
        largest = threadIdx.x % 32 < warps ? most[threadIdx.x % 32] : 0.0f;
    }
    float times = largest > 0.0f ? 127.0f * (1.0f + 1.0f / 131072.0f) / largest : 0.0f, scale = largest / 127.0f;
    // Behind the last part there are zeros.
    int end = part + 1 < parts ? width : stride - part * width;
    for (int at = threadIdx.x; at < end; at += blockDim.x) out[at] = narrow(at < width ? roundf(wide(x[at]) * times) * scale : 0.0f);
}

// The number of the largest of a row's first `among` numbers, the first of equals: a block for each row.
extern "C" __global__ void likeliest(const float* x, float* out, int among, int stride) {
    __shared__ float most[32];
    __shared__ int where[32];
    let_next_begin();
    settle();
    x += (i64)blockIdx.x * stride;
    float best = __int_as_float(0xff800000);
    int at = 0x7fffffff;
    for (int begin = threadIdx.x; begin < among; begin += 8 * blockDim.x) {
        float eight[8];
#pragma unroll
        for (int one = 0; one < 8; one++) eight[one] = x[min(begin + one * blockDim.x, among - 1)];
#pragma unroll
        for (int one = 0; one < 8; one++) {
            int place = begin + one * blockDim.x;
            if (place < among && eight[one] > best) best = eight[one], at = place;
        }
    }
    for (int round = 0; round < 2; round++) {
        for (int far = 16; far > 0; far /= 2) {
            float other = __shfl_xor_sync(ALL, best, far);
            int there = __shfl_xor_sync(ALL, at, far);
            if (other > best || (other == best && there < at)) best = other, at = there;
        }
        if (round) break;
        if (threadIdx.x % 32 == 0) most[threadIdx.x / 32] = best, where[threadIdx.x / 32] = at;
        __syncthreads();
        best = most[threadIdx.x % 32], at = where[threadIdx.x % 32];
    }
    if (threadIdx.x == 0) out[blockIdx.x] = at < among ? at : 0;
}
