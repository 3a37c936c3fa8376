"""The vector registers that kernels are compiled for: the host's, or narrower ones set by NUMLSTM_SIMD."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from numlstm.backends.cpu import processor
from numlstm.errors import BackendError

HERE = Path(__file__).parents[1]
CONTRACT = ["test_contract.py", "test_generation.py", "cpu/test_activations.py", "cpu/test_product.py"]
CONTRACT += ["cpu/test_packing.py", "test_variants.py", "spec/test_sampling.py"]
# The fast suite of these files, which compiles each kernel for one set of types. GPU kernels do not use the CPU's
# registers.
CHOSEN = "not gpu"

# Patterns in x86 machine code that show which vector extension it needs.
SIGNS = {
    "512 bits": r"%zmm\d",
    "256 bits": r"%ymm\d",
    "masks, or more than 16 registers": r"%k[1-7]|%[xyz]mm(1[6-9]|[23]\d)",
    "multiplies and adds at once": r"\bvfn?m(add|sub)",
    "three operands": r"\bv[a-z]+p[sd]\b",
}
EXPECTED = {"avx512": set(SIGNS), "avx2": set(SIGNS) - {"512 bits", "masks, or more than 16 registers"}, "plain": set()}

# Prints the register file's name and the machine code of two kernels: one of vector code, one of plain loops.
_ASSEMBLY = """
import numpy as np
from numlstm.backends import cpu
from numlstm.backends.cpu.product import add_gradient
from numlstm.backends.cpu.adam_kernels import adam_chunk

lanes = cpu.processor.lanes(4)
panel = np.ones((8, 4 * lanes), np.float32)
add_gradient(np.ones((1, 8, lanes), np.float32), panel, panel, np.ones((1, lanes, 4 * lanes), np.float32), 4 * lanes)
adam_chunk(*np.ones((4, 100), np.float32), np.ones(8, np.float32))
print(cpu.describe())
for kernel in (add_gradient, adam_chunk):
    for text in kernel.inspect_asm().values():
        print(text)
"""


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, **variables}
    return subprocess.run([sys.executable, *command], env=settings, capture_output=True, text=True, check=False)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let a test set the host's features; no code is compiled for them."""
    monkeypatch.delenv("NUMLSTM_SIMD", raising=False)
    monkeypatch.setattr(processor, "register_file", processor.register_file.__wrapped__)
    return monkeypatch


def features(*names: str) -> object:
    return lambda: dict.fromkeys(names, True)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("avx512f", "avx512vl", "avx2", "fma"), ["avx512", "avx2", "plain"]),
        (("avx512f", "avx2", "fma"), ["avx2", "plain"]),
        (("avx2",), ["plain"]),
        (("neon",), ["neon", "plain"]),
        ((), ["plain"]),
    ],
)
def test_the_widest_registers_of_the_host(
    host: pytest.MonkeyPatch, names: tuple[str, ...], expected: list[str]
) -> None:
    host.setattr(processor, "host_features", features(*names))
    assert processor.available_register_files() == expected
    assert processor.register_file() is processor.REGISTER_FILES[expected[0]]


def test_what_the_host_lacks_is_refused(host: pytest.MonkeyPatch) -> None:
    host.setattr(processor, "host_features", features("avx2", "fma"))
    for name in ("avx512", "neon", "abacus", "AVX2"):
        host.setenv("NUMLSTM_SIMD", name)
        with pytest.raises(BackendError, match=f"NUMLSTM_SIMD is '{name}'; .* this processor has: avx2, plain$"):
            processor.register_file()


def test_bf16_says_what_is_missing(host: pytest.MonkeyPatch) -> None:
    host.delenv("NUMLSTM_BF16", raising=False)
    host.setattr(processor, "host_features", features("avx2", "fma"))
    assert "has no instruction for bf16" in processor.bf16_missing()
    host.setattr(processor, "host_features", features("avx512f", "avx512vl", "avx512bf16", "avx2", "fma"))
    assert processor.bf16_missing() == ""
    host.setattr(processor, "register_file", lambda: processor.REGISTER_FILES["avx2"])
    assert "NUMLSTM_SIMD selects AVX2" in processor.bf16_missing()
    host.setenv("NUMLSTM_BF16", "emulated")
    assert processor.bf16_missing() == ""


def test_the_program_says_so_in_one_line() -> None:
    done = run("-m", "numlstm", "check", "--device", "cpu", NUMLSTM_SIMD="abacus")
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1, done.stderr
    here = ", ".join(processor.available_register_files())
    assert f"NUMLSTM_SIMD is 'abacus'; expected one that this processor has: {here}" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", processor.available_register_files())
def test_the_code_is_of_that_extension(name: str, tmp_path: Path) -> None:
    if "sse2" not in processor.host_features():
        pytest.skip("reads x86 machine code")
    done = run("-c", _ASSEMBLY, NUMLSTM_SIMD=name, NUMLSTM_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    first, _, assembly = done.stdout.partition("\n")
    assert processor.REGISTER_FILES[name].name in first
    found = {sign for sign, pattern in SIGNS.items() if re.search(pattern, assembly)}
    assert "%xmm" in assembly
    assert found == EXPECTED[name]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", processor.available_register_files()[1:])
def test_narrower_registers_pass_the_same_tests(name: str) -> None:
    """Run the fast kernel tests with NUMLSTM_SIMD set.

    This takes a subprocess because a process compiles its kernels for one register file.
    """
    if os.environ.get("NUMLSTM_SIMD"):
        pytest.skip("NUMLSTM_SIMD is set already")
    files = [str(HERE / file) for file in CONTRACT]
    options = ("-n", "0", "--timeout=900", "-p", "no:cacheprovider", "-k", CHOSEN)
    done = run("-m", "pytest", *options, *files, NUMLSTM_SIMD=name)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
