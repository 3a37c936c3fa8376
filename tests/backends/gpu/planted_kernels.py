"""Faults of a token or two in the kernels, each of which changes a result: see `faults.py`.

Each entry is (file below kernels/, old text, new text). The first occurrence of the old text is replaced.
"""

from __future__ import annotations

KERNELS = [
    # A layer in one launch, forward.
    ("recurrence.cu", "slice.low = min((int)threadIdx.y * length, H)", "slice.low = min((int)threadIdx.y + length, H)"),
    ("recurrence.cu", "const Rows<ROWS>* now = hs + (t & 1) * H", "const Rows<ROWS>* now = hs + (t & 2) * H"),
    ("recurrence.cu", "sums[r].f = fma(now.of[r], w.f, sums[r].f)", "sums[r].f = fma(now.of[r], w.g, sums[r].f)"),
    ("recurrence.cu", "z.o = from[3 * H + j] + b[3 * H + j]", "z.o = from[3 * H + j] + b[2 * H + j]"),
    ("recurrence.cu", "shown = masked ? start * mask[at] : start", "shown = masked ? start * mask[j] : start"),
    ("recurrence.cu", "  __syncthreads();\n\n  for (int t = 0; t < T; t++) {", "\n  for (int t = 0; t < T; t++) {"),
    ("recurrence.cu", "for (int t = 0; t < T; t++) {", "for (int t = 0; t < T - 1; t++) {"),
    (
        "recurrence.cu",
        "parts[(s * ROWS + r) * U + u] = sums[r];\n      __syncthreads();",
        "parts[(s * ROWS + r) * U + u] = sums[r];",
    ),
    ("recurrence.cu", "next[j].of[r] = out;\n      }\n      __syncthreads();", "next[j].of[r] = out;\n      }"),
    ("recurrence.cu", "fma(f, cs[r * H + j], i * g)", "fma(f, cs[r * H + j], i * o)"),
    ("recurrence.cu", "c[(t + 1) * step + at] = cell", "c[t * step + at] = cell"),
    ("recurrence.cu", "h[(t + 1) * step + at] = out", "h[(t + 1) * step + at + 1] = out"),
    ("recurrence.cu", "if (j >= H || first + r >= B) continue;", "if (j >= H || first + r > B) continue;"),
    ("recurrence.cu", "for (int n = 0; n < S; n++) {", "for (int n = 1; n < S; n++) {"),
    # ... and backward.
    ("recurrence.cu", "dz.f = dc * now.c_prev * slope_of(f, hard)", "dz.f = dc * now.c * slope_of(f, hard)"),
    ("recurrence.cu", "dz.g = dc * i * fma(-g, g, (REAL)1)", "dz.g = dc * f * fma(-g, g, (REAL)1)"),
    ("recurrence.cu", "dc_next[r * H + j] = dc * f;", "dc_next[r * H + j] = dc * i;"),
    ("recurrence.cu", "for (int t = T - 1; t >= 0; t--) {", "for (int t = T - 1; t > 0; t--) {"),
    ("recurrence.cu", "ready = cell_of(gates, c, dh, t - 1, first + s", "ready = cell_of(gates, c, dh, t, first + s"),
    ("recurrence.cu", "masked ? sum * mask[", "masked ? sum + mask["),
    (
        "recurrence.cu",
        "    __syncthreads();\n    if (early && t > 0) ready",
        "    if (early && t > 0) ready",
    ),
    (
        "recurrence.cu",
        "reinterpret_cast<Four*>(back)[j * H + k] = w",
        "reinterpret_cast<Four*>(back)[k * H + j] = w",
    ),
    # One step of a layer.
    ("cells.cu", "cell = fma(f, c_prev[n], i * g), out", "cell = fma(f, c_prev[n], f * g), out"),
    ("cells.cu", "dc += *dc_next;", "dc = *dc_next;"),
    ("cells.cu", "sums.f = fma(d * c_gain[j], n_c[at], sums.f)", "sums.f = fma(d * c_gain[j], n_c[j], sums.f)"),
    ("cells.cu", "__syncthreads();  // the sums before these have been read\n", "\n"),
    ("cells.cu", "const Four mean = over(block_sums(ds, shared), (REAL)H)", "const Four mean = over(ds, (REAL)H)"),
    ("cells.cu", "masked ? fma(next[n], mask[n], above) : above", "masked ? fma(next[n], mask[0], above) : above"),
    # Sums over rows.
    ("columns.cu", "first = blockIdx.y * chunk_rows, last", "first = blockIdx.x * chunk_rows, last"),
    ("columns.cu", "p += blockDim.y)", "p += blockDim.x)"),
    ("columns.cu", "out[n] += sum;", "out[n] = sum;"),
    # The output and the loss.
    ("dense.cu", "row[v] += b[v]", "row[v] += b[0]"),
    ("dense.cu", "value += __shfl_xor_sync(FULL, value, step)", "value += __shfl_down_sync(FULL, value, step)"),
    ("dense.cu", "parts[threadIdx.x / 32] = value;\n  __syncthreads();", "parts[threadIdx.x / 32] = value;"),
    ("dense.cu", "losses[n] = log(sum) - (of_target - largest)", "losses[n] = log(sum) - of_target"),
    ("dense.cu", "v == target ? (REAL)1 : (REAL)0", "v == target ? (REAL)0 : (REAL)1"),
    ("sums.cu", "for (int half = THREADS / 2; half; half /= 2)", "for (int half = THREADS / 4; half; half /= 2)"),
    (
        "sums.cu",
        "if (t < half) parts[t] += parts[t + half];\n    __syncthreads();",
        "if (t < half) parts[t] += parts[t + half];",
    ),
    ("sums.cu", "last = first + PER_BLOCK < size ? first + PER_BLOCK : size", "last = first + PER_BLOCK"),
    ("sums.cu", "else if (good >= steps)", "else if (good > steps)"),
    # Updates.
    ("updates.cu", "second += rest2 * (g * g - second)", "second += rest1 * (g * g - second)"),
    (
        "updates.cu",
        "p - lr * first / (sqrt(second * unbias) + epsilon)",
        "p - lr * first / sqrt(second * unbias + epsilon)",
    ),
    ("updates.cu", "nesterov ? g + momentum * moved : moved", "nesterov ? moved + momentum * g : moved"),
    ("updates.cu", "size_of_z > l1 ?", "size_of_z > l2 ?"),
    # Masks and texts.
    ("masks.cu", "long long n = 4 * four + k;", "long long n = 4 * four + 3 - k;"),
    ("masks.cu", "__popc(found & ((1u << lane) - 1))", "__popc(found & (1u << lane))"),
    ("masks.cu", "all += count;\n    count = 0;", "all += count;"),
    ("text.cu", "y[n] = (int)text[place + 1]", "y[n] = (int)text[place]"),
    # Sampling.
    ("generation.cu", "(1 - n % 2) * size;", "n % 2 * size;"),
    ("generation.cu", "if (tid == 0) reads[r] = drawn[place] = token;", "if (tid == 0) drawn[place] = token;"),
    ("generation.cu", "recent + (size_t)b * window + n % window", "recent + (size_t)b * window"),
    (
        "generation.cu",
        "(double)(((u64)words[0] << 21) ^ (words[1] >> 11))",
        "(double)(((u64)words[0] << 21) ^ (words[1] >> 12))",
    ),
    ("sampling.cuh", "if (at.best[q] > at.best[p]) p = q;", "if (at.best[q] >= at.best[p]) p = q;"),
    ("sampling.cuh", "place += at.keys[w] >= key;", "place += at.keys[w] > key;"),
    ("sampling.cuh", "return weight >= s.min_p ? weight", "return weight > s.min_p ? weight"),
    ("sampling.cuh", "left = 1 + place_of(left, weight, s.top_p", "left = place_of(left, weight, s.top_p"),
    ("generation_steps.cu", "int depth = min(DEPTH, K - from);", "int depth = DEPTH;"),
    ("generation_steps.cu", "*scale = (REAL)1 / sqrt(", "*scale = (REAL)1 / ("),
]  # fmt: skip
