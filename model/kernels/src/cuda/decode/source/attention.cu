// Attention to what is kept.

#define LOWEST -1e30f

// A lane's numbers of a key or a value, as they are kept: pieces of 16 bytes, side by side with those of the other lanes, where a head has
// as many.
#define NUMBER (KEPT == 0 ? 4 : 2)
#define PIECE (16 / NUMBER)
#if OWN % PIECE == 0
__device__ __forceinline__ int number_of(int lane, int at) { return at / PIECE * SHARE * PIECE + lane * PIECE + at % PIECE; }

struct Lane {
    u32 words[OWN * NUMBER / 4];

    __device__ __forceinline__ void read(const Number* from) {
#pragma unroll
        for (int at = 0; at < OWN / PIECE; at++) {
            uint4 piece = ((const uint4*)from)[at * SHARE];
            words[at * 4] = piece.x, words[at * 4 + 1] = piece.y, words[at * 4 + 2] = piece.z, words[at * 4 + 3] = piece.w;
        }
    }

    __device__ __forceinline__ float number(int at) const {
#if KEPT == 0
        return __uint_as_float(words[at]);
#else
        return __uint_as_float(at % 2 ? words[at / 2] & 0xffff0000u : words[at / 2] << 16);
#endif
    }
};
#else
__device__ __forceinline__ int number_of(int lane, int at) { return lane * OWN + at; }

struct Lane {
    Number numbers[OWN];

    __device__ __forceinline__ void read(const Number* from) {
#pragma unroll
        for (int at = 0; at < OWN; at++) numbers[at] = from[at];
    }

    __device__ __forceinline__ float number(int at) const { return wide(numbers[at]); }
};
#endif

// The shares that a query has in keys so far: the largest logit, the sum of their exponentials, and their values by these.
struct Shares {
    float most, sum;
};

__device__ __forceinline__ float power(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// What eight lanes have seen so far, with some heads of queries.
template <int HEADS>
struct Seen {
    float query[HEADS][OWN], sums[HEADS][OWN];
    Shares shares[HEADS];

    // A lane's numbers of a query.
    __device__ __forceinline__ void begin(int h, const float* from, int lane) {
        shares[h].most = LOWEST, shares[h].sum = 0.0f;
#pragma unroll
        for (int at = 0; at < OWN; at++) query[h][at] = number_of(lane, at) < HEAD ? from[number_of(lane, at)] : 0.0f, sums[h][at] = 0.0f;
    }

    // Looks at some keys, of which the first one is there.
    template <int COUNT>
    __device__ __forceinline__ void look(const Lane (&keys)[COUNT], const Lane (&values)[COUNT], int first, int apart, int end) {
        // Keys end at other times for other lanes of a warp, but the eight that share one go together.
        u32 together = 0xffu << (threadIdx.x % 32 / SHARE * SHARE);
        float logits[HEADS][COUNT];
#pragma unroll
        for (int key = 0; key < COUNT; key++) {
#pragma unroll
            for (int h = 0; h < HEADS; h++) {
                float logit = 0.0f;
#pragma unroll
                for (int at = 0; at < OWN; at++) logit += query[h][at] * keys[key].number(at);
                for (int far = SHARE / 2; far > 0; far /= 2) logit += __shfl_xor_sync(together, logit, far);
                logits[h][key] = first + key * apart < end ? logit : LOWEST;
            }
        }
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            float most = shares[h].most;
#pragma unroll
            for (int key = 0; key < COUNT; key++) most = fmaxf(most, logits[h][key]);
            float less = power(shares[h].most - most);
            shares[h].most = most, shares[h].sum *= less;
#pragma unroll
            for (int at = 0; at < OWN; at++) sums[h][at] *= less;
#pragma unroll
            for (int key = 0; key < COUNT; key++) {
                float share = power(logits[h][key] - most);
                shares[h].sum += share;
#pragma unroll
                for (int at = 0; at < OWN; at++) sums[h][at] += share * values[key].number(at);
            }
        }
    }
};

// What the threads of a block have in common: at first its queries, then what each warp has.
template <int HEADS, int WARPS>
struct Attending {
    Shares all[HEADS][WARPS];
    float joined[HEADS][WARPS][WIDE];
    bool last;
};

// What a block attends to: the tokens from `first` to `end` that the token at `place` sees, with some heads of queries from `head` on that
// share one of keys.
struct View {
    int row, slot, split, shared, head, count, place, first, end;
    // Where the numbers of the first token that is kept lie.
    i64 base;

    View() = default;
    __device__ __forceinline__ View(const Attention& given, int together, int row, int set, int split) : row(row), slot(given.slots[row]), split(split) {
        int sets = (GROUP + together - 1) / together;
        shared = set / sets, head = shared * GROUP + set % sets * together, count = min(together, GROUP - (head - shared * GROUP));
        place = given.places[row];
        int begin = given.window && place >= given.window ? place + 1 - given.window : 0, len = place + 1 - begin;
        int part = (len + given.splits - 1) / given.splits;
        first = begin + split * part, end = min(first + part, place + 1);
        base = ((i64)slot * given.kept + shared) * given.context * WIDE;
    }

    // The end of those that were kept before the token itself, and whether it is among them.
    __device__ __forceinline__ int before() const { return min(end, place); }
    __device__ __forceinline__ bool own() const { return first <= place && place < end; }
};

// Joins what the warps of a block have seen. Where tokens are parted among blocks, the last one to be ready joins the parts. `hand` is
// where else it goes, where it is handed over.
template <int HEADS, int WARPS>
__device__ __forceinline__ void join(const Attention& given, Attending<HEADS, WARPS>& near, const View& view, Seen<HEADS>& seen, void* hand) {
    int heads = given.heads, splits = given.splits, row = view.row, head = view.head, count = view.count;
    int lane = threadIdx.x % SHARE, warp = threadIdx.x / 32;
    // What a warp has comes together in its first lanes, and then what all have.
    __syncwarp();
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        Shares& shares = seen.shares[h];
        for (int far = SHARE; far < 32; far *= 2) {
            float other = __shfl_xor_sync(ALL, shares.most, far), most = fmaxf(shares.most, other);
            float own = power(shares.most - most), theirs = power(other - most);
            shares.most = most, shares.sum = shares.sum * own + __shfl_xor_sync(ALL, shares.sum, far) * theirs;
#pragma unroll
            for (int at = 0; at < OWN; at++) seen.sums[h][at] = seen.sums[h][at] * own + __shfl_xor_sync(ALL, seen.sums[h][at], far) * theirs;
        }
        if (threadIdx.x % 32 >= SHARE) continue;
        if (lane == 0) near.all[h][warp] = shares;
#pragma unroll
        for (int at = 0; at < OWN; at++) near.joined[h][warp][number_of(lane, at)] = seen.sums[h][at];
    }
    meet<WARPS>();
    for (int number = threadIdx.x; number < count * HEAD; number += WARPS * 32) {
        int h = number / HEAD, at = number % HEAD;
        float most = LOWEST, sum = 0.0f, value = 0.0f;
#pragma unroll
        for (int one = 0; one < WARPS; one++) most = fmaxf(most, near.all[h][one].most);
#pragma unroll
        for (int one = 0; one < WARPS; one++) {
            float weight = power(near.all[h][one].most - most);
            sum += near.all[h][one].sum * weight, value += near.joined[h][one][at] * weight;
        }
        if (splits == 1) {
            put(given.out, hand, (i64)row * given.wide + (head + h) * HEAD + at, narrow(value / sum));
        } else {
            float* to = given.parts + (((i64)row * heads + head + h) * splits + view.split) * (HEAD + 2);
            to[at] = value;
            if (at == 0) to[HEAD] = most, to[HEAD + 1] = sum;
        }
    }
    // What rows are wider than their heads multiplies nothing, so it must be something.
    if (head == 0 && view.split == 0)
        for (int at = heads * HEAD + threadIdx.x; at < given.wide; at += WARPS * 32)
            put(given.out, hand, (i64)row * given.wide + at, narrow(0.0f));
    if (splits == 1) return;

    u32* counter = given.ready + (i64)row * heads + head;
    __threadfence();
    meet<WARPS>();
    if (threadIdx.x == 0) near.last = atomicAdd(counter, 1) == splits - 1;
    meet<WARPS>();
    if (!near.last) return;
    __threadfence();
    if (threadIdx.x == 0) *counter = 0;
    for (int h = 0; h < count; h++) {
        const volatile float* from = given.parts + ((i64)row * heads + head + h) * splits * (HEAD + 2);
        float most = LOWEST, sum = 0.0f;
        for (int one = 0; one < splits; one++) most = fmaxf(most, from[one * (HEAD + 2) + HEAD]);
        for (int one = 0; one < splits; one++) sum += from[one * (HEAD + 2) + HEAD + 1] * power(from[one * (HEAD + 2) + HEAD] - most);
        for (int at = threadIdx.x; at < HEAD; at += WARPS * 32) {
            float value = 0.0f;
            for (int one = 0; one < splits; one++) value += from[one * (HEAD + 2) + at] * power(from[one * (HEAD + 2) + HEAD] - most);
            put(given.out, hand, (i64)row * given.wide + (head + h) * HEAD + at, narrow(value / sum));
        }
    }
}

// What a token attends to: for some heads of queries that share one of keys, a part of the tokens that it sees. Each eight lanes go
// through keys of their own; then all is joined in one order.
template <int HEADS, int WARPS>
__device__ __forceinline__ void attend_to(const Attention& given, Attending<HEADS, WARPS>& near, const View& view) {
    // Keys that a block looks at side by side, and those of a lane that are under way at once.
    constexpr int SIDE = WARPS * 32 / SHARE, AHEAD = OWN * NUMBER * HEADS <= 32 ? 4 : OWN * NUMBER * HEADS <= 128 ? 2 : 1;
    int row = view.row, head = view.head, count = view.count, end = view.end, place = view.place;
    int lane = threadIdx.x % SHARE, side = threadIdx.x / SHARE, warp = threadIdx.x / 32;
    i64 base = view.base + number_of(lane, 0);
    if (!given.queries) {
        const float *all = given.all + (i64)row * given.stride, *cosines = given.cosines + (i64)place * (HEAD / 2);
        const float* sines = given.sines + (i64)place * (HEAD / 2);
        if (warp < count) turn(given, all + (head + warp) * HEAD, cosines, sines, head + warp, near.joined[warp][0], nullptr);
        int part = given.heads + view.shared + (WARPS - 1 - warp) * given.kept;
        if (view.own() && warp >= WARPS - 2)
            turn(given, all + part * HEAD, cosines, sines, part, nullptr, kept_at(given, view.slot, part, place));
        meet<WARPS>();
    }
    Seen<HEADS> seen;
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        int own = min(h, count - 1);
        seen.begin(h, given.queries ? given.queries + ((i64)row * given.heads + head + own) * HEAD : near.joined[own][0], lane);
    }
    meet<WARPS>();
    for (int begin = view.first + side; begin < end; begin += AHEAD * SIDE) {
        Lane keys[AHEAD], values[AHEAD];
#pragma unroll
        for (int at = 0; at < AHEAD; at++) {
            i64 key = base + (i64)min(begin + at * SIDE, end - 1) * WIDE;
            keys[at].read(given.keys + key), values[at].read(given.values + key);
        }
        seen.look(keys, values, begin, SIDE, end);
    }
    join(given, near, view, seen, nullptr);
}

extern "C" __global__ void __launch_bounds__(256) attend(const __grid_constant__ Attention given) {
    __shared__ Attending<TOGETHER, 8> near;
    let_next_begin();
    settle();
    attend_to(given, near, View(given, TOGETHER, blockIdx.x, blockIdx.y, blockIdx.z));
}
