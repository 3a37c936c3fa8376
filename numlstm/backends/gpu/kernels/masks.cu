// Dropout's masks, made as they are used, and the rows of an embedding, picked and added to.

#define WARPS 8
#define SLICE 4   // columns of each lane, 32 apart
#define AHEAD 4   // times 32 token ids are read before they are looked at
#define LIST 256  // entries of a warp's list: it is gone through at 128, and AHEAD * 32 may come on top
#define FULL 0xffffffffu

#include "philox.cuh"

// out, which may be x, = x * factor, or 0 where the mask leaves an entry out; a thread makes the entries of a counter.
KERNEL drop(const REAL* x, REAL* out, long long size, unsigned long long threshold, REAL factor, unsigned place,
            unsigned step_low, unsigned step_high, unsigned key_low, unsigned key_high) {
  for (long long four = FLAT_INDEX; 4 * four < size; four += FLAT_STRIDE) {
    unsigned words[4] = {(unsigned)four, place, step_low, step_high};
    philox(words, key_low, key_high);  // its counter, see dropout.py
    for (int k = 0; k < 4; k++) {
      long long n = 4 * four + k;
      if (n < size) out[n] = words[k] < threshold ? (REAL)0 : x[n] * factor;
    }
  }
}

// out = what the entries of an array of that size are multiplied by: 0 or factor.
KERNEL factors(REAL* out, long long size, unsigned long long threshold, REAL factor, unsigned place,
               unsigned step_low, unsigned step_high, unsigned key_low, unsigned key_high) {
  for (long long four = FLAT_INDEX; 4 * four < size; four += FLAT_STRIDE) {
    unsigned words[4] = {(unsigned)four, place, step_low, step_high};
    philox(words, key_low, key_high);  // its counter, see dropout.py
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

// Add the rows of dx (N, E) that the list names, counted from `from` on, to this lane's columns, in the list's order.
INLINE void add_listed(const REAL* from, const int* list, int count, int column, int E, REAL* sums) {
#pragma unroll 4
  for (int k = 0; k < count; k++) {
    const REAL* row = from + (long long)list[k] * E;
    for (int s = 0; s < SLICE; s++) {
      if (column + 32 * s < E) sums[s] += row[column + 32 * s];
    }
  }
}

// Blocks of (32, 8): to a row of dW (V, E) are added the rows of dx (N, E) of its id, 128 columns by `split` warps of a
// block, 1 or 8: each goes through as many of the ids, lists those that it looks for, and adds their rows in the order
// of n; then the warps' sums are added in their order. Shared memory of LIST ints and 128 REAL for each warp.
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
  if (part || !all || row >= V) return;  // a row whose id never came is not touched
  for (int s = 0; s < SLICE; s++) {
    if (column + 32 * s < E) dW[(long long)row * E + column + 32 * s] += sums[s];
  }
}
