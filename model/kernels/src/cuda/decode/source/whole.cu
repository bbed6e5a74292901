// A whole step as one kernel: a list of tasks, which all blocks go through side by side. A block's weights are on their way long before
// their task has come, whatever the blocks wait for in the meantime, so that memory is read without a break.
#if KEPT != 0 && SHARED > 0

// Warps that multiply and attend; one more has weights brought.
#define WARPS 8

struct Task {
    // In the order of `Task` in whole.rs.
    enum : u32 { PRODUCT, LOOK_UP, ATTEND } kind;
    union {
        Given product;
        Attention attention;
    };
};

// Stages that there may be.
#define MOST_STAGES 32

// A block's memory. What tasks have near comes behind it, as long as the host says, and then as many stages as there is room for.
struct Block {
    Gate full[MOST_STAGES], empty[MOST_STAGES];
    Task tasks[2];
    // What it attends to next.
    View view;
    Near<WARPS> near;

    __device__ __forceinline__ char* desk() { return (char*)this + (sizeof(Block) + 127) / 128 * 128; }
    __device__ __forceinline__ Stage* stages(int desk_bytes) { return (Stage*)(desk() + desk_bytes); }
    __device__ __forceinline__ int stages_of(int desk_bytes) {
        return min(MOST_STAGES, (int)((SHARED - (sizeof(Block) + 127) / 128 * 128 - desk_bytes) / sizeof(Stage)));
    }
};

// A number and where it stands as one word: the larger the number the larger the word, and of equals that of the first.
__device__ __forceinline__ u64 ranked(float x, int at) {
    u32 bits = __float_as_uint(x);
    return x == x ? (u64)(bits >> 31 ? ~bits : bits | 0x80000000u) << 32 | (u32)~at : 0;
}

// Finds the largest of each row among what all blocks have. Words and the counter are zeros before and after.
__device__ __forceinline__ void find_best(const Given& given, Block& block, const u64* best) {
    u64* near = block.near.best;
    int lane = threadIdx.x % 32;
    if (threadIdx.x < 8) near[threadIdx.x] = 0;
    meet<WARPS>();
    for (int two = 0; two < 2; two++) {
        u64 own = best[two];
        for (int far = 4; far < 32; far *= 2) own = max(own, __shfl_xor_sync(ALL, own, far));
        if (lane < 4) atomicMax(near + lane * 2 + two, own);
    }
    meet<WARPS>();
    if (threadIdx.x >= given.rows) return;
    u64* all = (u64*)given.ready + threadIdx.x * 2;
    atomicMax(all, near[threadIdx.x]);
    __threadfence();
    if (atomicAdd(all + 1, 1) != min((given.wide + TILE - 1) / TILE, (int)gridDim.x) - 1) return;
    __threadfence();
    u64 most = atomicExch(all, 0);
    all[1] = 0;
    ((float*)given.out)[threadIdx.x] = most ? (float)(u32)~(u32)most : 0.0f;
}

// A product of few rows by weights that come.
__device__ __forceinline__ void multiply_whole(const Given& given, Block& block, const Stage* ring, int room, const Ahead& ahead, Place& place) {
    // Chunks that a warp reads side by side, those of them that are of one stage, and stages.
    constexpr int ONCE = 4, EACH = AT_ONCE / WARPS, SIDE_BY_SIDE = ONCE / EACH;
    Near<WARPS>& near = block.near;
    uint4* x = (uint4*)block.desk();
    int chunks = given.chunks, lane = threadIdx.x % 32, group = lane / 4, four = lane % 4, warp = threadIdx.x / 32;
    int tiles = (given.wide + TILE - 1) / TILE, own = group * (chunks * 4 + APART) + four, turn = 0;
    if (first_tile(given.first) >= tiles) return;
    if (given.norm) bring<true>(given, near, x, ahead);
    else bring<false>(given, near, x, ahead);
    meet<WARPS>();
    float roots[2] = {1.0f, 1.0f};
    int rows = given.rows;
    bool open[SIDE_BY_SIDE] = {};
    u64 best[2] = {};
    if (given.norm) roots[0] = root_of(given, near, four * 2), roots[1] = root_of(given, near, four * 2 + 1);
    for (int tile = first_tile(given.first); tile < tiles; tile += gridDim.x) {
        float4 there = warp == turn % WARPS ? there_already(given, four * 2, tile, group) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        float sums[4][4] = {};
        // Some stages are read before any of them is needed.
        for (int begin = 0; begin < chunks; begin += ONCE * WARPS) {
            int stages[SIDE_BY_SIDE];
#pragma unroll
            for (int at = 0; at < SIDE_BY_SIDE; at++) {
                stages[at] = place.stage;
                if (begin + at * AT_ONCE >= chunks) continue;
                if (!open[at]) block.full[place.stage].pass(place.turn);
                place.go_on(room);
            }
            uint4 pieces[ONCE][PIECES], eights[ONCE];
            u16 scale[ONCE][2] = {};
#pragma unroll
            for (int at = 0; at < ONCE; at++) {
                const Stage& stage = ring[stages[at / EACH]];
                int chunk = at % EACH * WARPS + warp;
#pragma unroll
                for (int piece = 0; piece < PIECES; piece++) pieces[at][piece] = stage.weights[(chunk * PIECES + piece) * 32 + lane];
                if (KEPT == 2) scale[at][0] = stage.scales[chunk * TILE + group], scale[at][1] = stage.scales[chunk * TILE + group + 8];
                // What stands for rows that are not there comes to nothing that is given.
                eights[at] = make_uint4(0, 0, 0, 0);
                if (group < rows) eights[at] = x[own + min(begin + at * WARPS + warp, chunks - 1) * 4];
            }
            // Whether the next ones are there is asked before these are multiplied.
            Place next = place;
#pragma unroll
            for (int at = 0; at < SIDE_BY_SIDE; at++) open[at] = block.full[next.stage].is_open(next.turn), next.go_on(room);
#pragma unroll
            for (int at = 0; at < ONCE; at++)
                if (begin + at * WARPS + warp < chunks) Tile(pieces[at], scale[at]).multiply(sums[at % 2 * 2], sums[at % 2 * 2 + 1], eights[at]);
            __syncwarp();
#pragma unroll
            for (int at = 0; at < SIDE_BY_SIDE; at++)
                if (lane == 0 && begin + at * AT_ONCE < chunks) block.empty[stages[at]].come();
        }
        float sum[4];
        for (int at = 0; at < 4; at++) sum[at] = sums[0][at] + sums[1][at] + (sums[2][at] + sums[3][at]);
        float4 whole;
        if (!add_up(near, turn++, sum, roots, whole)) continue;
        if (given.way != BEST) {
            give(given, four * 2, tile, group, plus(whole, there));
            continue;
        }
        int column = tile * TILE + group;
        if (column < given.wide) best[0] = max(best[0], ranked(whole.x, column)), best[1] = max(best[1], ranked(whole.y, column));
        if (column + 8 < given.wide) best[0] = max(best[0], ranked(whole.z, column + 8)), best[1] = max(best[1], ranked(whole.w, column + 8));
    }
    if (given.way == BEST) find_best(given, block, best);
}

__device__ __forceinline__ void look_up_whole(const Given& given) {
    constexpr int THREADS = WARPS * 32;
    const int* ids = (const int*)given.x;
    int stride = given.chunks * CHUNK;
    for (int at = blockIdx.x * THREADS + threadIdx.x; at < given.rows * stride; at += gridDim.x * THREADS) {
        int place = at % stride;
        float x = looked_up(ids[at / stride], place, (const Number*)given.weight, (const i8*)given.weight, given.scales, given.chunks);
        ((float*)given.out)[at] = place < given.width ? x : 0.0f;
    }
}

// How many parts attention has, and what the block of one attends to: to some tokens, with one head.
__device__ __forceinline__ int parts_of(const Attention& given) { return given.rows * given.heads * given.splits; }
__device__ __forceinline__ View view_of(const Attention& given, int part) {
    int head = part / given.splits;
    return View(given, 1, head / given.heads, head % given.heads, part % given.splits);
}

__device__ __forceinline__ void attend_whole(const Attention& given, Block& block) {
    View view = block.view;
    for (int part = blockIdx.x; part < parts_of(given);) {
        attend_to<1>(given, *(Attending<WARPS>*)block.desk(), view);
        meet<WARPS>();
        part += gridDim.x;
        if (part < parts_of(given)) view = view_of(given, part);
    }
}

// Has keys and values that were there before the step brought to the cache that all blocks share.
__device__ __forceinline__ void fetch_kept(const Attention& given, const View& view) {
    constexpr int LINE = 128, KEY = WIDE * NUMBER;
    const char *keys = (const char*)(given.keys + view.base), *values = (const char*)(given.values + view.base);
    for (i64 at = (i64)view.first * KEY + threadIdx.x * LINE; at < (i64)view.end * KEY; at += WARPS * 32 * LINE)
        fetch((const uint4*)(keys + at)), fetch((const uint4*)(values + at));
}

// What needs no other block is begun before all blocks have met.
__device__ __forceinline__ void prepare(const Task& next, Block& block, Ahead& ahead) {
    if (next.kind == Task::PRODUCT && next.product.norm && threadIdx.x < next.product.chunks * 4) ahead = norm_of(next.product, threadIdx.x);
    if (next.kind != Task::ATTEND || blockIdx.x >= parts_of(next.attention)) return;
    View view = view_of(next.attention, blockIdx.x);
    if (threadIdx.x == 0) block.view = view;
    fetch_kept(next.attention, view);
}

extern "C" __global__ void __launch_bounds__(WARPS * 32 + 32, 1) whole_step(const Task* tasks, const Weights* weights, u32* met, int count, int products, int desk) {
    extern __shared__ __align__(128) char memory[];
    Block& block = *(Block*)memory;
    constexpr int WORDS = sizeof(Task) / 4;
    Stage* stages = block.stages(desk);
    int room = block.stages_of(desk);
    if (threadIdx.x < room) block.full[threadIdx.x].await(1), block.empty[threadIdx.x].await(WARPS);
    if (threadIdx.x < WORDS) ((u32*)block.tasks)[threadIdx.x] = ((const u32*)tasks)[threadIdx.x];
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (threadIdx.x >= WARPS * 32) {
        if (threadIdx.x == WARPS * 32) bring_weights(weights, products, stages, block.full, block.empty, room);
        return;
    }
    Ahead ahead = {};
    prepare(block.tasks[0], block, ahead);
    meet<WARPS>();
    Place place = {0, 0};
    for (int at = 0; at < count; at++) {
        const Task& task = block.tasks[at % 2];
        bool last = at + 1 == count, mine = !last && threadIdx.x < WORDS;
        u32 word = mine ? ((const u32*)(tasks + at + 1))[threadIdx.x] : 0;
        if (task.kind == Task::PRODUCT) multiply_whole(task.product, block, stages, room, ahead, place);
        else if (task.kind == Task::LOOK_UP) look_up_whole(task.product);
        else attend_whole(task.attention, block);
        if (mine) ((u32*)&block.tasks[(at + 1) % 2])[threadIdx.x] = word;
        meet<WARPS>();
        if (last) break;
        // All blocks meet, for the `at + 1`th time.
        if (threadIdx.x == 0) asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(met) : "memory");
        prepare(block.tasks[(at + 1) % 2], block, ahead);
        u32 here = 0;
        while (threadIdx.x == 0 && here < (at + 1) * gridDim.x) asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(here) : "l"(met) : "memory");
        meet<WARPS>();
    }
    // Whoever is last leaves zeros: nobody waits any more.
    if (threadIdx.x == 0 && atomicAdd(met, 1) == count * gridDim.x - 1) *met = 0;
}
#endif
