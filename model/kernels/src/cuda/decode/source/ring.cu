// Weights on their way to a block: a ring of stages in its own memory, that one thread has filled by the hardware's copies.
#if KEPT != 0 && SHARED > 0

// Chunks of a tile that come at once, and stages that are under way at most: as many as keep memory busy; and fewer while a block waits for
// others, since what they tell each other waits behind them.
#define AT_ONCE (KEPT == 1 ? 16 : 32)
#define UNDER_WAY 3
#define UNDER_WAY_MEANWHILE 2
#define PIECES (KEPT == 1 ? 2 : 1)

struct Stage {
    uint4 weights[AT_ONCE * PIECES * 32];
    u16 scales[KEPT == 2 ? AT_ONCE * TILE : 8];
};

// A place to wait at. It is told how many come, or how many bytes, and opens when they have: once for each turn of the ring.
struct Gate {
    u64 state;

    __device__ __forceinline__ u32 at() { return (u32)__cvta_generic_to_shared(&state); }

    __device__ __forceinline__ void await(int count) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at()), "r"(count) : "memory"); }

    __device__ __forceinline__ void come() { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at()) : "memory"); }

    __device__ __forceinline__ void come_with(int bytes) {
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at()), "r"(bytes) : "memory");
    }

    __device__ __forceinline__ void pass(u32 turn) {
        u32 open = 0;
        while (!open)
            asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                         : "=r"(open)
                         : "r"(at()), "r"(turn % 2)
                         : "memory");
    }

    __device__ __forceinline__ bool is_open(u32 turn) {
        u32 open;
        asm volatile("{ .reg .pred p; mbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                     : "=r"(open)
                     : "r"(at()), "r"(turn % 2)
                     : "memory");
        return open;
    }
};

// How far someone has come in the ring.
struct Place {
    int stage;
    u32 turn;

    __device__ __forceinline__ void go_on(int stages) {
        if (++stage == stages) stage = 0, turn++;
    }
};

// Copies to a stage. What is read once need not stay in the cache that all blocks share.
__device__ __forceinline__ void copy(void* to, const void* from, int bytes, Gate& gate, u64 once) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(
                     (u32)__cvta_generic_to_shared(to)),
                 "l"(from), "r"(bytes), "r"(gate.at()), "l"(once)
                 : "memory");
}

__device__ __forceinline__ u64 read_once() {
    u64 policy;
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}
#endif
