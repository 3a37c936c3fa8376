// One step of a layer without its products, which cuBLAS computes: the step-by-step path, layer norm and projections.
//
// The plain kernels have a thread for each row and unit. With layer norm a block owns a row and sums over its units in
// an order that depends only on their number and the block's size. Equations and their gradients: reference/lstm.py.

#define EPSILON ((REAL)1e-5)  // added to the variance in layer norm, before its square root is taken

// out (P, N) = the rows of W_x (V, N) selected by ids (P).
KERNEL pick_rows(const int* __restrict__ ids, const REAL* __restrict__ W_x, REAL* out, long long entries, int N) {
  for (long long n = FLAT_INDEX; n < entries; n += FLAT_STRIDE) out[n] = W_x[(long long)ids[n / N] * N + n % N];
}

// out = values * factors: the h that a layer reads.
KERNEL hide(const REAL* __restrict__ values, const REAL* __restrict__ factors, REAL* out, int entries) {
  for (long long n = FLAT_INDEX; n < entries; n += FLAT_STRIDE) out[n] = values[n] * factors[n];
}

// The gradient of h_t: `above` from the next layer plus `next` from step t + 1, which read h_t through the mask.
INLINE REAL gradient_of_h(REAL above, const REAL* next, const REAL* mask, long long n, int masked) {
  return masked ? fma(next[n], mask[n], above) : above + next[n];
}

// out = above + next * mask; `above` may be `out`.
KERNEL add_hidden(const REAL* above, const REAL* __restrict__ next, const REAL* __restrict__ mask, REAL* out,
                  int entries, int masked) {
  for (long long n = FLAT_INDEX; n < entries; n += FLAT_STRIDE)
    out[n] = gradient_of_h(above[n], next, mask, n, masked);
}

// The gates (B, 4H) hold a, and are overwritten with the gates' values. Computes c (B, H) and h (B, H) from them and
// c_prev, and seen = h * mask.
KERNEL cells_forward(const REAL* __restrict__ b, const REAL* __restrict__ mask, const REAL* __restrict__ c_prev,
                     REAL* gates, REAL* c, REAL* h, REAL* seen, int B, int H, int masked, int hard) {
  for (long long n = FLAT_INDEX; n < (long long)B * H; n += FLAT_STRIDE) {
    const int j = (int)(n % H);
    REAL* mine = gates + n / H * 4 * H + j;
    REAL i = gate_of(mine[0] + b[j], hard), f = gate_of(mine[H] + b[H + j], hard);
    REAL g = tanh(mine[2 * H] + b[2 * H + j]), o = gate_of(mine[3 * H] + b[3 * H + j], hard);
    REAL cell = fma(f, c_prev[n], i * g), out = o * tanh(cell);
    mine[0] = i;
    mine[H] = f;
    mine[2 * H] = g;
    mine[3 * H] = o;
    c[n] = cell;
    h[n] = out;
    if (masked) seen[n] = out * mask[n];
  }
}

// Return the gradient of the gate inputs. dc_next is the gradient of c from step t + 1; it is updated for step t - 1.
INLINE Four gates_backward(const Four& gates, REAL dc, REAL dh, REAL tanh_c, REAL c_prev, REAL* dc_next, int hard) {
  Four dz;
  dc += *dc_next;                                         // c_t goes on to step t + 1 as well
  dz.i = dc * gates.g * slope_of(gates.i, hard);          // c = f * c_prev + i * g, i = sigma(z_i)
  dz.f = dc * c_prev * slope_of(gates.f, hard);           // c = f * c_prev + i * g, f = sigma(z_f)
  dz.g = dc * gates.i * fma(-gates.g, gates.g, (REAL)1);  // c = f * c_prev + i * g, g = tanh(z_g)
  dz.o = dh * tanh_c * slope_of(gates.o, hard);           // h = o * tanh(c), o = sigma(z_o)
  *dc_next = dc * gates.f;                                // c = f * c_prev + i * g
  return dz;
}

INLINE Four read_gates(const REAL* mine, int H) { return {mine[0], mine[H], mine[2 * H], mine[3 * H]}; }

INLINE void write_gates(REAL* mine, int H, const Four& four) {
  mine[0] = four.i;
  mine[H] = four.f;
  mine[2 * H] = four.g;
  mine[3 * H] = four.o;
}

// dz overwrites the gates (B, 4H). `last`: there is no step t + 1 whose gradient is added to dh (B, H) from above.
KERNEL cells_backward(const REAL* __restrict__ dh, const REAL* __restrict__ dh_next, const REAL* __restrict__ mask,
                      const REAL* __restrict__ c_prev, const REAL* __restrict__ c, REAL* gates, REAL* dc_next, int B,
                      int H, int masked, int hard, int last) {
  for (long long n = FLAT_INDEX; n < (long long)B * H; n += FLAT_STRIDE) {
    REAL* mine = gates + n / H * 4 * H + n % H;
    Four now = read_gates(mine, H);
    REAL dh_t = last ? dh[n] : gradient_of_h(dh[n], dh_next, mask, n, masked);
    REAL tanh_c = tanh(c[n]);
    REAL dc = dh_t * now.o * fma(-tanh_c, tanh_c, (REAL)1);  // h = o * tanh(c)
    write_gates(mine, H, gates_backward(now, dc, dh_t, tanh_c, c_prev[n], dc_next + n, hard));
  }
}

// Return to all threads the sums of each thread's four numbers over the block; the block's size is a power of two.
INLINE Four block_sums(Four mine, Four* shared) {
  const int own = threadIdx.x;
  __syncthreads();  // the sums before these have been read
  shared[own] = mine;
  for (int half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (own < half) {
      Four other = shared[own + half];
      shared[own].i += other.i;
      shared[own].f += other.f;
      shared[own].g += other.g;
      shared[own].o += other.o;
    }
  }
  __syncthreads();
  return shared[0];
}

INLINE Four over(Four sums, REAL count) { return {sums.i / count, sums.f / count, sums.g / count, sums.o / count}; }

INLINE REAL normalising(REAL variance) { return (REAL)1 / sqrt(variance + EPSILON); }

// As cells_forward, with layer norm, one block per row. n (B, 4H) and n_c (B, H) are the normalised gate inputs and
// cell, scale (B, 4) and c_scale (B) the factors that they were multiplied by.
KERNEL __launch_bounds__(256) normed_forward(const REAL* __restrict__ b, const REAL* __restrict__ gain,
                                             const REAL* __restrict__ c_gain, const REAL* __restrict__ c_bias,
                                             const REAL* __restrict__ mask, const REAL* __restrict__ c_prev,
                                             REAL* gates, REAL* n, REAL* scale, REAL* c, REAL* n_c, REAL* c_scale,
                                             REAL* h, REAL* seen, int H, int masked, int hard) {
  DYN_SHARED(Four, shared);
  const long long row = blockIdx.x, first = row * H;
  REAL *a = gates + row * 4 * H, *norm = n + row * 4 * H;

  Four sums = {(REAL)0, (REAL)0, (REAL)0, (REAL)0};
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    Four x = read_gates(a + j, H);
    sums = {sums.i + x.i, sums.f + x.f, sums.g + x.g, sums.o + x.o};
  }
  const Four mean = over(block_sums(sums, shared), (REAL)H);
  sums = {(REAL)0, (REAL)0, (REAL)0, (REAL)0};
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    Four x = read_gates(a + j, H);
    x = {x.i - mean.i, x.f - mean.f, x.g - mean.g, x.o - mean.o};
    sums = {fma(x.i, x.i, sums.i), fma(x.f, x.f, sums.f), fma(x.g, x.g, sums.g), fma(x.o, x.o, sums.o)};
  }
  Four by = over(block_sums(sums, shared), (REAL)H);
  by = {normalising(by.i), normalising(by.f), normalising(by.g), normalising(by.o)};
  if (threadIdx.x == 0) write_gates(scale + row * 4, 1, by);

  REAL cell_sum = (REAL)0;
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    Four x = read_gates(a + j, H);
    x = {(x.i - mean.i) * by.i, (x.f - mean.f) * by.f, (x.g - mean.g) * by.g, (x.o - mean.o) * by.o};
    write_gates(norm + j, H, x);
    Four z = {fma(gain[j], x.i, b[j]), fma(gain[H + j], x.f, b[H + j]), fma(gain[2 * H + j], x.g, b[2 * H + j]),
              fma(gain[3 * H + j], x.o, b[3 * H + j])};
    Four now = {gate_of(z.i, hard), gate_of(z.f, hard), tanh(z.g), gate_of(z.o, hard)};
    write_gates(a + j, H, now);
    REAL cell = fma(now.f, c_prev[first + j], now.i * now.g);
    c[first + j] = cell;
    cell_sum += cell;
  }
  const REAL c_mean = block_sums({cell_sum, (REAL)0, (REAL)0, (REAL)0}, shared).i / (REAL)H;
  REAL squares = (REAL)0;
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    REAL x = c[first + j] - c_mean;
    squares = fma(x, x, squares);
  }
  const REAL c_by = normalising(block_sums({squares, (REAL)0, (REAL)0, (REAL)0}, shared).i / (REAL)H);
  if (threadIdx.x == 0) c_scale[row] = c_by;
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    REAL x = (c[first + j] - c_mean) * c_by;
    REAL out = a[3 * H + j] * tanh(fma(c_gain[j], x, c_bias[j]));
    n_c[first + j] = x;
    h[first + j] = out;
    if (masked) seen[first + j] = out * mask[first + j];
  }
}

// As cells_backward, with layer norm, one block per row. da overwrites the gates; dz (B, 4H) and dn_c (B, H), the
// gradient of c_gain * n_c + c_bias, are stored for the gradients of the weights.
KERNEL __launch_bounds__(256) normed_backward(
    const REAL* __restrict__ gain, const REAL* __restrict__ c_gain, const REAL* __restrict__ c_bias,
    const REAL* __restrict__ dh, const REAL* __restrict__ dh_next, const REAL* __restrict__ mask,
    const REAL* __restrict__ c_prev, const REAL* __restrict__ n, const REAL* __restrict__ scale,
    const REAL* __restrict__ n_c, const REAL* __restrict__ c_scale, REAL* gates, REAL* dz, REAL* dn_c, REAL* dc_next,
    int H, int masked, int hard, int last) {
  DYN_SHARED(Four, shared);
  const long long row = blockIdx.x, first = row * H;
  REAL *mine = gates + row * 4 * H, *own_dz = dz + row * 4 * H;
  const REAL* norm = n + row * 4 * H;

  Four sums = {(REAL)0, (REAL)0, (REAL)0, (REAL)0};
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    long long at = first + j;
    REAL dh_t = last ? dh[at] : gradient_of_h(dh[at], dh_next, mask, at, masked);
    REAL tanh_c = tanh(fma(c_gain[j], n_c[at], c_bias[j]));
    REAL d = dh_t * mine[3 * H + j] * fma(-tanh_c, tanh_c, (REAL)1);  // h = o * tanh(c_gain * n_c + c_bias)
    dn_c[at] = d;
    sums.i += d * c_gain[j];
    sums.f = fma(d * c_gain[j], n_c[at], sums.f);
  }
  const Four of_cell = over(block_sums(sums, shared), (REAL)H);
  const REAL c_by = c_scale[row];
  Four ds = {(REAL)0, (REAL)0, (REAL)0, (REAL)0}, alongs = ds;
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    long long at = first + j;
    REAL dh_t = last ? dh[at] : gradient_of_h(dh[at], dh_next, mask, at, masked);
    REAL tanh_c = tanh(fma(c_gain[j], n_c[at], c_bias[j]));
    REAL dc = c_by * (fma(dn_c[at], c_gain[j], -of_cell.i) - n_c[at] * of_cell.f);  // n_c = normalise(c)
    Four d = gates_backward(read_gates(mine + j, H), dc, dh_t, tanh_c, c_prev[at], dc_next + at, hard);
    write_gates(own_dz + j, H, d);
    Four x = read_gates(norm + j, H);
    d = {d.i * gain[j], d.f * gain[H + j], d.g * gain[2 * H + j], d.o * gain[3 * H + j]};  // z = gain * n + b
    ds = {ds.i + d.i, ds.f + d.f, ds.g + d.g, ds.o + d.o};
    alongs = {fma(d.i, x.i, alongs.i), fma(d.f, x.f, alongs.f), fma(d.g, x.g, alongs.g), fma(d.o, x.o, alongs.o)};
  }
  const Four mean = over(block_sums(ds, shared), (REAL)H);
  const Four along = over(block_sums(alongs, shared), (REAL)H);
  const Four by = read_gates(scale + row * 4, 1);
  for (int j = threadIdx.x; j < H; j += blockDim.x) {
    Four d = read_gates(own_dz + j, H), x = read_gates(norm + j, H);
    // n = normalise(a)
    mine[j] = by.i * (fma(d.i, gain[j], -mean.i) - x.i * along.i);
    mine[H + j] = by.f * (fma(d.f, gain[H + j], -mean.f) - x.f * along.f);
    mine[2 * H + j] = by.g * (fma(d.g, gain[2 * H + j], -mean.g) - x.g * along.g);
    mine[3 * H + j] = by.o * (fma(d.o, gain[3 * H + j], -mean.o) - x.o * along.o);
  }
}
