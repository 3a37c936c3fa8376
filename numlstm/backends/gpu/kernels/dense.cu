// The dense output layer without its products, and the softmax cross-entropy above it. N rows, V columns.

#define ROWS 8      // per block, if each row has a warp
#define FULL 0xffffffffu

// Blocks of (32, 8): a warp adds b (V) to a row of out (N, V).
KERNEL __launch_bounds__(32 * ROWS) add_bias(REAL* out, const REAL* b, int N, int V) {
  long long n = (long long)blockIdx.x * ROWS + threadIdx.y;
  if (n >= N) return;
  REAL* row = out + n * V;
  for (int v = threadIdx.x; v < V; v += 32) row[v] += b[v];
}

// The sum, or the maximum, over the threads of a row: one warp, or all warps of a block, which then use `parts`.
INLINE REAL row_sum(REAL value, REAL* parts) {
  for (int step = 16; step; step /= 2) value += __shfl_xor_sync(FULL, value, step);
  if (blockDim.x == 32) {
    __syncwarp(FULL);  // all lanes have read the row before any of them writes to it
    return value;
  }
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  value = parts[0];
  for (int k = 1; k < (int)blockDim.x / 32; k++) value += parts[k];
  return value;
}

INLINE REAL row_largest(REAL value, REAL* parts) {
  for (int step = 16; step; step /= 2) {
    REAL other = __shfl_xor_sync(FULL, value, step);
    value = other > value ? other : value;
  }
  if (blockDim.x == 32) {
    __syncwarp(FULL);
    return value;
  }
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  value = parts[0];
  for (int k = 1; k < (int)blockDim.x / 32; k++) value = parts[k] > value ? parts[k] : value;
  return value;
}

// Blocks of (32, 8), one warp per row, or of (256, 1), one block per row. losses (N) = -log softmax(logits)[targets].
// The logits (N, V) are overwritten with their gradient times `factor`, or times *scaled if use_scaled. A NaN stays
// within its row. Shared memory: 16 REAL.
KERNEL __launch_bounds__(32 * ROWS) cross_entropy(REAL* logits, const int* targets, REAL* losses, int N, int V,
                                                      REAL factor, const REAL* scaled, int use_scaled) {
  DYN_SHARED(REAL, largest_parts);
  REAL* sum_parts = largest_parts + ROWS;
  long long n = (long long)blockIdx.x * blockDim.y + threadIdx.y;
  bool live = n < N;                      // the last block may have warps without a row: they still reach the barriers
  REAL* row = logits + (live ? n : 0) * V;
  int end = live ? V : 0, target = live ? targets[n] : 0;
  REAL of_target = live ? row[target] : (REAL)0, largest = live ? row[0] : (REAL)0;
  for (int v = threadIdx.x; v < end; v += blockDim.x) largest = row[v] > largest ? row[v] : largest;
  largest = row_largest(largest, largest_parts);
  REAL sum = (REAL)0;
  for (int v = threadIdx.x; v < end; v += blockDim.x) sum += exp(row[v] - largest);
  sum = row_sum(sum, sum_parts);
  if (use_scaled) factor = *scaled;
  REAL share = (REAL)1 / sum;
  for (int v = threadIdx.x; v < end; v += blockDim.x) {
    REAL chosen = v == target ? (REAL)1 : (REAL)0;
    row[v] = (exp(row[v] - largest) * share - chosen) * factor;  // loss = log(sum) - (logits[target] - largest)
  }
  if (live && threadIdx.x == 0) losses[n] = log(sum) - (of_target - largest);
}
