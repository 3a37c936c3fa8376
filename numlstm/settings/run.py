"""The settings of a run besides network and optimizer: encoding, duration, output, samples, logs and device."""

from __future__ import annotations

import dataclasses

from .declaration import RUN, STEPS, TEXT, Settings, setting


@dataclasses.dataclass(frozen=True)
class RunSettings(Settings):
    """How a run proceeds. A setting of None has a default that depends on the text, or no effect.

    Durations are strings such as "90s", "15m" or "2h", or seconds as a number.
    """

    encoding: str | None = setting(
        None, "Character encoding of the text files, such as latin-1 or utf-16.", TEXT, default_text="utf-8", fixed=True
    )
    epochs: int | None = setting(
        None,
        "Number of passes through the whole text.",
        STEPS,
        least=1,
        default_text="2 to 40, fewer for a longer text",
        common=True,
    )
    output: str | None = setting(
        None,
        "File to save the weights to. {job} in the name is replaced by a name for the text and network; running the "
        "same command again then resumes the run.",
        RUN,
        default_text="weights.npz",
        common=True,
        short="-o",
    )
    overwrite: bool = setting(False, "Overwrite the output file if it exists.", RUN, common=True)
    resume: str | None = setting(
        None,
        "Resume the run saved in this file, with its text and settings. epochs and steps are then totals, counted from "
        "the start of the run; they, dropout and the optimizer's settings may be changed.",
        RUN,
        common=True,
        metavar="WEIGHTS",
    )
    save_every: str | None = setting(
        None, "How often to save: a time or a number of steps, such as 5m or 50steps.", RUN, default_text="60s"
    )
    max_time: str | None = setting(
        None,
        "Save and stop after this time, such as 90s, 15m or 2h; the run can be resumed later.",
        RUN,
        default_text="no limit",
        common=True,
    )
    snapshot_epochs: str | None = setting(
        None,
        "Also save the weights after these epochs, such as 0,1,5,20, in files beside the output; 0: before training.",
        RUN,
    )
    prompt: str | None = setting(None, "Text that the samples continue.", RUN, default_text="a line of the text")
    sample_length: int = setting(120, "Length in tokens of the samples written after an epoch; 0: no samples.", RUN)
    sample_every: int | None = setting(
        None,
        "Number of epochs between samples.",
        RUN,
        least=1,
        default_text="as many as give ten sets of samples",
    )
    log: str | None = setting(
        None,
        "Append the progress of the run to this file, one JSON object per line; numlstm plot draws it.",
        RUN,
        metavar="FILE",
    )
    tensorboard: str | None = setting(
        None,
        "Write the progress of the run to this folder for TensorBoard; view it with tensorboard --logdir DIR.",
        RUN,
        metavar="DIR",
    )
    device: str = setting(
        "auto",
        "Where to compute: auto (gpu if it works, else cpu), cpu, gpu (NVIDIA) or reference (NumPy, slow).",
        RUN,
        common=True,
    )
    threads: int | None = setting(None, "Number of processor cores to use.", RUN, least=1, default_text="all")
