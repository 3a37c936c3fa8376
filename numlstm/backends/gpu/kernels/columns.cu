// Sums over the rows of a sequence. A block has (columns, lanes) threads. Lane y sums every blockDim.y-th row of its
// chunk; then the lanes' sums are added in order, then the chunks'. No atomics, so the bits are the same each time.

// partial[chunk, n] = the sum of values[p, n], or of values[p, n] * factors[p, n], over the rows p of a chunk, which is
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
  sums[threadIdx.y * blockDim.x + threadIdx.x] = sum;
  __syncthreads();
  if (n >= N || threadIdx.y > 0) return;
  for (int y = 1; y < (int)blockDim.y; y++) sum += sums[y * blockDim.x + threadIdx.x];
  partial[(long long)blockIdx.y * N + n] = sum;
}

// out[n] += the sum of partial[chunk, n] over the chunks.
KERNEL add_chunks(const REAL* __restrict__ partial, REAL* out, int chunks, int N) {
  for (long long n = FLAT_INDEX; n < N; n += FLAT_STRIDE) {
    REAL sum = (REAL)0;
    for (int k = 0; k < chunks; k++) sum += partial[(long long)k * N + n];
    out[n] += sum;
  }
}
