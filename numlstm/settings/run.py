"""The settings of a run that its weights do not depend on: how long, on what, where to, and what is shown."""

from __future__ import annotations

import dataclasses

from .declaration import RUN, STEPS, TEXT, Settings, setting


@dataclasses.dataclass(frozen=True)
class RunSettings(Settings):
    """How a run goes about its work. Those that are None have a default that depends on the text, or do nothing.

    Times are such as "90s", "15m" or "2h", or seconds as a number.
    """

    encoding: str | None = setting(
        None, "How the text's bytes are to be read, such as latin-1 or utf-16.", TEXT, says="utf-8", fixed=True
    )
    epochs: int | None = setting(
        None, "How often to go through the text.", STEPS, least=1, says="2 to 40, by its length", common=True
    )
    output: str | None = setting(
        None,
        "Where the weights go. {job} in it becomes a name made of text and network, and the same command goes on with "
        "that run where it stopped.",
        RUN,
        says="weights.npz",
        common=True,
        short="-o",
    )
    overwrite: bool = setting(False, "Replace an existing output.", RUN, common=True)
    resume: str | None = setting(
        None,
        "Go on with the run in this file, its text and settings; epochs and steps then mean the total. Settings of the "
        "groups Steps and Optimizer may change with it, and dropout.",
        RUN,
        common=True,
        metavar="WEIGHTS",
    )
    save_every: str | None = setting(None, "Time or steps between two saves, such as 5m or 50steps.", RUN, says="60s")
    max_time: str | None = setting(
        None,
        "Save and stop after this time, such as 90s, 15m or 2h; going on is one command.",
        RUN,
        says="no limit",
        common=True,
    )
    snapshot_epochs: str | None = setting(
        None,
        "Keep the weights after these epochs too, in files beside the output; 0: untrained. Such as 0,1,5,20.",
        RUN,
    )
    prompt: str | None = setting(None, "What the samples go on from.", RUN, says="a line of the text")
    sample_length: int = setting(120, "Tokens of each sample after an epoch; 0: none.", RUN)
    sample_every: int = setting(1, "Epochs from one sample to the next.", RUN, least=1)
    log: str | None = setting(
        None, "Add what happens to this file, a JSON object a line; numlstm plot draws it.", RUN, metavar="FILE"
    )
    tensorboard: str | None = setting(
        None,
        "Write what happens for TensorBoard, to be shown with tensorboard --logdir DIR.",
        RUN,
        metavar="DIR",
    )
    device: str = setting(
        "auto",
        "auto (gpu if it works, else cpu), cpu, gpu (an NVIDIA one), reference (NumPy, slow).",
        RUN,
        common=True,
    )
    threads: int | None = setting(None, "Processor cores to use.", RUN, least=1, says="all")
