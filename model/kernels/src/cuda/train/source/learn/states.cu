// From chunk to chunk, what a head has learned has its product with one matrix added to it, and another; and so, from the last chunk to the first,
// does what the loss asks of it, by the same matrix turned. At the end of a document all is forgotten. A block has 16 rows of a head's matrix, each
// of its warps 8 columns. One step waits for the one before, and none for memory: what it needs was asked for some steps ago.
#define ROWS (16 * SIDE)

// What a step needs: the matrix of which products are made, rows that are added, and where the document begins that the chunk ends in.
struct Needed {
    float times[TILE], added[ROWS];
    int begin, nothing[3];
};

struct Shared {
    Needed steps[STAGES];
    // As tensor cores take it, and what it lacks, for this step and the one before.
    float state[2][2][ROWS];
};

template <int BYTES>
__device__ __forceinline__ void ask_for(void* to, const void* from) {
    u32 there = (u32)__cvta_generic_to_shared(to);
    if (BYTES == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(there), "l"(from) : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(there), "l"(from) : "memory");
    }
}

extern "C" __global__ void __launch_bounds__(256) learn_states(
    const int* __restrict__ begins, const float* __restrict__ times, const float* __restrict__ plus,
    const float* __restrict__ asked, float* __restrict__ found, float* __restrict__ behind,
    const __grid_constant__ Learn learn) {
    extern __shared__ __align__(128) char all_shared[];
    Shared& shared = *(Shared*)all_shared;
    u32 lane = threadIdx.x % 32, down = lane / 4, across = lane % 4, column = threadIdx.x / 32 * 8;
    bool back = blockIdx.y == 1;
    const float* added = back ? asked : plus;
    float* to = back ? behind : found;
    u32 head = blockIdx.x / 4, first_row = blockIdx.x % 4 * 16;
    begins += head / learn.heads * learn.tokens;
    auto chunk_of = [&](u32 step) { return back ? learn.chunks - 1 - step : step; };
    auto place = [&](u32 step) { return ((i64)head * learn.chunks + chunk_of(step)) * TILE; };
    auto ask = [&](u32 step) {
        // The last chunk's is needed by nobody.
        if (step + 1 < learn.chunks) {
            Needed& needed = shared.steps[step % STAGES];
            const float* from = times + place(step);
            u32 piece = threadIdx.x % 16 * 4;
#pragma unroll
            for (u32 row = threadIdx.x / 16; row < SIDE; row += 16)
                ask_for<16>(needed.times + at(row, piece), from + row * SIDE + piece);
            u32 row = threadIdx.x / 16;
            ask_for<16>(needed.added + at(row, piece), added + place(step) + (first_row + row) * SIDE + piece);
            if (threadIdx.x == 0) ask_for<4>(&needed.begin, begins + min((chunk_of(step) + 1) * SIDE, learn.tokens) - 1);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    };
#pragma unroll
    for (u32 step = 0; step < STAGES - 1; step++) ask(step);
    float sums[4] = {};
    for (u32 step = 0; step < learn.chunks; step++) {
        float(*now)[ROWS] = shared.state[step % 2];
#pragma unroll
        for (u32 n = 0; n < 4; n += 2) {
            u32 row = down + n / 2 * 8, two = column + across * 2;
            *(float2*)(to + place(step) + (first_row + row) * SIDE + two) = make_float2(sums[n], sums[n + 1]);
            float first = first_bits(sums[n]), second = first_bits(sums[n + 1]);
            *(float2*)(now[0] + at(row, two)) = make_float2(first, second);
            if (!NARROW) *(float2*)(now[1] + at(row, two)) = make_float2(first_bits(sums[n] - first), first_bits(sums[n + 1] - second));
        }
        if (step + 1 == learn.chunks) break;
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        __syncthreads();
        // Into what all have done with.
        ask(step + STAGES - 1);
        const Needed& needed = shared.steps[step % STAGES];
        bool stays = needed.begin < (int)(chunk_of(step) * SIDE);
#pragma unroll
        for (u32 n = 0; n < 4; n += 2) {
            float2 more = *(const float2*)(needed.added + at(down + n / 2 * 8, column + across * 2));
            sums[n] = (stays ? sums[n] : 0.0f) + more.x;
            sums[n + 1] = (stays ? sums[n + 1] : 0.0f) + more.y;
        }
        float odd[4] = {};
#pragma unroll
        for (u32 deep = 0; deep < SIDE; deep += 16) {
            float y[4], x[2][4];
            if (back) {
                bring_squares(y, needed.times + at(column + lane % 8, deep + lane / 8 * 4));
            } else {
#pragma unroll
                for (u32 n = 0; n < 4; n++) y[n] = needed.times[at(deep + across + n * 4, column + down)];
            }
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                u32 there = at(lane % 16, deep + half * 8 + lane / 16 * 4);
                bring_squares(x[0], now[0] + there);
                if (!NARROW) bring_squares(x[1], now[1] + there);
                Parts both[4];
#pragma unroll
                for (u32 n = 0; n < 4; n++) both[n] = {x[0][n], NARROW ? 0.0f : x[1][n]};
                add_parts(half ? odd : sums, both, parts_of(held(y[2 * half])), parts_of(held(y[2 * half + 1])));
            }
        }
#pragma unroll
        for (u32 n = 0; n < 4; n++) sums[n] += odd[n];
    }
}
