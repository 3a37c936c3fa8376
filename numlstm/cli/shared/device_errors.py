"""What is said when a device gives up: its memory does not suffice, or CUDA fails.

Knows devices' errors by the packages that raise them, so that none of those need be imported here.
"""

from __future__ import annotations

# What takes memory in each command, and can be lowered.
_LOWER = {
    "train": "lower --batch-size, --seq-len or --layers",
    "gen": "lower --samples or --beam",
    "eval": "lower --streams or --cold-windows",
    "score": "score the text in parts",
    "look": "look at a shorter text, or lower --length",
}
_ELSE = "end other programs that hold memory"
# How the runtime, the driver and cuBLAS call it where CuPy's own pool was not asked: pinned memory, kernels, products.
_NO_ROOM = ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED")


def told(error: Exception, command: str | None) -> str:
    """Return the line that says what went wrong and what to do; "" if it is not for a device that gave up."""
    if isinstance(error, MemoryError) or (_of_cuda(error) and any(name in str(error) for name in _NO_ROOM)):
        lower = _LOWER.get(command or "", _ELSE)
        if not _of_cuda(error):
            return f"out of memory; {lower}"
        said = str(error).partition("(")[0].strip().rstrip(".") or "no room"
        said = said if said[:2].isupper() else said[0].lower() + said[1:]
        return f"out of memory on the GPU ({said}); {lower}, or use --device cpu"
    if _of_cuda(error):
        said = " ".join(str(error).split())[:300]
        return (
            f"the GPU failed ({type(error).__name__}: {said}); find out with `numlstm check --device gpu` whether it "
            "computes as it should and report this with what that prints, or use --device cpu"
        )
    return ""


def _of_cuda(error: Exception) -> bool:
    """Whether CuPy, or what it calls, raised the error."""
    return type(error).__module__.partition(".")[0] in ("cupy", "cupy_backends")
