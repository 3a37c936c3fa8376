// One step of a layer for all streams, in separate kernels: products, then cells. The products add in the same order as
// `write_text` in generation.cu, so a plain layer gives the same numbers either way.
#include "cell.cuh"

#define DEPTH 32  // inputs that a block reads at once
#define EPSILON ((REAL)1e-5)

#define OPERANDS                                                                                                   \
  REAL *out, const int *ids, int chosen, const REAL *x, const REAL *W, int K, const REAL *h, const REAL *W_h,      \
      int R, const REAL *b, int biased, int B, int N
#define OPERANDS_ON out, ids, chosen, x, W, K, h, W_h, R, b, biased, B, N

#define OF_ROWS 0    // x (B, K): stream s has row s
#define BY_ID 1      // x (any, K): stream s has row ids[s]
#define OF_WEIGHTS 2 // no x: stream s has row ids[s] of W

// Add to acc the products of the inputs of the block's streams with column `column` of W (K, N).
template <int ROWS>
INLINE void add_products(REAL (&acc)[ROWS], const REAL* x, const int* ids, const REAL* W, int K, int row, int B, int N,
                         int column, REAL* read) {
  for (int from = 0; from < K; from += DEPTH) {
    int depth = min(DEPTH, K - from);
    __syncthreads();
    for (int n = threadIdx.x; n < DEPTH * ROWS; n += blockDim.x) {
      int k = n % DEPTH, s = min(row + n / DEPTH, B - 1);
      if (k < depth) read[k * ROWS + n / DEPTH] = x[(size_t)(ids ? ids[s] : s) * K + from + k];
    }
    __syncthreads();
    if (column < N) {
      const REAL* w = W + (size_t)from * N + column;
#pragma unroll 4
      for (int k = 0; k < depth; k++, w += N)
#pragma unroll
        for (int r = 0; r < ROWS; r++) acc[r] += read[k * ROWS + r] * *w;
    }
  }
}

// out (B, N) = x W (K, N) + h (B, R) W_h (R, N) + b (N); R is 0 if there is no h, and b is added only if `biased`. A
// thread computes one column for ROWS streams; `read` is DEPTH * ROWS numbers of shared memory.
template <int ROWS>
INLINE void sum_inputs(REAL* read, OPERANDS) {
  int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * ROWS;
  REAL acc[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++)
    acc[r] = chosen == OF_WEIGHTS && column < N ? W[(size_t)ids[min(row + r, B - 1)] * N + column] : (REAL)0;
  if (chosen != OF_WEIGHTS) add_products<ROWS>(acc, x, chosen == BY_ID ? ids : 0, W, K, row, B, N, column, read);
  if (R > 0) add_products<ROWS>(acc, h, 0, W_h, R, row, B, N, column, read);
#pragma unroll
  for (int r = 0; r < ROWS; r++)
    if (column < N && row + r < B) out[(size_t)(row + r) * N + column] = biased ? acc[r] + b[column] : acc[r];
}

KERNEL __launch_bounds__(128) sums_4(OPERANDS) {
  DYN_SHARED(REAL, read);
  sum_inputs<4>(read, OPERANDS_ON);
}

KERNEL __launch_bounds__(128) sums_16(OPERANDS) {
  DYN_SHARED(REAL, read);
  sum_inputs<16>(read, OPERANDS_ON);
}

// Update c (B, H) in place and write h (B, H), from the gate inputs z (B, 4H).
KERNEL cells(const REAL* z, REAL* c, REAL* h, int hard, int B, int H) {
  for (long long n = FLAT_INDEX; n < (long long)B * H; n += FLAT_STRIDE) {
    const REAL* own = z + n / H * 4 * H + n % H;
    REAL cell = next_cell(own[0], own[H], own[2 * (size_t)H], c[n], hard != 0);
    c[n] = cell;
    h[n] = shown(own[3 * (size_t)H], tanh(cell), hard != 0);
  }
}

// The sum of one number per thread, returned to all. `room` has an entry per thread; there are a power of two.
INLINE REAL sum_of_block(REAL own, REAL* room) {
  room[threadIdx.x] = own;
  __syncthreads();
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    if ((int)threadIdx.x < half) room[threadIdx.x] += room[threadIdx.x + half];
    __syncthreads();
  }
  REAL sum = room[0];
  __syncthreads();
  return sum;
}

// The mean of H numbers, and the scale that brings them to variance 1 once the mean is subtracted.
INLINE void normal_of(const REAL* values, int H, REAL* room, REAL* mean, REAL* scale) {
  REAL sum = (REAL)0, squares = (REAL)0;
  for (int j = threadIdx.x; j < H; j += blockDim.x) sum += values[j];
  *mean = sum_of_block(sum, room) / (REAL)H;
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    REAL off = values[j] - *mean;
    squares += off * off;
  }
  *scale = (REAL)1 / sqrt(sum_of_block(squares, room) / (REAL)H + EPSILON);
}

// As `cells`, with layer norm, one block per stream: a (B, 4H) holds the gate inputs without b and is overwritten.
KERNEL __launch_bounds__(256) norm_cells(REAL* a, REAL* c, REAL* h, const REAL* gain, const REAL* b, const REAL* c_gain,
                                         const REAL* c_bias, int hard, int H) {
  DYN_SHARED(REAL, room);
  REAL *z = a + blockIdx.x * 4 * (size_t)H, *cell = c + blockIdx.x * (size_t)H, mean, scale;
  for (int q = 0; q < 4; q++) {
    normal_of(z + q * (size_t)H, H, room, &mean, &scale);
    for (int j = threadIdx.x; j < H; j += blockDim.x) {
      size_t at = q * (size_t)H + j;
      z[at] = gain[at] * ((z[at] - mean) * scale) + b[at];
    }
  }
  for (int j = threadIdx.x; j < H; j += blockDim.x)
    cell[j] = next_cell(z[j], z[H + j], z[2 * (size_t)H + j], cell[j], hard != 0);
  normal_of(cell, H, room, &mean, &scale);
  for (int j = threadIdx.x; j < H; j += blockDim.x)
    h[blockIdx.x * (size_t)H + j] =
        shown(z[3 * (size_t)H + j], tanh(c_gain[j] * ((cell[j] - mean) * scale) + c_bias[j]), hard != 0);
}
