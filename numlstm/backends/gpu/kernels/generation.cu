// Text generation: N tokens in one launch (`write_1`, `write_2`, `write_4`), where a block generates 1, 2 or 4 streams
// with their state and logits in shared memory; or only the drawing of a token (`draw`), for networks that
// `generation_steps.cu` runs. One thread sums over inputs in order, so a stream's numbers do not depend on its batch.
// Every thread reaches every barrier: branches around barriers are the same for the whole block.
#include "cell.cuh"
#include "philox.cuh"
#include "sampling.cuh"

// A layer, as stored in the table of layers: the addresses of its weights and of the state (B, H), and its sizes.
struct Layer {
  const REAL *W_x, *W_h, *b;
  REAL *h, *c;
  int D, H;
  bool hard;
};

#define LAYER_FIELDS 8

INLINE Layer layer_at(const long long* table, int number) {
  const long long* at = table + number * LAYER_FIELDS;
  Layer layer = {reinterpret_cast<const REAL*>(at[0]), reinterpret_cast<const REAL*>(at[1]),
                 reinterpret_cast<const REAL*>(at[2]), reinterpret_cast<REAL*>(at[3]),
                 reinterpret_cast<REAL*>(at[4]),       (int)at[5],
                 (int)at[6],                           at[7] != 0};
  return layer;
}

// Lay out the shared memory that drawing needs; returns its end.
INLINE unsigned char* lay_table(unsigned char* room, int V, u64* keys, int* order, bool small, Table& at) {
  int threads = blockDim.x, places = 1;
  at.desk = reinterpret_cast<Desk*>(room);
  at.sums = reinterpret_cast<double*>(at.desk + 1);
  at.best = reinterpret_cast<u64*>(at.sums + threads);
  at.keys = at.best + threads;
  at.best_id = reinterpret_cast<int*>(at.keys + (small ? V : 0));
  at.order = at.best_id + threads;
  at.small = small;
  unsigned char* end = reinterpret_cast<unsigned char*>(at.order + (small ? V : 0));
  if (!small) {
    while (places < V) places *= 2;
    at.keys = keys + (size_t)blockIdx.x * V;
    at.order = order + (size_t)blockIdx.x * places;
  }
  size_t used = (size_t)(end - room);
  return room + (used + 15) / 16 * 16;
}

// Draw a token for stream b of B from its logits; thread 0 records it in `recent`, replacing the oldest.
INLINE int draw_for(int b, int B, int n, const REAL* logits, int V, double uniform, const Table& at, SETTINGS) {
  Stream s;
  s.logits = logits;
  s.V = V;
  s.temperature = numbers[b];
  s.top_p = numbers[B + b];
  s.min_p = numbers[2 * (size_t)B + b];
  s.penalty = numbers[3 * (size_t)B + b];
  s.uniform = uniform;
  s.top_k = top_k[b];
  s.counts = window ? counts + (size_t)b * V : 0;
  s.allowed = masked ? allowed + (size_t)b * V : 0;
  int token = draw_token(s, at);
  if (window && threadIdx.x == 0) {
    int* oldest = recent + (size_t)b * window + n % window;
    if (*oldest >= 0) counts[(size_t)b * V + *oldest]--;
    counts[(size_t)b * V + token]++;
    *oldest = token;
  }
  return token;
}

// Add to acc[gate][row] the products of x, (K, ROWS) in shared memory, with unit j's columns of W.
template <int ROWS>
INLINE void add_gates(REAL (&acc)[4][ROWS], const REAL* x, const REAL* W, int K, int H, int j) {
  const REAL* w = W + j;
#pragma unroll(ROWS == 4 ? 2 : 4)
  for (int k = 0; k < K; k++, w += 4 * (size_t)H) {
    REAL w_i = w[0], w_f = w[H], w_g = w[2 * (size_t)H], w_o = w[3 * (size_t)H];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      REAL x_r = x[(size_t)k * ROWS + r];
      acc[0][r] += x_r * w_i;
      acc[1][r] += x_r * w_f;
      acc[2][r] += x_r * w_g;
      acc[3][r] += x_r * w_o;
    }
  }
}

// One step of a layer for the block's streams, with x, h and c in shared memory. The first layer of a network without
// an embedding has no x: it reads the rows of W_x selected by `ids`.
template <int ROWS>
INLINE void step_layer(const Layer& layer, const int* ids, const REAL* x, const REAL* h, REAL* h_next, REAL* c) {
  int H = layer.H;
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    REAL acc[4][ROWS];
#pragma unroll
    for (int q = 0; q < 4; q++)
#pragma unroll
      for (int r = 0; r < ROWS; r++) acc[q][r] = x ? (REAL)0 : layer.W_x[((size_t)ids[r] * 4 + q) * H + j];
#pragma unroll 1
    for (int part = x ? 0 : 1; part < 2; part++)  // one copy of the code for x and h: it is long
      add_gates<ROWS>(acc, part ? h : x, part ? layer.W_h : layer.W_x, part ? H : layer.D, H, j);
    REAL b_i = layer.b[j], b_f = layer.b[H + j], b_g = layer.b[2 * H + j], b_o = layer.b[3 * H + j];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      REAL cell = next_cell(acc[0][r] + b_i, acc[1][r] + b_f, acc[2][r] + b_g, c[j * ROWS + r], layer.hard);
      c[j * ROWS + r] = cell;
      h_next[j * ROWS + r] = shown(acc[3][r] + b_o, tanh(cell), layer.hard);
    }
  }
}

// The logits (ROWS, V) of the block's streams, from h, (H, ROWS) in shared memory.
template <int ROWS>
INLINE void find_logits(const REAL* h, const REAL* W, const REAL* b, int H, int V, REAL* logits) {
  for (int v = threadIdx.x; v < V; v += blockDim.x) {
    REAL acc[ROWS];
    const REAL* w = W + v;
#pragma unroll
    for (int r = 0; r < ROWS; r++) acc[r] = (REAL)0;
#pragma unroll 8
    for (int k = 0; k < H; k++, w += V)
#pragma unroll
      for (int r = 0; r < ROWS; r++) acc[r] += h[k * ROWS + r] * *w;
#pragma unroll
    for (int r = 0; r < ROWS; r++) logits[(size_t)r * V + v] = acc[r] + b[v];
  }
}

// Copy the state between the layers' arrays (B, H) and the block's shared memory. There each layer in turn has h, the
// next h and c, each (H, ROWS). `odd` says that the two h have changed places.
template <int ROWS>
INLINE void carry_state(const long long* layers, int L, REAL* state, int row, int B, bool odd, bool back) {
  for (int l = 0; l < L; l++) {
    Layer layer = layer_at(layers, l);
    int size = layer.H * ROWS;
    for (int n = threadIdx.x; n < size; n += blockDim.x) {
      int b = row + n % ROWS;
      if (b >= B) {  // beyond the last stream: zeros, which compute nothing undefined
        if (!back) state[n] = state[2 * size + n] = (REAL)0;
        continue;
      }
      size_t there = (size_t)b * layer.H + n / ROWS;
      REAL *h = state + (odd ? size : 0) + n, *c = state + 2 * size + n;
      if (back) {
        layer.h[there] = *h;
        layer.c[there] = *c;
      } else {
        *h = layer.h[there];
        *c = layer.c[there];
      }
    }
    state += 3 * size;
  }
}

#define NETWORK                                                                                                    \
  const long long *layers, int L, const REAL *embedding, int E, const REAL *W_y, const REAL *b_y, int V
#define NETWORK_ON layers, L, embedding, E, W_y, b_y, V
#define TEXT const int *ids, const double *uniforms, int *drawn, int N, int B
#define TEXT_ON ids, uniforms, drawn, N, B

// Draw N tokens for streams row .. row + ROWS - 1. `layers` is the table of L layers; E is the embedding's size, 0 if
// there is none. Reads ids (B) first, draws with uniforms (N, B), and writes drawn (N, B) and the state.
template <int ROWS>
INLINE void write_text(unsigned char* memory, NETWORK, SETTINGS, TEXT) {
  int row = blockIdx.x * ROWS, tid = threadIdx.x, deepest = 0;
  Table at;
  REAL* state = reinterpret_cast<REAL*>(lay_table(memory, V, keys, order, small != 0, at));
  REAL* end = state;
  for (int l = 0; l < L; l++) {
    deepest = layer_at(layers, l).H;
    end += 3 * ROWS * deepest;
  }
  REAL *read = end, *logits = end + ROWS * E;
  int* reads = reinterpret_cast<int*>(logits + ROWS * V);
  carry_state<ROWS>(layers, L, state, row, B, false, false);
  if (tid < ROWS) reads[tid] = row + tid < B ? ids[row + tid] : 0;
  __syncthreads();
  for (int n = 0; n < N; n++) {
    for (int k = tid; k < ROWS * E; k += blockDim.x) read[k] = embedding[(size_t)reads[k % ROWS] * E + k / ROWS];
    if (E > 0) __syncthreads();
    const REAL* x = E > 0 ? read : 0;
    REAL* own = state;
    for (int l = 0; l < L; l++) {
      Layer layer = layer_at(layers, l);
      int size = layer.H * ROWS;
      REAL *h = own + n % 2 * size, *h_next = own + (1 - n % 2) * size;
      step_layer<ROWS>(layer, reads, x, h, h_next, own + 2 * size);
      __syncthreads();
      x = h_next;
      own += 3 * size;
    }
    find_logits<ROWS>(x, W_y, b_y, deepest, V, logits);
    __syncthreads();
#pragma unroll 1
    for (int r = 0; r < ROWS && row + r < B; r++) {
      size_t place = (size_t)n * B + row + r;
      int token = draw_for(row + r, B, n, logits + (size_t)r * V, V, uniforms[place], at, SETTINGS_ON);
      if (tid == 0) reads[r] = drawn[place] = token;
    }
    __syncthreads();
  }
  carry_state<ROWS>(layers, L, state, row, B, N % 2 == 1, true);
}

KERNEL __launch_bounds__(LARGEST, 1) write_1(NETWORK, SETTINGS, TEXT) {
  DYN_SHARED(unsigned char, memory);
  write_text<1>(memory, NETWORK_ON, SETTINGS_ON, TEXT_ON);
}

KERNEL __launch_bounds__(LARGEST, 1) write_2(NETWORK, SETTINGS, TEXT) {
  DYN_SHARED(unsigned char, memory);
  write_text<2>(memory, NETWORK_ON, SETTINGS_ON, TEXT_ON);
}

KERNEL __launch_bounds__(LARGEST, 1) write_4(NETWORK, SETTINGS, TEXT) {
  DYN_SHARED(unsigned char, memory);
  write_text<4>(memory, NETWORK_ON, SETTINGS_ON, TEXT_ON);
}


// Draw token n of all streams from logits (B, V) and write it to drawn (B); a block draws for one stream at a time.
KERNEL __launch_bounds__(LARGEST, 1)
    draw(const REAL* logits, int V, SETTINGS, const double* uniforms, int* drawn, int n, int B) {
  DYN_SHARED(unsigned char, memory);
  Table at;
  lay_table(memory, V, keys, order, small != 0, at);
  for (int b = blockIdx.x; b < B; b += gridDim.x) {
    int token = draw_for(b, B, n, logits + (size_t)b * V, V, uniforms[b], at, SETTINGS_ON);
    if (threadIdx.x == 0) drawn[b] = token;
  }
}

// Entry [n, b] is number first + n of stream streams[b]: 53 bits of the first two Philox words.
KERNEL uniform_numbers(double* out, const unsigned int* streams, unsigned int key_low, unsigned int key_high,
                       u64 first, long long count, int B) {
  for (long long i = FLAT_INDEX; i < count * B; i += FLAT_STRIDE) {
    u64 number = first + (u64)(i / B);
    unsigned int words[4] = {(unsigned int)number, (unsigned int)(number >> 32), streams[i % B], 0x756E6966u};
    philox(words, key_low, key_high);
    out[i] = (double)(((u64)words[0] << 21) ^ (words[1] >> 11)) * (double)0x1p-53;
  }
}
