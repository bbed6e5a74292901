// Rows times weights in f32, number by number, without loss.
#if KEPT == 0

// A warp for two rows of a weight and ROWS rows of x.
template <int ROWS, bool NORM>
__device__ __forceinline__ void product(const Given& given) {
    constexpr int AHEAD = 4;
    int lane = threadIdx.x % 32, column = (blockIdx.x * 8 + threadIdx.x / 32) * 2, first = blockIdx.y * ROWS, wide = given.wide;
    int width = given.chunks * CHUNK;
    let_next_begin();
    if (column >= wide) return;
    const uint4* upper = given.weight + (i64)column * width / 4;
    const uint4* lower = given.weight + (i64)min(column + 1, wide - 1) * width / 4;
    float sums[ROWS][2] = {}, squares = 0.0f;
    if (lane % 8 == 0)
        for (int place = lane; place < min(width / 4, AHEAD * 32); place += 32) fetch(upper + place), fetch(lower + place);
    settle();
    for (int begin = lane; begin < width / 4; begin += AHEAD * 32) {
        uint4 a[AHEAD], b[AHEAD];
#pragma unroll
        for (int at = 0; at < AHEAD; at++) {
            int place = min(begin + at * 32, width / 4 - 1);
            a[at] = read_once(upper + place), b[at] = read_once(lower + place);
        }
#pragma unroll
        for (int at = 0; at < AHEAD; at++) {
            int place = min(begin + at * 32, width / 4 - 1);
            float4 one = as_numbers(a[at]), two = as_numbers(b[at]);
#pragma unroll
            for (int n = 0; n < ROWS; n++) {
                float4 y = ((const float4*)given.x + (i64)min(first + n, given.rows - 1) * width / 4)[place];
                // Behind the end weights are multiplied by nothing.
                if (begin + at * 32 >= width / 4) y = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                if (NORM) {
                    float4 norm = ((const float4*)given.norm)[place];
                    squares += y.x * y.x + y.y * y.y + y.z * y.z + y.w * y.w;
                    y.x *= norm.x, y.y *= norm.y, y.z *= norm.z, y.w *= norm.w;
                }
                sums[n][0] += one.x * y.x + one.y * y.y + one.z * y.z + one.w * y.w;
                sums[n][1] += two.x * y.x + two.y * y.y + two.z * y.z + two.w * y.w;
            }
        }
    }
    float scale = NORM ? rsqrtf(sum_of_warp(squares) / given.width + given.epsilon) : 1.0f;
    for (int n = 0; n < ROWS; n++) {
        float one = sum_of_warp(sums[n][0]) * scale, two = sum_of_warp(sums[n][1]) * scale;
        int row = first + n;
        if (lane || row >= given.rows) continue;
        float* to = (float*)given.out + (i64)row * given.stride + column;
        if (given.way == GATE) {
            ((float*)given.out)[(i64)row * given.stride + column / 2] = gated(one, two);
        } else {
            to[0] = given.way == ADD ? to[0] + one : one;
            if (column + 1 < wide) to[1] = given.way == ADD ? to[1] + two : two;
        }
    }
}

#define PRODUCT(name, rows, norm)                                                                            \
    extern "C" __global__ void __launch_bounds__(256, 2) name(const __grid_constant__ Given given) {         \
        product<rows, norm>(given);                                                                          \
    }

PRODUCT(near_product_norm, 1, true)
PRODUCT(near_product, 1, false)
PRODUCT(product_1, 1, false)
PRODUCT(product_2, 2, false)
PRODUCT(product_4, 4, false)
PRODUCT(product_8, 8, false)
#endif
