// Dropout's masks, made as they are used, and the rows of an embedding, picked and added to.

#define WARPS 8
#define CHUNK 512                // token ids that a block looks through at a time
#define EACH (CHUNK / 32)        // of them, those that one lane looks at
#define PADDED(n) ((n) + (n) / EACH)  // so that the lanes' first ids lie in 32 different banks
#define SLICE 4                  // columns of each lane
#define FULL 0xffffffffu

struct Words {
  unsigned w[4];
};

// Philox4x32-10 (Salmon et al. 2011) for the counter (a, b, c, d) and the key (k, m): see dropout.py.
INLINE Words philox(unsigned a, unsigned b, unsigned c, unsigned d, unsigned k, unsigned m) {
  for (int round = 0; round < 10; round++) {
    unsigned long long left = (unsigned long long)a * 0xD2511F53u, right = (unsigned long long)c * 0xCD9E8D57u;
    a = (unsigned)(right >> 32) ^ b ^ k;
    b = (unsigned)right;
    c = (unsigned)(left >> 32) ^ d ^ m;
    d = (unsigned)left;
    k += 0x9E3779B9u;
    m += 0xBB67AE85u;
  }
  return Words{{a, b, c, d}};
}

// out = x * factor, or 0 where the mask leaves an entry out; a thread makes the four entries of one counter. out may be x.
KERNEL drop(const REAL* x, REAL* out, long long size, unsigned long long threshold, REAL factor, unsigned place,
            unsigned step_low, unsigned step_high, unsigned key_low, unsigned key_high) {
  for (long long four = FLAT_INDEX; 4 * four < size; four += FLAT_STRIDE) {
    Words words = philox((unsigned)four, place, step_low, step_high, key_low, key_high);
    for (int k = 0; k < 4; k++) {
      long long n = 4 * four + k;
      if (n < size) out[n] = words.w[k] < threshold ? (REAL)0 : x[n] * factor;
    }
  }
}

// out = what the entries of an array of that size are multiplied by: 0 or factor.
KERNEL factors(REAL* out, long long size, unsigned long long threshold, REAL factor, unsigned place,
               unsigned step_low, unsigned step_high, unsigned key_low, unsigned key_high) {
  for (long long four = FLAT_INDEX; 4 * four < size; four += FLAT_STRIDE) {
    Words words = philox((unsigned)four, place, step_low, step_high, key_low, key_high);
    for (int k = 0; k < 4; k++) {
      long long n = 4 * four + k;
      if (n < size) out[n] = words.w[k] < threshold ? (REAL)0 : factor;
    }
  }
}

// Blocks of (32, 8): a warp copies a row of W (V, E) to out (N, E).
KERNEL pick(const int* ids, const REAL* W, REAL* out, long long N, int E) {
  long long n = (long long)blockIdx.x * WARPS + threadIdx.y;
  if (n >= N) return;
  const REAL* row = W + (long long)ids[n] * E;
  for (int e = threadIdx.x; e < E; e += 32) out[n * E + e] = row[e];
}

// Blocks of (32, 8): a warp owns 128 columns of one row of dW (V, E) and adds to it the rows of dx (N, E) that have its
// id, in the order of n. The block's ids come through shared memory, where each lane looks at a run of them; a prefix
// sum over the lanes tells each where in the warp's list to write those that it found. Shared memory of PADDED(CHUNK)
// ids and a list of CHUNK 16-bit numbers for each warp.
KERNEL add_picked(const REAL* dx, const int* ids, REAL* dW, long long N, int V, int E) {
  DYN_SHARED(int, chunk);
  unsigned short* list = reinterpret_cast<unsigned short*>(chunk + PADDED(CHUNK)) + threadIdx.y * CHUNK;
  int lane = threadIdx.x, row = blockIdx.x * WARPS + threadIdx.y, column = blockIdx.y * 32 * SLICE + lane;
  REAL sums[SLICE] = {(REAL)0, (REAL)0, (REAL)0, (REAL)0};
  bool any = false;
  for (long long start = 0; start < N; start += CHUNK) {
    int count = N - start < CHUNK ? (int)(N - start) : CHUNK;
    for (int k = threadIdx.y * 32 + lane; k < CHUNK; k += 32 * WARPS) {
      chunk[PADDED(k)] = k < count ? ids[start + k] : -1;
    }
    __syncthreads();
    int own = 0;
    for (int k = EACH * lane; k < EACH * (lane + 1); k++) own += chunk[PADDED(k)] == row;
    int before = own;
    for (int step = 1; step < 32; step *= 2) {
      int lower = __shfl_up_sync(FULL, before, step);
      if (lane >= step) before += lower;
    }
    int found = __shfl_sync(FULL, before, 31);
    before -= own;
    if (own) {
      for (int k = EACH * lane; k < EACH * (lane + 1); k++) {
        if (chunk[PADDED(k)] == row) list[before++] = (unsigned short)k;
      }
    }
    __syncthreads();
#pragma unroll 4
    for (int k = 0; k < found; k++) {
      const REAL* from = dx + (start + list[k]) * E;
      for (int s = 0; s < SLICE; s++) {
        if (column + 32 * s < E) sums[s] += from[column + 32 * s];
      }
    }
    any = any || found > 0;
  }
  if (!any || row >= V) return;
  for (int s = 0; s < SLICE; s++) {
    if (column + 32 * s < E) dW[(long long)row * E + column + 32 * s] += sums[s];
  }
}
