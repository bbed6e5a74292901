// Tensors that a kernel goes through at once.
#define SIDE 16
#define ALL_OF(x) x##0, x##1, x##2, x##3, x##4, x##5, x##6, x##7, x##8, x##9, x##10, x##11, x##12, x##13, x##14, x##15
#define EACH_OF(type, x)                                                                                                            \
    type x##0, type x##1, type x##2, type x##3, type x##4, type x##5, type x##6, type x##7, type x##8, type x##9, type x##10, type x##11, \
        type x##12, type x##13, type x##14, type x##15

struct Side {
    // How many numbers each one has, and the block behind its last one.
    i64 counts[SIDE];
    u32 ends[SIDE];
};

// What a block works on: which tensor, of how many numbers, and the block's place among those that share it.
struct Share {
    u32 which, block, blocks;
    i64 count;

    __device__ __forceinline__ Share(const Side& side) : which(0) {
#pragma unroll
        for (u32 at = 1; at < SIDE; at++)
            if (blockIdx.x >= side.ends[at - 1]) which = at;
        u32 begin = which ? side.ends[which - 1] : 0;
        block = blockIdx.x - begin, blocks = side.ends[which] - begin, count = side.counts[which];
    }

    // Its own of all. They stay in registers, where there is no looking up.
    template <typename T>
    __device__ __forceinline__ T* of(T* const (&all)[SIDE]) const {
        T* own = all[0];
#pragma unroll
        for (u32 at = 1; at < SIDE; at++)
            if (which == at) own = all[at];
        return own;
    }
};
