// The gradient of an embedding's weight: rows are put in the order of their tokens first, so that those of a token
// are added up one after the other, in an order that is always the same.
struct Embed {
    u32 rows;
    u32 vocabulary;
    u32 width;
    // How many times CHUNK rows there are.
    u32 chunks;
};


// How many rows of the same token come before each one in its chunk; and the chunk's count of each token that it has. `counts` is in
// zeros.
extern "C" __global__ void __launch_bounds__(CHUNK) count_tokens(
    const int* __restrict__ ids, int* __restrict__ before, int* __restrict__ counts, const __grid_constant__ Embed embed) {
    __shared__ int own[CHUNK];
    u32 row = blockIdx.x * CHUNK + threadIdx.x;
    int id = row < embed.rows ? ids[row] : -1;
    own[threadIdx.x] = id;
    __syncthreads();
    if (id < 0) return;
    int earlier = 0, later = 0;
    for (int other = 0; other < CHUNK; other++) {
        bool same = own[other] == id;
        earlier += same && other < threadIdx.x;
        later += same && other > threadIdx.x;
    }
    before[row] = earlier;
    if (later == 0) counts[(i64)blockIdx.x * embed.vocabulary + id] = earlier + 1;
}

// Where the rows of each token begin. Tokens take places as they come, which changes nothing: only the order within one counts.
// Counts of chunks become what came before them.
extern "C" __global__ void __launch_bounds__(256) place_tokens(
    int* __restrict__ counts, int* __restrict__ firsts, int* __restrict__ totals, int* __restrict__ taken,
    const __grid_constant__ Embed embed) {
    u32 id = blockIdx.x * 256 + threadIdx.x;
    if (id >= embed.vocabulary) return;
    int total = 0;
    for (u32 chunk = 0; chunk < embed.chunks; chunk++) {
        int* count = counts + (i64)chunk * embed.vocabulary + id;
        int here = *count;
        *count = total;
        total += here;
    }
    totals[id] = total;
    firsts[id] = total ? atomicAdd(taken, total) : 0;
}

extern "C" __global__ void __launch_bounds__(256) order_rows(
    const int* __restrict__ ids, const int* __restrict__ before, const int* __restrict__ counts, const int* __restrict__ firsts,
    int* __restrict__ order, const __grid_constant__ Embed embed) {
    u32 row = blockIdx.x * 256 + threadIdx.x;
    if (row >= embed.rows) return;
    int id = ids[row];
    order[firsts[id] + counts[(i64)(row / CHUNK) * embed.vocabulary + id] + before[row]] = row;
}

// A block has a token. Those without a row get zeros.
extern "C" __global__ void __launch_bounds__(128) embed_back(
    const Number* __restrict__ grad, const int* __restrict__ firsts, const int* __restrict__ totals, const int* __restrict__ order,
    float* __restrict__ of_weight, const __grid_constant__ Embed embed) {
    u32 id = blockIdx.x;
    int total = totals[id], first = firsts[id];
    for (u32 at = threadIdx.x * EACH; at < embed.width; at += 128 * EACH) {
        float sum[EACH] = {};
#pragma unroll 4
        for (int row = 0; row < total; row++) {
            float x[EACH];
            load(grad + (i64)order[first + row] * embed.width + at, x);
#pragma unroll
            for (int e = 0; e < EACH; e++) sum[e] += x[e];
        }
        float* to = of_weight + (i64)id * embed.width + at;
#pragma unroll
        for (int e = 0; e < EACH; e += 4) *(float4*)(to + e) = make_float4(sum[e], sum[e + 1], sum[e + 2], sum[e + 3]);
    }
}
