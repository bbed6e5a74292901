// Tiles of 64 rows of 64 numbers (f32) in shared memory, and their products by tensor cores: 256 threads have a product, each warp 16 rows of 32
// columns of it. Where rows are bf16, tensor cores take the first 11 bits of a number; else it goes in two parts, and what is lost is less than
// f32 loses.
#define SIDE 64
#define TILE (SIDE * SIDE)

// Where a number stands. Columns change places from row to row, so that those that a warp reads at once lie in all banks, down or across; four
// of them side by side stay so.
__device__ __forceinline__ u32 at(u32 row, u32 column) { return row * SIDE + (column ^ ((row & 3) << 3 | (row & 4))); }

// Tensor cores take the first bits of a number.
__device__ __forceinline__ float first_bits(float x) {
    u32 bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
}

// A number as tiles hold it: where tensor cores take it in one part, only what they take.
__device__ __forceinline__ float held(float x) { return NARROW ? first_bits(x) : x; }
__device__ __forceinline__ float4 held(float4 x) { return make_float4(held(x.x), held(x.y), held(x.z), held(x.w)); }

// A number of a tile as tensor cores take it, and what it lacks.
struct Parts {
    float most, rest;
};

__device__ __forceinline__ Parts parts_of(float x) {
    return NARROW ? Parts{x, 0.0f} : Parts{first_bits(x), first_bits(x - first_bits(x))};
}

__device__ __forceinline__ void add_product(float (&sums)[4], float a, float b, float c, float d, float e, float f) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(__float_as_uint(a)), "r"(__float_as_uint(b)), "r"(__float_as_uint(c)), "r"(__float_as_uint(d)),
          "r"(__float_as_uint(e)), "r"(__float_as_uint(f)));
}

// Adds the product of 16 rows of 8 numbers and 8 rows of 8.
__device__ __forceinline__ void add_parts(float (&sums)[4], const Parts (&x)[4], Parts first, Parts second) {
    if (!NARROW) {
        add_product(sums, x[0].rest, x[1].rest, x[2].rest, x[3].rest, first.most, second.most);
        add_product(sums, x[0].most, x[1].most, x[2].most, x[3].most, first.rest, second.rest);
    }
    add_product(sums, x[0].most, x[1].most, x[2].most, x[3].most, first.most, second.most);
}

// What a thread has of a product: numbers at `row_of(n)` and `column_of(part, n)`.
typedef float Sums[4][4];

__device__ __forceinline__ u32 row_of(int n) { return threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4 + n / 2 * 8; }
__device__ __forceinline__ u32 column_of(int part, int n) {
    return threadIdx.x / 128 * 32 + part * 8 + threadIdx.x % 4 * 2 + n % 2;
}

// For each number of a thread's: `x`, its `row` and `column`.
#define EACH_OF(sums, ...)                                     \
    _Pragma("unroll") for (int part = 0; part < 4; part++) {   \
        _Pragma("unroll") for (int n = 0; n < 4; n++) {        \
            u32 row = row_of(n), column = column_of(part, n);  \
            float& x = sums[part][n];                          \
            __VA_ARGS__;                                       \
        }                                                      \
    }

// Lays them down in a tile.
__device__ __forceinline__ void lay(float* tile, const Sums& sums) {
#pragma unroll
    for (int part = 0; part < 4; part++)
#pragma unroll
        for (int n = 0; n < 4; n += 2)
            *(float2*)(tile + at(row_of(n), column_of(part, n))) = make_float2(held(sums[part][n]), held(sums[part][n + 1]));
}

// And in memory, row by row.
__device__ __forceinline__ void give(float* to, const Sums& sums) {
#pragma unroll
    for (int part = 0; part < 4; part++)
#pragma unroll
        for (int n = 0; n < 4; n += 2)
            *(float2*)(to + row_of(n) * SIDE + column_of(part, n)) = make_float2(sums[part][n], sums[part][n + 1]);
}

enum Way { STRAIGHT, TURNED };

// Four squares of eight rows of four numbers. Each lane says where one of the rows lies, and gets a number of each square.
__device__ __forceinline__ void bring_squares(float (&to)[4], const float* row) {
    u32 bits[4];
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(bits[0]), "=r"(bits[1]), "=r"(bits[2]), "=r"(bits[3])
                 : "r"((u32)__cvta_generic_to_shared(row))
                 : "memory");
#pragma unroll
    for (int n = 0; n < 4; n++) to[n] = __uint_as_float(bits[n]);
}

// Adds the product of two tiles.
template <Way LEFT, Way RIGHT>
__device__ __forceinline__ void add(Sums& sums, const float* left, const float* right) {
    u32 lane = threadIdx.x % 32, down = lane / 4, across = lane % 4;
    u32 row = threadIdx.x / 32 % 4 * 16, column = threadIdx.x / 128 * 32;
#pragma unroll 2
    for (u32 deep = 0; deep < SIDE; deep += 8) {
        float all[4];
        if (LEFT == STRAIGHT) {
            bring_squares(all, left + at(row + lane % 16, deep + lane / 16 * 4));
        } else {
#pragma unroll
            for (int n = 0; n < 4; n++) all[n] = left[at(deep + across + n / 2 * 4, row + down + n % 2 * 8)];
        }
        Parts x[4];
#pragma unroll
        for (int n = 0; n < 4; n++) x[n] = parts_of(all[n]);
#pragma unroll
        for (int part = 0; part < 4; part += 2) {
            if (RIGHT == TURNED) {
                bring_squares(all, right + at(column + (part + lane / 16) * 8 + lane % 8, deep + lane / 8 % 2 * 4));
            } else {
#pragma unroll
                for (int n = 0; n < 4; n++) all[n] = right[at(deep + across + n % 2 * 4, column + (part + n / 2) * 8 + down)];
            }
            add_parts(sums[part], x, parts_of(all[0]), parts_of(all[1]));
            add_parts(sums[part + 1], x, parts_of(all[2]), parts_of(all[3]));
        }
    }
}

// Four numbers side by side of a row, as they lie in memory.
__device__ __forceinline__ float4 four(const float* from) { return *(const float4*)from; }
__device__ __forceinline__ float4 four(const u16* from) {
    uint2 all = *(const uint2*)from;
    return make_float4(__uint_as_float(all.x << 16), __uint_as_float(all.x & 0xffff0000u), __uint_as_float(all.y << 16),
                       __uint_as_float(all.y & 0xffff0000u));
}
__device__ __forceinline__ void put_four(float* to, float4 x) { *(float4*)to = x; }
__device__ __forceinline__ void put_four(u16* to, float4 x) { *(uint2*)to = make_uint2(pair_of(x.x, x.y), pair_of(x.z, x.w)); }

__device__ __forceinline__ float4 operator*(float by, float4 x) { return make_float4(by * x.x, by * x.y, by * x.z, by * x.w); }
__device__ __forceinline__ float4 operator+(float4 x, float4 y) { return make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w); }
__device__ __forceinline__ float product(float4 x, float4 y) { return x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w; }

// Where rows are gone through, four threads have one, each every fourth four of its columns; rows side by side begin with other ones, so that all
// banks are read.
#define OWN_ROW (threadIdx.x / 4)
#define OWN_FOURS(column)                                                   \
    _Pragma("unroll") for (u32 step = 0; step < 4; step++)                  \
        if (u32 column = (step ^ OWN_ROW % 2) * 16 + threadIdx.x % 4 * 4; true)

__device__ __forceinline__ float4& four_at(float* tile, u32 row, u32 column) { return *(float4*)(tile + at(row, column)); }

// The sum of what the four threads of a row have, the same in each.
__device__ __forceinline__ float sum_of_row(float x) {
    x += __shfl_xor_sync(ALL, x, 1);
    return x + __shfl_xor_sync(ALL, x, 2);
}

// A tile as it lies in memory, row by row.
__device__ __forceinline__ void fetch(float* tile, const float* from) {
    OWN_FOURS(column) four_at(tile, OWN_ROW, column) = held(four(from + OWN_ROW * SIDE + column));
}
__device__ __forceinline__ void keep(float* to, float* tile) {
    OWN_FOURS(column) put_four(to + OWN_ROW * SIDE + column, four_at(tile, OWN_ROW, column));
}
