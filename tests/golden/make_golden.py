"""Write golden.npz: PyTorch's results for the cases of tests/judge, for machines without PyTorch.

    python -m tests.golden.make_golden

The file also holds the inputs of each case, so that it does not depend on future random generators.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.judge import cases, torch_twin


def golden() -> dict[str, np.ndarray]:
    """Return all arrays by case, "in" or "out", and name."""
    stack = cases.draw_stack(7, T=5, B=3, D=4, layers=(7, 1, 6))
    training, config = cases.draw_training(7, layers=(9, 6)), cases.TRAINING
    first = torch_twin.run_first_step(training, batch_size=config.batch_size, seq_len=config.seq_len)
    trained = torch_twin.run_training(
        training,
        steps=config.steps,
        batch_size=config.batch_size,
        seq_len=config.seq_len,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        clip=config.clip,
    )
    found = {
        "stack/in": stack,
        "stack/out": torch_twin.run_stack(stack),
        "training/in": training,
        "first/out": first,
        "training/out": trained,
    }
    return {f"{place}/{name}": values for place, arrays in found.items() for name, values in arrays.items()}


def main() -> None:
    """Write golden.npz beside this script."""
    path = Path(__file__).with_name("golden.npz")
    np.savez_compressed(path, torch_version=np.array(torch.__version__), **golden())
    print(f"{path}: {path.stat().st_size:,} bytes, by PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
