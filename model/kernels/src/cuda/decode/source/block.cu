// What a block of a step as one kernel has.
#if KEPT != 0 && SHARED > 0

// Warps that multiply and attend; one more meets the other blocks, and one has weights brought.
#define WARPS 8

// Tasks that a block knows at a time: those before and behind the one that it is at, too.
#define TASKS 4

// Stages that there may be.
#define MOST_STAGES 32

// A block's memory. What tasks have near comes behind it, as long as the host says, and then as many stages as there is room for.
struct Block {
    Gate full[MOST_STAGES], empty[MOST_STAGES];
    Task tasks[TASKS];
    // Whether it waits for other blocks.
    volatile bool waits;
    // What it attends to next, and what turns that.
    View view;
    float cosines[HEAD / 2], sines[HEAD / 2];
    Near<WARPS> near;

    __device__ __forceinline__ char* desk() { return (char*)this + (sizeof(Block) + 127) / 128 * 128; }
    __device__ __forceinline__ Stage* stages(int desk_bytes) { return (Stage*)(desk() + desk_bytes); }
    __device__ __forceinline__ int stages_of(int desk_bytes) {
        return min(MOST_STAGES, (int)((SHARED - (sizeof(Block) + 127) / 128 * 128 - desk_bytes) / sizeof(Stage)));
    }
};

// Weights that a warp has taken out of stages: those that it multiplies by at once.
struct Held {
    // Chunks that a warp reads side by side, those of them that are of one stage, and stages.
    static constexpr int ONCE = 4, EACH = AT_ONCE / WARPS, SIDE_BY_SIDE = ONCE / EACH;
    uint4 pieces[ONCE][PIECES];
    u16 scale[ONCE][2];
    int stages[SIDE_BY_SIDE];

    // Takes what is next, of a tile of which so many chunks are left, as soon as it is there. Some stages are known to be.
    __device__ __forceinline__ void take(Gate* full, const Stage* ring, int room, Place& place, int left, const bool* open) {
#pragma unroll
        for (int at = 0; at < SIDE_BY_SIDE; at++) {
            stages[at] = place.stage;
            if (left <= at * AT_ONCE) continue;
            if (!open[at]) full[place.stage].pass(place.turn);
            place.go_on(room);
        }
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int at = 0; at < ONCE; at++) {
            const Stage& stage = ring[stages[at / EACH]];
            int chunk = at % EACH * WARPS + threadIdx.x / 32;
#pragma unroll
            for (int piece = 0; piece < PIECES; piece++) pieces[at][piece] = stage.weights[(chunk * PIECES + piece) * 32 + lane];
            if (KEPT == 2) scale[at][0] = stage.scales[chunk * TILE + lane / 4], scale[at][1] = stage.scales[chunk * TILE + lane / 4 + 8];
        }
    }

    // Its stages are needed no more.
    __device__ __forceinline__ void let_go(Gate* empty, int left) const {
        __syncwarp();
#pragma unroll
        for (int at = 0; at < SIDE_BY_SIDE; at++)
            if (threadIdx.x % 32 == 0 && left > at * AT_ONCE) empty[stages[at]].come();
    }
};
#endif
