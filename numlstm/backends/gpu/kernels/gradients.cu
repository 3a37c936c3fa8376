// Sums over the rows of a sequence. A block is of (columns, lanes) threads; lane y sums each blockDim.y-th row from its
// own on, then the lanes' sums are added in their order: no atomics, the same bits each time.

// Return the sum of a column over the lanes, to lane 0.
INLINE REAL over_lanes(REAL sum, REAL* sums) {
  sums[threadIdx.y * blockDim.x + threadIdx.x] = sum;
  __syncthreads();
  REAL total = (REAL)0;
  if (threadIdx.y == 0)
    for (int y = 0; y < (int)blockDim.y; y++) total += sums[y * blockDim.x + threadIdx.x];
  return total;
}

// partial[chunk, n] = the sum of values[p, n], or of values[p, n] * factors[p, n], over the rows of a chunk,
// blockIdx.y.
KERNEL __launch_bounds__(512) sum_chunks(const REAL* __restrict__ values, const REAL* __restrict__ factors,
                                         REAL* partial, long long rows, long long chunk_rows, int N, int product) {
  DYN_SHARED(REAL, sums);
  const int n = blockIdx.x * blockDim.x + threadIdx.x;
  const long long first = blockIdx.y * chunk_rows, last = min(first + chunk_rows, rows);
  REAL sum = (REAL)0;
  if (n < N) {
#pragma unroll 4
    for (long long p = first + threadIdx.y; p < last; p += blockDim.y)
      sum = product ? fma(values[p * N + n], factors[p * N + n], sum) : sum + values[p * N + n];
  }
  sum = over_lanes(sum, sums);
  if (n < N && threadIdx.y == 0) partial[(long long)blockIdx.y * N + n] = sum;
}

// out[n] += the sum of partial[chunk, n] over the chunks.
KERNEL add_chunks(const REAL* __restrict__ partial, REAL* out, int chunks, int N) {
  for (long long n = FLAT_INDEX; n < N; n += FLAT_STRIDE) {
    REAL sum = (REAL)0;
    for (int k = 0; k < chunks; k++) sum += partial[(long long)k * N + n];
    out[n] += sum;
  }
}

// out[id, n] += the sum of values[p, n] over the rows p of that id, which is the block's blockIdx.x.
//
// The threads of a block look through 32 ids each, side by side, and note in the bits of a word which are theirs; then
// each lane goes through each blockDim.y-th word.
KERNEL __launch_bounds__(512) add_rows(const int* __restrict__ ids, const REAL* __restrict__ values, REAL* out,
                                       int rows, int N) {
  DYN_SHARED(unsigned, words);
  const int id = blockIdx.x, threads = blockDim.x * blockDim.y;
  const int own = threadIdx.y * blockDim.x + threadIdx.x, n = blockIdx.y * blockDim.x + threadIdx.x;
  REAL sum = (REAL)0;
  for (int first = 0; first < rows; first += 32 * threads) {
    unsigned word = 0;
    for (int bit = 0; bit < 32; bit++) {
      int p = first + bit * threads + own;
      if (p < rows && ids[p] == id) word |= 1u << bit;
    }
    __syncthreads();
    words[own] = word;
    __syncthreads();
    if (n >= N) continue;
    for (int w = threadIdx.y; w < threads; w += blockDim.y)
      for (unsigned left = words[w]; left; left &= left - 1) {
        long long p = first + (__ffs((int)left) - 1) * threads + w;
        sum += values[p * N + n];
      }
  }
  __syncthreads();
  sum = over_lanes(sum, reinterpret_cast<REAL*>(words));
  if (n < N && threadIdx.y == 0) out[(long long)id * N + n] += sum;
}
