// Sums in float64, in an order that depends only on the number of entries, and values computed from them. Of the
// training kernels, only these compute in float64 in a float build. Blocks have 256 threads and 256 float64 numbers of
// shared memory, except where one thread is enough.

#define THREADS 256
#define PER_BLOCK 8192
#define LARGEST 1.7976931348623157e308  // x <= LARGEST is false for infinity and NaN

// The sum of the values of the block's threads, always by the same tree of additions.
INLINE double block_sum(double value, double* parts) {
  int t = threadIdx.x;
  parts[t] = value;
  __syncthreads();
  for (int half = THREADS / 2; half; half /= 2) {
    if (t < half) parts[t] += parts[t + half];
    __syncthreads();
  }
  return parts[0];
}

// One block: out = the mean of N losses.
KERNEL __launch_bounds__(THREADS) mean(const REAL* losses, int N, double* out) {
  DYN_SHARED(double, parts);
  double sum = 0;
  for (int n = threadIdx.x; n < N; n += THREADS) sum += (double)losses[n];
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) *out = sum / N;
}

// partial[block] = the sum of the squares of the block's PER_BLOCK entries.
KERNEL __launch_bounds__(THREADS) squares(const REAL* grads, long long size, double* partial) {
  DYN_SHARED(double, parts);
  long long first = (long long)blockIdx.x * PER_BLOCK;
  long long last = first + PER_BLOCK < size ? first + PER_BLOCK : size;
  double sum = 0;
  for (long long n = first + threadIdx.x; n < last; n += THREADS) {
    double g = (double)grads[n];
    sum += g * g;
  }
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// grads /= scale[0]; then partial as above.
KERNEL __launch_bounds__(THREADS) unscaled_squares(REAL* grads, long long size, const double* scale,
                                                  double* partial) {
  DYN_SHARED(double, parts);
  long long first = (long long)blockIdx.x * PER_BLOCK;
  long long last = first + PER_BLOCK < size ? first + PER_BLOCK : size;
  REAL divisor = (REAL)scale[0];
  double sum = 0;
  for (long long n = first + threadIdx.x; n < last; n += THREADS) {
    REAL g = grads[n] / divisor;
    grads[n] = g;
    sum += (double)g * (double)g;
  }
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// One block: norm = the square root of the sum of `partial`.
KERNEL __launch_bounds__(THREADS) root(const double* partial, int count, double* norm) {
  DYN_SHARED(double, parts);
  double sum = 0;
  for (int k = threadIdx.x; k < count; k += THREADS) sum += partial[k];
  sum = block_sum(sum, parts);
  if (threadIdx.x == 0) *norm = sqrt(sum);
}

// One thread: the clipping factor of the gradients; NaN, which skips the update, if the norm is not finite.
KERNEL clip_factor(const double* norm, double clip, REAL* factor) {
  double share = clip / (*norm + 1e-6);
  if (clip == 0 || share > 1) share = 1;
  *factor = *norm <= LARGEST ? (REAL)share : (REAL)(*norm - *norm);
}

// One thread: update scale (the loss scale, good steps since it changed) after a step whose gradients have this norm.
KERNEL adjust(double* scale, const double* norm, double steps, double least, double most) {
  double value = scale[0], good = scale[1] + 1;
  if (!(*norm <= LARGEST)) {
    value = value / 2 > least ? value / 2 : least;
    good = 0;
  } else if (good >= steps) {
    value = 2 * value < most ? 2 * value : most;
    good = 0;
  }
  scale[0] = value;
  scale[1] = good;
}

// One thread: factor = scale[0] / N, in the precision of the gradients that it multiplies.
KERNEL share_of_scale(const double* scale, int N, REAL* factor) { *factor = (REAL)(scale[0] / N); }
