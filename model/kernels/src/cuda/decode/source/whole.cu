// A whole step as one kernel: a list of tasks, which all blocks go through side by side. A block's weights are on their way long before
// their task has come, whatever the blocks wait for in the meantime, so that memory is read without a break.
#if KEPT != 0 && SHARED > 0

__device__ __forceinline__ void look_up_whole(const Given& given, void* hand) {
    constexpr int THREADS = WARPS * 32;
    const int* ids = (const int*)given.x;
    int stride = given.chunks * CHUNK;
    for (int at = blockIdx.x * THREADS + threadIdx.x; at < given.rows * stride; at += gridDim.x * THREADS) {
        int place = at % stride;
        float x = looked_up(ids[at / stride], place, (const Number*)given.weight, (const i8*)given.weight, given.scales, given.chunks);
        put((float*)given.out, hand, at, place < given.width ? x : 0.0f);
    }
}

// What needs no other block is begun before all blocks have met.
__device__ __forceinline__ void prepare(const Task& next, Block& block, const Stage* ring, int room, Ahead& ahead, Held& held, Place& place) {
    const Given& given = next.product;
    // What was known is forgotten in any case, so that attention has the room.
    ahead = {};
    if (next.kind == Task::PRODUCT && given.norm) norm_ahead(given, ahead);
    const bool open[Held::SIDE_BY_SIDE] = {};
    held = {};
    if (next.kind == Task::PRODUCT && first_tile(given.first) < tiles_of(given)) {
        held.take(block.full, ring, room, place, given.chunks, open);
        held.let_go(block.empty, given.chunks);
    }
    if (next.kind != Task::ATTEND || blockIdx.x >= parts_of(next.attention)) return;
    View view = view_of(next.attention, blockIdx.x);
    if (threadIdx.x == 0) block.view = view;
    for (int at = threadIdx.x; at < HEAD / 2; at += WARPS * 32) {
        block.cosines[at] = next.attention.cosines[(i64)view.place * (HEAD / 2) + at];
        block.sines[at] = next.attention.sines[(i64)view.place * (HEAD / 2) + at];
    }
}

// Whether all that a task needs of the one before it is what it reads, and that is whole: then it takes it from hand to hand.
__device__ __forceinline__ bool goes_over(const Task& from, const Task& to) {
    const Given& given = from.product;
    bool attends = from.kind == Task::ATTEND;
    const void* out = attends ? from.attention.out : given.out;
    int wide = from.kind == Task::LOOK_UP ? given.chunks * CHUNK : given.way == GATE ? given.wide / 2 : given.wide;
    if (attends) wide = from.attention.wide;
    if (to.kind == Task::ATTEND) return to.attention.all == out && !attends;
    return to.kind == Task::PRODUCT && to.product.x == out && to.product.out != out && wide == to.product.chunks * CHUNK;
}

// Warps that multiply say that they are done with a task, and prepare the next one; the one that meets the other blocks waits for that,
// and they wait for it.
__device__ __forceinline__ void say_done() { asm volatile("bar.arrive 2, %0;" ::"n"(WARPS * 32 + 32) : "memory"); }
__device__ __forceinline__ void wait_for_done() { asm volatile("bar.sync 2, %0;" ::"n"(WARPS * 32 + 32) : "memory"); }
__device__ __forceinline__ void say_met() { asm volatile("bar.arrive 3, %0;" ::"n"(WARPS * 32 + 32) : "memory"); }
__device__ __forceinline__ void wait_for_met() { asm volatile("bar.sync 3, %0;" ::"n"(WARPS * 32 + 32) : "memory"); }

// Meets the other blocks behind each task, has the one after the next read, and what was handed over made zeros again.
__device__ __forceinline__ void meet_others(const Task* tasks, int count, Block& block, u32* met, const Hands& hands) {
    constexpr int WORDS = sizeof(Task) / 4;
    int lane = threadIdx.x % 32;
    for (int at = 0; at + 1 < count; at++) {
        if (at + 2 < count)
            for (int word = lane; word < WORDS; word += 32) ((u32*)&block.tasks[(at + 2) % TASKS])[word] = ((const u32*)(tasks + at + 2))[word];
        bool over = goes_over(block.tasks[at % TASKS], block.tasks[(at + 1) % TASKS]);
        wait_for_done();
        if (lane == 0) {
            // What does not go from hand to hand must have arrived before the others go on.
            if (over) asm volatile("red.relaxed.gpu.global.add.u32 [%0], 1;" ::"l"(met) : "memory");
            else asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(met) : "memory");
            while (read_now(met) < (at + 1) * gridDim.x) continue;
            if (!over) __threadfence();
        }
        __syncwarp();
        say_met();
        // All have read what went into this task, and zeros go there. Whatever this block has written is everywhere before it says again that
        // it is done.
        uint4* before = hands.of(at + HANDS - 1);
        for (int piece = blockIdx.x * 32 + lane; piece < hands.pieces; piece += gridDim.x * 32) before[piece] = make_uint4(0, 0, 0, 0);
        __syncwarp();
        if (lane == 0) __threadfence();
    }
    wait_for_done();
    // Whoever is last leaves zeros: nobody waits or reads any more.
    bool last = lane == 0 && atomicAdd(met, 1) == count * gridDim.x - 1;
    if (!__shfl_sync(ALL, last, 0)) return;
    if (lane == 0) *met = 0;
    for (int piece = lane; piece < hands.pieces; piece += 32) hands.of(count + HANDS - 2)[piece] = make_uint4(0, 0, 0, 0);
}

// `met` counts blocks, and what is handed over lies behind it, so many pieces of 16 bytes for each task.
extern "C" __global__ void __launch_bounds__(WARPS * 32 + 64, 1) whole_step(const Task* tasks, const Weights* weights, u32* met, int count,
                                                                           int brought, int desk, int pieces) {
    extern __shared__ __align__(128) char memory[];
    Block& block = *(Block*)memory;
    constexpr int WORDS = sizeof(Task) / 4;
    Stage* stages = block.stages(desk);
    int room = block.stages_of(desk);
    Hands hands = {(uint4*)((char*)met + COUNTER), pieces};
    if (threadIdx.x == 0) block.waits = false;
    if (threadIdx.x < room) block.full[threadIdx.x].await(1), block.empty[threadIdx.x].await(WARPS);
    if (threadIdx.x < min(count, 2) * WORDS) ((u32*)block.tasks)[threadIdx.x] = ((const u32*)tasks)[threadIdx.x];
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    if (threadIdx.x >= WARPS * 32 + 32) {
        Bringing bringing = {stages, block.full, block.empty, room, 0, {0, 0}, {0, 0}, read_once(), &block.waits};
        if (threadIdx.x == WARPS * 32 + 32) bring_all(tasks, weights, brought, bringing);
        return;
    }
    if (threadIdx.x >= WARPS * 32) {
        meet_others(tasks, count, block, met, hands);
        return;
    }
    Ahead ahead;
    Held held;
    Place place = {0, 0};
    prepare(block.tasks[0], block, stages, room, ahead, held, place);
    meet<WARPS>();
    Hand taken = {nullptr, false};
    for (int at = 0;; at++) {
        const Task &task = block.tasks[at % TASKS], &next = block.tasks[(at + 1) % TASKS];
        bool last = at + 1 == count, over = !last && goes_over(task, next);
        void* hand = over ? hands.of(at) : nullptr;
        if (task.kind == Task::PRODUCT) multiply_whole(task.product, block, stages, room, ahead, held, place, taken, hand);
        else if (task.kind == Task::LOOK_UP) look_up_whole(task.product, hand);
        else attend_whole(task.attention, block, stages, room, place, taken, hand);
        if (threadIdx.x == 0) block.waits = true;
        say_done();
        if (last) return;
        prepare(next, block, stages, room, ahead, held, place);
        taken = {hands.of(at), over};
        wait_for_met();
    }
}
#endif
