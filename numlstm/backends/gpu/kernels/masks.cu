// Dropout masks, computed where they are used, and lookup and gradient of embedding rows.
#include "philox.cuh"

#define WARPS 8
#define SLICE 4   // columns per lane, 32 apart
#define AHEAD 4   // times 32 token ids are read before they are compared
#define LIST 256  // entries of a warp's list: flushed once it has 128, since AHEAD * 32 may be added at once
#define FULL 0xffffffffu

// out = x * factor, or 0 where the mask drops an entry; out may be x. A thread computes the four entries of a counter.
KERNEL drop(const REAL* x, REAL* out, long long size, unsigned long long threshold, REAL factor, unsigned place,
            unsigned step_low, unsigned step_high, unsigned key_low, unsigned key_high) {
  for (long long four = FLAT_INDEX; 4 * four < size; four += FLAT_STRIDE) {
    unsigned words[4] = {(unsigned)four, place, step_low, step_high};
    philox(words, key_low, key_high);  // dropout.py defines the counter
    for (int k = 0; k < 4; k++) {
      long long n = 4 * four + k;
      if (n < size) out[n] = words[k] < threshold ? (REAL)0 : x[n] * factor;
    }
  }
}

// out = the mask's factors for an array of that size: 0 or factor.
KERNEL factors(REAL* out, long long size, unsigned long long threshold, REAL factor, unsigned place,
               unsigned step_low, unsigned step_high, unsigned key_low, unsigned key_high) {
  for (long long four = FLAT_INDEX; 4 * four < size; four += FLAT_STRIDE) {
    unsigned words[4] = {(unsigned)four, place, step_low, step_high};
    philox(words, key_low, key_high);  // dropout.py defines the counter
    for (int k = 0; k < 4; k++) {
      long long n = 4 * four + k;
      if (n < size) out[n] = words[k] < threshold ? (REAL)0 : factor;
    }
  }
}

// Blocks of (32, 8): a warp copies a row of W (V, E) to out (N, E).
KERNEL __launch_bounds__(32 * WARPS) pick(const int* ids, const REAL* W, REAL* out, long long N, int E) {
  long long n = (long long)blockIdx.x * WARPS + threadIdx.y;
  if (n >= N) return;
  const REAL* row = W + (long long)ids[n] * E;
  for (int e = threadIdx.x; e < E; e += 32) out[n * E + e] = row[e];
}

// Add the listed rows of dx (N, E), counted from `from`, to this lane's columns, in the order of the list.
INLINE void add_listed(const REAL* from, const int* list, int count, int column, int E, REAL* sums) {
#pragma unroll 4
  for (int k = 0; k < count; k++) {
    const REAL* row = from + (long long)list[k] * E;
    for (int s = 0; s < SLICE; s++) {
      if (column + 32 * s < E) sums[s] += row[column + 32 * s];
    }
  }
}

// Add to each row of dW (V, E) the rows of dx (N, E) with its id. In blocks of (32, 8), `split` warps, 1 or 8, share
// 128 columns of a row of dW. Each warp scans its part of the ids, lists the matches, and adds their rows in the order
// of n. Then the warps' sums are added in order. Shared memory: LIST ints and 128 REAL per warp.
KERNEL __launch_bounds__(32 * WARPS, 2) add_picked(const REAL* dx, const int* ids, REAL* dW, int N, int V, int E,
                                                    int split) {
  DYN_SHARED(REAL, all_sums);
  int lane = threadIdx.x, warp = threadIdx.y, part = warp % split;
  int* list = reinterpret_cast<int*>(all_sums + WARPS * SLICE * 32) + warp * LIST;
  int row = blockIdx.x * (WARPS / split) + warp / split, column = blockIdx.y * SLICE * 32 + lane;
  int first = (int)((long long)N * part / split), last = (int)((long long)N * (part + 1) / split);
  const REAL* from = dx + (long long)first * E;
  REAL sums[SLICE] = {(REAL)0, (REAL)0, (REAL)0, (REAL)0};
  int count = 0, all = 0;
  for (int start = 0; start < last - first; start += AHEAD * 32) {
    bool hits[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      int n = start + 32 * k + lane;
      hits[k] = n < last - first && ids[first + n] == row;
    }
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      unsigned found = __ballot_sync(FULL, hits[k]);
      if (hits[k]) list[count + __popc(found & ((1u << lane) - 1))] = start + 32 * k + lane;
      count += __popc(found);
    }
    if (count < LIST - AHEAD * 32 && start + AHEAD * 32 < last - first) continue;
    __syncwarp(FULL);
    add_listed(from, list, count, column, E, sums);
    __syncwarp(FULL);
    all += count;
    count = 0;
  }
  if (split > 1) {
    REAL* own = all_sums + warp * SLICE * 32 + lane;
    for (int s = 0; s < SLICE; s++) own[32 * s] = sums[s];
    __syncthreads();
    all = 1;
    for (int other = 1; part == 0 && other < split; other++) {
      for (int s = 0; s < SLICE; s++) sums[s] += own[(other * SLICE + s) * 32];
    }
  }
  if (part || !all || row >= V) return;  // a row whose id does not occur is not written
  for (int s = 0; s < SLICE; s++) {
    if (column + 32 * s < E) dW[(long long)row * E + column + 32 * s] += sums[s];
  }
}
