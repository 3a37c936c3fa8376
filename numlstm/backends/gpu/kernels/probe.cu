// Shows that kernels run: one that never ran, or ran with other arguments, cannot leave this result.
KERNEL probe(REAL* out, int count) {
  for (long long n = FLAT_INDEX; n < count; n += FLAT_STRIDE) out[n] = (REAL)3 * (REAL)n + (REAL)count;
}
