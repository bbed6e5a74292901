// Attention where a step is one kernel: what was kept before comes through the ring, long before anyone asks for it.
#if KEPT != 0 && SHARED > 0

// What a block has near while it attends: its query, key and value as they come, and turned.
struct AttendingWhole {
    Attending<1, WARPS> all;
    float come[3][WIDE], query[WIDE];
    // A lane reads 16 bytes at once.
    __align__(16) Number fresh[2][WIDE];
};

// Turns the query, key and value of a part, each by a warp, as soon as they have come.
__device__ __forceinline__ void turn_own(const Attention& given, const float* from, bool handed, const float* cosines, const float* sines,
                                         AttendingWhole& near, const View& view) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (warp > 2) return;
    int part = warp == 0 ? view.head : given.heads + view.shared + (warp - 1) * given.kept;
    constexpr int EACH = (HEAD + 31) / 32;
    float some[EACH];
    from += (i64)view.row * given.stride + part * HEAD;
    bool lacks;
    do {
        lacks = false;
#pragma unroll
        for (int at = 0; at < EACH; at++)
            if (lane + at * 32 < HEAD) some[at] = read_now(from + lane + at * 32);
#pragma unroll
        for (int at = 0; at < EACH; at++) lacks |= handed && lane + at * 32 < HEAD && __float_as_uint(some[at]) == 0;
    } while (lacks);
#pragma unroll
    for (int at = 0; at < EACH; at++)
        if (lane + at * 32 < HEAD) near.come[warp][lane + at * 32] = some[at];
    __syncwarp();
    turn(given, near.come[warp], cosines, sines, part, near.query, near.fresh[max(warp, 1) - 1]);
}

// Stages that are looked at together.
#define LOOK 3

// Looks at what was kept before the step, as it comes.
__device__ __forceinline__ void look_back(const View& view, Seen<1>& seen, const Stage* ring, Gate* full, Gate* empty, int room, Place& place) {
    // Keys that a block looks at side by side, and those of a lane.
    constexpr int SIDE = WARPS * 32 / SHARE, EACH = (LOOK * TOKENS + SIDE - 1) / SIDE, AHEAD = EACH < 4 ? EACH : OWN <= 16 ? 4 : 2;
    int lane = threadIdx.x % SHARE, side = threadIdx.x / SHARE;
#pragma unroll 1
    for (int begin = view.first; begin < view.before(); begin += LOOK * TOKENS) {
        int count = min(LOOK * TOKENS, view.before() - begin);
        Place next = place;
        for (int at = 0; at * TOKENS < count; at++) full[next.stage].pass(next.turn), next.go_on(room);
#pragma unroll 1
        for (int first = side; first < count; first += AHEAD * SIDE) {
            Lane keys[AHEAD], values[AHEAD];
#pragma unroll
            for (int at = 0; at < AHEAD; at++) {
                int token = min(first + at * SIDE, count - 1), stage = place.stage + token / TOKENS;
                const Number* from = (const Number*)ring[stage < room ? stage : stage - room].weights + token % TOKENS * WIDE + number_of(lane, 0);
                keys[at].read(from), values[at].read(from + TOKENS * WIDE);
            }
            seen.look(keys, values, first, SIDE, count);
        }
        __syncwarp();
        for (int at = 0; at * TOKENS < count; at++) {
            if (threadIdx.x % 32 == 0) empty[place.stage].come();
            place.go_on(room);
        }
    }
}

// Keeps what is new for the steps to come.
__device__ __forceinline__ void keep_fresh(const Attention& given, const AttendingWhole& near, const View& view) {
    for (int at = threadIdx.x; at < 2 * WIDE; at += WARPS * 32) {
        Number* to = at < WIDE ? given.keys : given.values;
        to[view.base + (i64)view.place * WIDE + at % WIDE] = near.fresh[at / WIDE][at % WIDE];
    }
}

// A block attends with one head of one token, to all that it sees or to a part of it; if need be to several, one after the other.
__device__ __forceinline__ void attend_whole(const Attention& given, Block& block, const Stage* ring, int room, Place& place, const Hand& taken,
                                             void* hand) {
    auto& near = *(AttendingWhole*)block.desk();
    View view = block.view;
    for (int part = blockIdx.x; part < parts_of(given);) {
        int lane = threadIdx.x % SHARE;
        bool first = part == blockIdx.x;
        const float *cosines = first ? block.cosines : given.cosines + (i64)view.place * (HEAD / 2);
        const float* sines = first ? block.sines : given.sines + (i64)view.place * (HEAD / 2);
        turn_own(given, (const float*)taken.of(given.all), taken.over, cosines, sines, near, view);
        meet<WARPS>();
        Seen<1> seen;
        seen.begin(0, near.query, lane);
        look_back(view, seen, ring, block.full, block.empty, room, place);
        if (view.own() && threadIdx.x < SHARE) {
            Lane key[1], value[1];
            key[0].read(near.fresh[0] + number_of(lane, 0)), value[0].read(near.fresh[1] + number_of(lane, 0));
            seen.look(key, value, 0, 1, 1);
        }
        join(given, near.all, view, seen, hand);
        if (view.own()) keep_fresh(given, near, view);
        part += gridDim.x;
        if (part >= parts_of(given)) break;
        view = view_of(given, part);
        meet<WARPS>();
    }
}
#endif
