// Rows dealt to experts, and what these gave put together again. A thread has STEP numbers of a row, side by side.
struct Dealt {
    // Pieces of all rows that are written, and of one of them.
    u32 pieces;
    u32 across;
    // How many experts a row goes through.
    u32 chosen;
    // How many rows there are: no place that is empty names one.
    u32 rows;
};

// Where a thread's piece lies: in which row that is written, and where in it.
#define PIECE                                                                                \
    u32 piece = blockIdx.x * 256 + threadIdx.x, row = piece / dealt.across;                  \
    if (piece >= dealt.pieces) return;                                                       \
    i64 width = (i64)dealt.across * STEP, within = (i64)(piece - row * dealt.across) * STEP

extern "C" __global__ void __launch_bounds__(256) deal_rows(
    const Number* __restrict__ x, const int* __restrict__ rows, Number* __restrict__ y,
    const __grid_constant__ Dealt dealt) {
    PIECE;
    float own[STEP];
#pragma unroll
    for (int e = 0; e < STEP; e++) own[e] = 0.0f;
    if ((u32)rows[row] < dealt.rows) TAKE(x + rows[row] * width + within, own);
    GIVE(y + row * width + within, own);
}

// The sum of what stands at the places of a row, each times its share.
extern "C" __global__ void __launch_bounds__(256) gather_rows(
    const Number* __restrict__ x, const int* __restrict__ places, const float* __restrict__ shares, Number* __restrict__ y,
    const __grid_constant__ Dealt dealt) {
    PIECE;
    float sum[STEP];
#pragma unroll
    for (int e = 0; e < STEP; e++) sum[e] = 0.0f;
    for (u32 choice = row * dealt.chosen; choice < (row + 1) * dealt.chosen; choice++) {
        float own[STEP], share = SHARES ? shares[choice] : 1.0f;
        TAKE(x + places[choice] * width + within, own);
#pragma unroll
        for (int e = 0; e < STEP; e++) sum[e] += share * own[e];
    }
    GIVE(y + row * width + within, sum);
}

// From the gradient of that sum to those of what stood at the places, and of the shares: a block for each place.
extern "C" __global__ void __launch_bounds__(128) gather_rows_back(
    const Number* __restrict__ x, const int* __restrict__ order, const float* __restrict__ shares,
    const Number* __restrict__ grad, Number* __restrict__ of_x, float* __restrict__ of_shares,
    const __grid_constant__ Dealt dealt) {
    __shared__ float sums[4];
    i64 width = (i64)dealt.across * STEP, place = blockIdx.x;
    u32 choice = order[place];
    const Number* up = grad + (choice / dealt.chosen) * width;
    bool empty = choice >= dealt.rows * dealt.chosen;
    float share = empty ? 0.0f : shares[choice], sum = 0.0f;
    for (u32 piece = threadIdx.x; piece < dealt.across; piece += 128) {
        float own[STEP], g[STEP];
#pragma unroll
        for (int e = 0; e < STEP; e++) own[e] = g[e] = 0.0f;
        if (!empty) {
            TAKE(x + place * width + (i64)piece * STEP, own);
            TAKE(up + (i64)piece * STEP, g);
        }
#pragma unroll
        for (int e = 0; e < STEP; e++) {
            sum += own[e] * g[e];
            g[e] *= share;
        }
        GIVE(of_x + place * width + (i64)piece * STEP, g);
    }
    sum = sum_of_block(sum, sums);
    if (threadIdx.x == 0 && !empty) of_shares[choice] = sum;
}
