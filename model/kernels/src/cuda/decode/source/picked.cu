// Rows that are picked for experts, and what came of them; and what they are picked by, which is not rounded.
struct Picked {
    u32 row;
    float share;
};

extern "C" __global__ void pick_rows(const Number* x, const Picked* picked, Number* out, int stride) {
    x += (i64)picked[blockIdx.x].row * stride, out += (i64)blockIdx.x * stride;
    for (int at = threadIdx.x; at < stride; at += blockDim.x) out[at] = x[at];
}

extern "C" __global__ void add_picked(float* sum, const float* given, const Picked* picked, int width, int sum_stride, int stride) {
    Picked one = picked[blockIdx.x];
    sum += (i64)one.row * sum_stride, given += (i64)blockIdx.x * stride;
    for (int at = threadIdx.x; at < width; at += blockDim.x) sum[at] += one.share * given[at];
}

// Products with rows of a weight in f32: a block for each row, whose warps take a row of the weight by turns.
extern "C" __global__ void exact_rows(const Number* x, const float* weight, float* out, int width, int outs, int stride) {
    x += (i64)blockIdx.x * stride;
    for (int row = threadIdx.x / 32; row < outs; row += blockDim.x / 32) {
        float sum = 0.0f;
        for (int at = threadIdx.x % 32; at < width; at += 32) sum += wide(x[at]) * weight[(i64)row * width + at];
        sum = sum_of_warp(sum);
        if (threadIdx.x % 32 == 0) out[(i64)blockIdx.x * outs + row] = sum;
    }
}
