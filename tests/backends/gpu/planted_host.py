"""Faults of a token or two in the Python code that calls the kernels: see `faults.py`.

Each entry is (file below backends/gpu/, old text, new text).
"""

from __future__ import annotations

HOST = [
    # A Python number where the kernel needs an exact type.
    ("dense.py", "(out, b, np.int32(N), np.int32(V))", "(out, b, N, np.int32(V))"),
    ("updates.py", "np.int64(size), *exact", "np.int32(size), *exact"),
    ("resident.py", "tape.c,\n        *map(np.int32", "tape.h,\n        *map(np.int32"),
    # Leading dimensions and layouts.
    ("products.py", "max(down, columns) if rows > 1 else columns", "columns"),
    ("products.py", "operations[right.transposed],\n        operations[left.transposed]",
     "operations[left.transposed],\n        operations[right.transposed]"),
    ("products.py", "_scalar(int(add), dtype)", "_scalar(1, dtype)"),
    ("products.py", "cublas.setPointerMode(handle, cublas.CUBLAS_POINTER_MODE_HOST)\n", "\n"),
    (
        "recurrence.py",
        "multiply(tape.seen[:-1].reshape(T * B, R).T, da",
        "multiply(tape.seen[1:].reshape(T * B, R).T, da",
    ),
    ("recurrence.py", "return a if a.flags.c_contiguous else a.copy()", "return a"),
    # Memory reused or freed too early.
    ("recurrence.py", "(tape.h[T].copy(), tape.c[T].copy())", "(tape.h[T], tape.c[T])"),
    ("packed.py", "self._fresh = False\n\n    def replace", "pass\n\n    def replace"),
    ("generation.py", "carried = [(h.copy(), c.copy()) for h, c in state]", "carried = [(h, c) for h, c in state]"),
    ("transfer.py", "self.unread.append(_Piece(first, last, event))", "pass"),
    # Missing and needless synchronisation.
    ("device_numbers.py", "if slot >= len(self.copy):", "if not len(self.copy):"),
    (
        "device_numbers.py",
        "self.copy = to_numpy(self.slots[: self.taken])",
        "self.copy = to_numpy(self.slots[: slot + 1])",
    ),
    # Launch sizes.
    ("columns.py", "shared = BLOCK[0] * BLOCK[1]", "shared = BLOCK[0]"),
    (
        "path_choice.py",
        "forward = _launch(four, parts * four + 3 * rows * H * itemsize",
        "forward = _launch(four, parts * four + 2 * rows * H * itemsize",
    ),
    ("masks.py", "grid = -(-V * split // WARPS), ", "grid = V * split // WARPS, "),
    ("modules.py", "if shared > DEFAULT_SHARED_LIMIT:", "if shared > 2 * DEFAULT_SHARED_LIMIT:"),
    ("steps.py", "for t in reversed(range(T)):", "for t in range(T):"),
    ("generation_steps.py", "read = ids if n == 0 else drawn[n - 1]", "read = ids if n == 0 else drawn[n]"),
]  # fmt: skip
