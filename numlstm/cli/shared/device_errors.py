"""Messages for device failures: out of memory, or a CUDA error.

Errors are recognised by the package that raised them, so that no such package needs to be imported here.
"""

from __future__ import annotations

# What to lower in each command to save memory.
_LOWER = {
    "train": "lower --batch-size, --seq-len or --layers",
    "gen": "lower --samples or --beam",
    "eval": "lower --streams or --cold-windows",
    "score": "score the text in parts",
    "look": "look at a shorter text, or lower --length",
}
_ELSE = "close other programs that use memory"
# "Out of memory" of the runtime, the driver and cuBLAS. Pinned memory, kernels and products bypass CuPy's own pool.
_NO_ROOM = ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED")


def device_failure_message(error: Exception, command: str | None) -> str:
    """Return a line that explains a device failure and what to do, or "" for any other error."""
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
            f"the GPU failed ({type(error).__name__}: {said}); run `numlstm check --device gpu` to test it, and "
            "report this error with the output, or use --device cpu"
        )
    return ""


def _of_cuda(error: Exception) -> bool:
    """Return True if CuPy or its backend raised the error."""
    return type(error).__module__.partition(".")[0] in ("cupy", "cupy_backends")
