// The optimizers, each one pass over flat arrays. `factor` is the clipping factor of the gradients. If it is NaN, the
// norm was not finite and nothing changes. The equations are those of reference/optimizers.py.

INLINE bool is_nan(REAL x) { return x != x; }

// Adam. lr is already divided by 1 - beta1^step, the bias of m; `unbias` is 1 / (1 - beta2^step), for v.
KERNEL adam(REAL* params, const REAL* grads, REAL* m, REAL* v, long long size, const REAL* factor, REAL lr,
            REAL rest1, REAL rest2, REAL unbias, REAL epsilon, REAL l2, REAL shrink) {
  REAL scale = *factor;
  if (is_nan(scale)) return;
  for (long long n = FLAT_INDEX; n < size; n += FLAT_STRIDE) {
    REAL p = params[n], first = m[n], second = v[n];
    REAL g = grads[n] * scale + l2 * p;
    p *= shrink;
    first += rest1 * (g - first);
    second += rest2 * (g * g - second);
    m[n] = first;
    v[n] = second;
    params[n] = p - lr * first / (sqrt(second * unbias) + epsilon);
  }
}

// The direction of the update for a gradient g: g itself or, with momentum, computed from the velocity that g updates.
INLINE REAL along(REAL g, REAL* velocity, REAL momentum, int nesterov) {
  if (momentum == (REAL)0) return g;
  REAL moved = momentum * *velocity + g;
  *velocity = moved;
  return nesterov ? g + momentum * moved : moved;
}

KERNEL sgd(REAL* params, const REAL* grads, REAL* velocity, long long size, const REAL* factor, REAL lr,
           REAL weight_decay, REAL momentum, int nesterov) {
  REAL scale = *factor;
  if (is_nan(scale)) return;
  for (long long n = FLAT_INDEX; n < size; n += FLAT_STRIDE) {
    REAL g = grads[n] * scale + weight_decay * params[n];
    params[n] -= lr * along(g, velocity + n, momentum, nesterov);
  }
}

KERNEL rmsprop(REAL* params, const REAL* grads, REAL* square, REAL* velocity, long long size, const REAL* factor,
               REAL lr, REAL weight_decay, REAL rest, REAL epsilon, REAL momentum) {
  REAL scale = *factor;
  if (is_nan(scale)) return;
  for (long long n = FLAT_INDEX; n < size; n += FLAT_STRIDE) {
    REAL g = grads[n] * scale + weight_decay * params[n], mean = square[n];
    mean += rest * (g * g - mean);
    square[n] = mean;
    params[n] -= lr * along(g / (sqrt(mean) + epsilon), velocity + n, momentum, 0);
  }
}

KERNEL adagrad(REAL* params, const REAL* grads, REAL* total, long long size, const REAL* factor, REAL lr,
               REAL weight_decay, REAL epsilon) {
  REAL scale = *factor;
  if (is_nan(scale)) return;
  for (long long n = FLAT_INDEX; n < size; n += FLAT_STRIDE) {
    REAL g = grads[n] * scale + weight_decay * params[n], sum = total[n] + g * g;
    total[n] = sum;
    params[n] -= lr * (g / (sqrt(sum) + epsilon));
  }
}

KERNEL ftrl(REAL* params, const REAL* grads, REAL* accumulator, REAL* linear, long long size, const REAL* factor,
            REAL lr, REAL power, REAL l1, REAL l2) {
  REAL scale = *factor;
  if (is_nan(scale)) return;
  for (long long n = FLAT_INDEX; n < size; n += FLAT_STRIDE) {
    REAL g = grads[n] * scale, before = accumulator[n], after = before + g * g;
    REAL root = pow(after, power);
    REAL z = linear[n] + g - (root - pow(before, power)) / lr * params[n];
    REAL size_of_z = z < (REAL)0 ? -z : z;
    accumulator[n] = after;
    linear[n] = z;
    params[n] = size_of_z > l1 ? ((z < (REAL)0 ? -l1 : l1) - z) / (root / lr + (REAL)2 * l2) : (REAL)0;
  }
}

KERNEL clamp(REAL* values, long long size, REAL bound) {
  for (long long n = FLAT_INDEX; n < size; n += FLAT_STRIDE) {
    REAL x = values[n];
    if (x - x == (REAL)0) values[n] = x < -bound ? -bound : (x > bound ? bound : x);  // infinity and NaN stay
  }
}

KERNEL approach(REAL* values, const REAL* to, long long size, REAL share) {
  for (long long n = FLAT_INDEX; n < size; n += FLAT_STRIDE) values[n] += share * (to[n] - values[n]);
}
