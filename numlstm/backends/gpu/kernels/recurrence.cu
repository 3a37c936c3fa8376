// One layer over a whole sequence in one launch, forward and backward.
//
// A block owns ROWS rows of the batch and loops over all T steps. Rows are independent, so blocks never synchronize. Of
// its blockDim.x * blockDim.y threads, thread (u, s) sums slice s of the products for units u, u + blockDim.x, ....
// After a barrier, the threads that own a row and unit add the slices' sums in order: (u, s) owns rows s, s +
// blockDim.y, ... of its units, in all steps. The results for a row do not depend on ROWS.
//
// W_h is read as one `Four` for each pair of units, `packed`[k * H + j]: in the forward pass the weights from unit k to
// the gates of unit j, in the backward pass those from unit j to the gates of unit k. The first `kept` rows of each
// slice stay in shared memory; the others come through L2 at each step. cells.cu handles layer norm and projections.

#define MOST_THREADS 512

// One unit's values in all rows of a block, side by side, so that one load reads them all.
template <int ROWS>
struct alignas(ROWS * sizeof(REAL) < 16 ? ROWS * sizeof(REAL) : 16) Rows {
  REAL of[ROWS];
};

// The slice of the H rows of packed weights that a thread sums, and how many of those stay in shared memory.
struct Slice {
  int low, size, kept;
};

INLINE Slice own_slice(int H, int kept) {
  int length = (H + blockDim.y - 1) / blockDim.y;
  Slice slice;
  slice.low = min((int)threadIdx.y * length, H);
  slice.size = min(length, H - slice.low);
  slice.kept = min(kept, slice.size);
  return slice;
}

// Copy the kept rows of a slice to shared memory. Each thread reads only what it copied itself.
INLINE void keep(const Four* __restrict__ packed, const Slice& slice, int H, Four* own) {
  for (int k = 0; k < slice.kept; k++)
    for (int j = threadIdx.x; j < H; j += blockDim.x) own[k * H + j] = packed[(slice.low + k) * (long long)H + j];
}

template <int ROWS>
INLINE void add_forward(const Four* weights, int H, const Rows<ROWS>* h, int count, Four* sums) {
#pragma unroll(ROWS * sizeof(REAL) > 16 ? 2 : 4)
  for (int k = 0; k < count; k++) {
    Four w = weights[k * (long long)H];
    Rows<ROWS> now = h[k];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      sums[r].i = fma(now.of[r], w.i, sums[r].i);
      sums[r].f = fma(now.of[r], w.f, sums[r].f);
      sums[r].g = fma(now.of[r], w.g, sums[r].g);
      sums[r].o = fma(now.of[r], w.o, sums[r].o);
    }
  }
}

// Two sums per row: a single one would stall on its own latency, four would take the registers of other rows.
template <int ROWS>
INLINE void add_backward(const Four* weights, int H, const Four* dz, int count, REAL (*sums)[2]) {
#pragma unroll(ROWS * sizeof(REAL) > 16 ? 1 : 2)
  for (int k = 0; k < count; k++) {
    Four w = weights[k * (long long)H];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      Four d = dz[k * ROWS + r];
      sums[r][0] = fma(d.i, w.i, fma(d.f, w.f, sums[r][0]));
      sums[r][1] = fma(d.g, w.g, fma(d.o, w.o, sums[r][1]));
    }
  }
}

template <int ROWS>
INLINE void clear(Four* sums) {
#pragma unroll
  for (int r = 0; r < ROWS; r++) sums[r].i = sums[r].f = sums[r].g = sums[r].o = (REAL)0;
}

// The input's part of a unit's gates, plus the bias: a row of W_x for a token, precomputed in `gates` for activations.
INLINE Four start_of(const REAL* from, const REAL* b, int H, int j) {
  Four z;
  z.i = from[j] + b[j];
  z.f = from[H + j] + b[H + j];
  z.g = from[2 * H + j] + b[2 * H + j];
  z.o = from[3 * H + j] + b[3 * H + j];
  return z;
}

#define FORWARD_PARAMETERS                                                                                            \
  const int *__restrict__ ids, const REAL *__restrict__ W_x, const REAL *__restrict__ b,                              \
      const REAL *__restrict__ packed, const REAL *__restrict__ mask, const REAL *__restrict__ h0,                    \
      const REAL *__restrict__ c0, REAL *gates, REAL *h, REAL *seen, REAL *c, int T, int B, int H, int kept,          \
      int tokens, int masked, int hard
#define FORWARD_ARGUMENTS ids, W_x, b, packed, mask, h0, c0, gates, h, seen, c, T, B, H, kept, tokens, masked, hard

// Shared memory: kept rows of W_h (S kept H) and partial sums (S ROWS U), as Four; h twice (H ROWS); c (ROWS H).
template <int ROWS>
INLINE void forward(FORWARD_PARAMETERS) {
  DYN_SHARED(Four, shared);
  const int U = blockDim.x, S = blockDim.y, u = threadIdx.x, s = threadIdx.y;
  const Slice slice = own_slice(H, kept);
  const Four* W = reinterpret_cast<const Four*>(packed);
  Four* own = shared + (long long)s * kept * H;
  Four* parts = shared + (long long)S * kept * H;
  Rows<ROWS>* hs = reinterpret_cast<Rows<ROWS>*>(parts + S * ROWS * U);
  REAL* cs = reinterpret_cast<REAL*>(hs + 2 * H);
  const long long first = (long long)blockIdx.x * ROWS, step = (long long)B * H;

  keep(W, slice, H, own);
#pragma unroll 1
  for (int r = s; r < ROWS; r += S)
#pragma unroll 1
    for (int j = u; j < H; j += U) {
      if (first + r >= B) continue;  // the last block may have rows beyond B: their sums are discarded
      long long at = (first + r) * H + j;
      REAL start = h0[at], shown = masked ? start * mask[at] : start;
      h[at] = start;
      if (masked) seen[at] = shown;
      hs[j].of[r] = shown;
      c[at] = cs[r * H + j] = c0[at];
    }
  __syncthreads();

  for (int t = 0; t < T; t++) {
    const Rows<ROWS>* now = hs + (t & 1) * H;
    Rows<ROWS>* next = hs + (1 - (t & 1)) * H;
    for (int group = 0; group < H; group += U) {
      const int j = group + u;
      Four sums[ROWS], ready;
      clear<1>(&ready);
      clear<ROWS>(sums);
      if (j < H) {
        if (s < ROWS && first + s < B) {  // loaded before the products, which hide its latency
          long long row = (long long)t * B + first + s;
          ready = start_of(tokens ? W_x + (long long)ids[row] * 4 * H : gates + row * 4 * H, b, H, j);
        }
        add_forward<ROWS>(own + j, H, now + slice.low, slice.kept, sums);
        add_forward<ROWS>(W + (long long)(slice.low + slice.kept) * H + j, H, now + slice.low + slice.kept,
                          slice.size - slice.kept, sums);
      }
#pragma unroll
      for (int r = 0; r < ROWS; r++) parts[(s * ROWS + r) * U + u] = sums[r];
      __syncthreads();
#pragma unroll 1
      for (int r = s; r < ROWS; r += S) {
        if (j >= H || first + r >= B) continue;
        long long row = (long long)t * B + first + r;
        Four z = ready;
        if (r != s) z = start_of(tokens ? W_x + (long long)ids[row] * 4 * H : gates + row * 4 * H, b, H, j);
        for (int n = 0; n < S; n++) {
          Four part = parts[(n * ROWS + r) * U + u];
          z.i += part.i;
          z.f += part.f;
          z.g += part.g;
          z.o += part.o;
        }
        REAL i = gate_of(z.i, hard), f = gate_of(z.f, hard), g = tanh(z.g), o = gate_of(z.o, hard);
        REAL cell = fma(f, cs[r * H + j], i * g);
        REAL out = o * tanh(cell);
        REAL* mine = gates + row * 4 * H + j;
        mine[0] = i;
        mine[H] = f;
        mine[2 * H] = g;
        mine[3 * H] = o;
        long long at = (first + r) * H + j;
        cs[r * H + j] = cell;
        c[(t + 1) * step + at] = cell;
        h[(t + 1) * step + at] = out;
        if (masked) {
          out *= mask[at];
          seen[(t + 1) * step + at] = out;
        }
        next[j].of[r] = out;
      }
      __syncthreads();
    }
  }
}

KERNEL __launch_bounds__(MOST_THREADS, 1) forward_1(FORWARD_PARAMETERS) { forward<1>(FORWARD_ARGUMENTS); }
KERNEL __launch_bounds__(MOST_THREADS, 1) forward_2(FORWARD_PARAMETERS) { forward<2>(FORWARD_ARGUMENTS); }
KERNEL __launch_bounds__(MOST_THREADS, 1) forward_4(FORWARD_PARAMETERS) { forward<4>(FORWARD_ARGUMENTS); }

// What the backward pass reads for one row and unit in one step.
struct Cell {
  Four gates;
  REAL c_prev, c, dh;
};

INLINE Cell cell_of(const REAL* gates, const REAL* c, const REAL* dh, long long t, long long row, int B, int H, int j) {
  Cell cell;
  const REAL* mine = gates + (t * B + row) * 4 * H + j;
  cell.gates.i = mine[0];
  cell.gates.f = mine[H];
  cell.gates.g = mine[2 * H];
  cell.gates.o = mine[3 * H];
  long long at = (t * B + row) * H + j;
  cell.c_prev = c[at];
  cell.c = c[at + (long long)B * H];
  cell.dh = dh[at];
  return cell;
}

#define BACKWARD_PARAMETERS                                                                                           \
  const REAL *__restrict__ dh, const REAL *__restrict__ packed, const REAL *__restrict__ mask,                        \
      const REAL *__restrict__ c, REAL *gates, REAL *dh0, REAL *dc0, int T, int B, int H, int kept, int masked,       \
      int hard
#define BACKWARD_ARGUMENTS dh, packed, mask, c, gates, dh0, dc0, T, B, H, kept, masked, hard

// dz overwrites the gates. Shared memory: kept rows of W_h (S kept H) and dz (H ROWS), as Four; partial sums (S ROWS U)
// and the gradients of h and c from step t + 1 (ROWS H each), as REAL.
template <int ROWS>
INLINE void backward(BACKWARD_PARAMETERS) {
  DYN_SHARED(Four, shared);
  const int U = blockDim.x, S = blockDim.y, u = threadIdx.x, s = threadIdx.y;
  const Slice slice = own_slice(H, kept);
  const Four* W = reinterpret_cast<const Four*>(packed);
  Four* own = shared + (long long)s * kept * H;
  Four* dzs = shared + (long long)S * kept * H;
  REAL* parts = reinterpret_cast<REAL*>(dzs + H * ROWS);
  REAL* dh_next = parts + S * ROWS * U;
  REAL* dc_next = dh_next + ROWS * H;
  const long long first = (long long)blockIdx.x * ROWS;
  // The next step's inputs are loaded before the products, which hide their latency.
  const bool early = s < ROWS && first + s < B && u < H;

  keep(W, slice, H, own);
#pragma unroll 1
  for (int r = s; r < ROWS; r += S)
    for (int j = u; j < H; j += U) dh_next[r * H + j] = dc_next[r * H + j] = (REAL)0;
  Cell ready;
  if (early) ready = cell_of(gates, c, dh, T - 1, first + s, B, H, u);

  for (int t = T - 1; t >= 0; t--) {
#pragma unroll 1
    for (int r = s; r < ROWS; r += S)
#pragma unroll 1
      for (int j = u; j < H; j += U) {
        if (first + r >= B) continue;
        Cell now = early && r == s && j == u ? ready : cell_of(gates, c, dh, t, first + r, B, H, j);
        REAL i = now.gates.i, f = now.gates.f, g = now.gates.g, o = now.gates.o, tanh_c = tanh(now.c);
        REAL dh_t = now.dh + dh_next[r * H + j];
        // h = o * tanh(c), and c goes on to step t + 1
        REAL dc = fma(dh_t * o, fma(-tanh_c, tanh_c, (REAL)1), dc_next[r * H + j]);
        Four dz;
        dz.i = dc * g * slope_of(i, hard);           // c = f * c_prev + i * g, i = sigma(z_i)
        dz.f = dc * now.c_prev * slope_of(f, hard);  // c = f * c_prev + i * g, f = sigma(z_f)
        dz.g = dc * i * fma(-g, g, (REAL)1);         // c = f * c_prev + i * g, g = tanh(z_g)
        dz.o = dh_t * tanh_c * slope_of(o, hard);    // h = o * tanh(c), o = sigma(z_o)
        dc_next[r * H + j] = dc * f;                 // c = f * c_prev + i * g
        REAL* mine = gates + ((long long)t * B + first + r) * 4 * H + j;
        mine[0] = dz.i;
        mine[H] = dz.f;
        mine[2 * H] = dz.g;
        mine[3 * H] = dz.o;
        dzs[j * ROWS + r] = dz;
      }
    __syncthreads();
    if (early && t > 0) ready = cell_of(gates, c, dh, t - 1, first + s, B, H, u);
    for (int group = 0; group < H; group += U) {
      const int j = group + u;
      REAL sums[ROWS][2];
#pragma unroll
      for (int r = 0; r < ROWS; r++) sums[r][0] = sums[r][1] = (REAL)0;
      if (j < H) {
        add_backward<ROWS>(own + j, H, dzs + slice.low * ROWS, slice.kept, sums);
        add_backward<ROWS>(W + (long long)(slice.low + slice.kept) * H + j, H, dzs + (slice.low + slice.kept) * ROWS,
                           slice.size - slice.kept, sums);
      }
#pragma unroll
      for (int r = 0; r < ROWS; r++) parts[(s * ROWS + r) * U + u] = sums[r][0] + sums[r][1];
      __syncthreads();
#pragma unroll 1
      for (int r = s; r < ROWS; r += S) {
        if (j >= H || first + r >= B) continue;
        REAL sum = (REAL)0;
        for (int n = 0; n < S; n++) sum += parts[(n * ROWS + r) * U + u];
        // z = x W_x + (h_prev * mask) W_h + b
        dh_next[r * H + j] = masked ? sum * mask[(first + r) * H + j] : sum;
      }
      __syncthreads();
    }
  }
#pragma unroll 1
  for (int r = s; r < ROWS; r += S)
    for (int j = u; j < H; j += U) {
      if (first + r >= B) continue;
      dh0[(first + r) * H + j] = dh_next[r * H + j];
      dc0[(first + r) * H + j] = dc_next[r * H + j];
    }
}

KERNEL __launch_bounds__(MOST_THREADS, 1) backward_1(BACKWARD_PARAMETERS) { backward<1>(BACKWARD_ARGUMENTS); }
KERNEL __launch_bounds__(MOST_THREADS, 1) backward_2(BACKWARD_PARAMETERS) { backward<2>(BACKWARD_ARGUMENTS); }
KERNEL __launch_bounds__(MOST_THREADS, 1) backward_4(BACKWARD_PARAMETERS) { backward<4>(BACKWARD_ARGUMENTS); }

// Pack W_h (H, 4H) for both passes: the weights from unit k to the gates of unit j are entry (k, j) of `ahead`, (j, k)
// of `back`.
KERNEL pack(const REAL* __restrict__ W_h, REAL* ahead, REAL* back, int H) {
  const long long entries = (long long)H * H;
  for (long long n = FLAT_INDEX; n < entries; n += FLAT_STRIDE) {
    long long k = n / H, j = n % H;
    const REAL* from = W_h + k * 4 * H + j;
    Four w = {from[0], from[H], from[2 * H], from[3 * H]};
    reinterpret_cast<Four*>(ahead)[n] = w;
    reinterpret_cast<Four*>(back)[j * H + k] = w;
  }
}
