// What a step does, and who has brought what it needs.
#if KEPT != 0 && SHARED > 0

struct Task {
    // In the order of `Task` in whole.rs.
    enum : u32 { PRODUCT, LOOK_UP, ATTEND } kind;
    union {
        Given product;
        Attention attention;
    };
};

// What is brought for a product; or, where it has no chunks, the task that attends, for which keys and values are.
struct Weights {
    const uint4* numbers;
    const u16* scales;
    int chunks, tiles, first;
};

// Tokens whose keys are a stage's first half, and whose values its second.
#define TOKENS (AT_ONCE * PIECES * 512 / (2 * WIDE * NUMBER))

// The first tile of a product that is this block's. Each product begins where the one before it ended, so that all have as much to do.
__device__ __forceinline__ int first_tile(int first) {
    int tile = (int)blockIdx.x - first;
    return tile < 0 ? tile + gridDim.x : tile;
}

// How many parts attention has, and what the block of one attends to: to some tokens, with one head.
__device__ __forceinline__ int parts_of(const Attention& given) { return given.rows * given.heads * given.splits; }
__device__ __forceinline__ View view_of(const Attention& given, int part) {
    int head = part / given.splits;
    return View(given, 1, head / given.heads, head % given.heads, part % given.splits);
}

// Who has stages filled, and how far that is.
struct Bringing {
    Stage* stages;
    Gate *full, *empty;
    int room, under_way;
    Place place, before;
    u64 once;
    // Whether the block waits for others.
    const volatile bool* waits;

    // The next stage, as soon as it is free and few others are under way. So many bytes come.
    __device__ __forceinline__ int next(int bytes) {
        int most = *waits ? UNDER_WAY_MEANWHILE : UNDER_WAY;
        for (; under_way >= most; under_way--) full[before.stage].pass(before.turn), before.go_on(room);
        int stage = place.stage;
        // At first all stages are empty.
        empty[stage].pass(place.turn + 1);
        full[stage].come_with(bytes);
        place.go_on(room), under_way++;
        return stage;
    }

    __device__ __forceinline__ void bring(const Weights& weights) {
        for (int tile = first_tile(weights.first); tile < weights.tiles; tile += gridDim.x)
            for (int begin = 0; begin < weights.chunks; begin += AT_ONCE) {
                i64 first = (i64)tile * weights.chunks + begin;
                int some = min(AT_ONCE, weights.chunks - begin), bytes = some * PIECES * 512, more = KEPT == 2 ? some * TILE * 2 : 0;
                int stage = next(bytes + more);
                copy(stages[stage].weights, weights.numbers + first * PIECES * 32, bytes, full[stage], once);
                if (KEPT == 2) copy(stages[stage].scales, weights.scales + first * TILE, more, full[stage], once);
            }
    }

    // Keys and values that were there before this step.
    __device__ __forceinline__ void bring(const Attention& given) {
        for (int part = blockIdx.x; part < parts_of(given); part += gridDim.x) {
            View view = view_of(given, part);
            for (int begin = view.first; begin < view.before(); begin += TOKENS) {
                int bytes = min(TOKENS, view.before() - begin) * WIDE * NUMBER, stage = next(2 * bytes);
                i64 first = view.base + (i64)begin * WIDE;
                copy(stages[stage].weights, given.keys + first, bytes, full[stage], once);
                copy((Number*)stages[stage].weights + TOKENS * WIDE, given.values + first, bytes, full[stage], once);
            }
        }
    }
};

// Has all that a step needs brought, in the order in which it is needed.
__device__ __forceinline__ void bring_all(const Task* tasks, const Weights* all, int count, Bringing bringing) {
    if (count == 0) return;
    Weights next = all[0];
    for (int at = 0; at < count; at++) {
        Weights weights = next;
        // It is there when it is needed.
        next = all[min(at + 1, count - 1)];
        if (weights.chunks) bringing.bring(weights);
        else bringing.bring(tasks[weights.first].attention);
    }
}
#endif
