"""The options of `numlstm train`, by the groups in which its help shows them.

Each is None, or False for a flag, where it was not given: what it is then is decided when the text is known. Knows
nothing about what they do.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ...settings.config import BATCHINGS, GATE_ACTIVATIONS, OPTIMIZERS, SCHEDULES, TrainConfig

_TEXT, _NETWORK, _STEPS, _RATE = "Text", "Network", "Steps", "Optimizer and learning rate"
_RUN = "Run"


def _option(panel: str, text: str, default: object = None, *names: str, **more: Any) -> Any:
    """Return an option of a group; `default` is what its help says of it if nothing is given."""
    shown = "" if default is None else f"  [dim]\\[default: {default}][/dim]"
    return typer.Option(*names, help=f"{text}{shown}", show_default=False, rich_help_panel=panel, **more)


def _each(name: str) -> str:
    """Return the default of a setting for each optimizer that reads it."""
    found: dict[object, list[str]] = {}
    for optimizer, settings in OPTIMIZERS.items():
        if name in settings:
            found.setdefault(settings[name], []).append(optimizer)
    if len(found) == 1:
        return f"{next(iter(found)):g}"
    return ", ".join(f"{value:g} for {', '.join(optimizers)}" for value, optimizers in found.items())


def _of(name: str) -> str:
    """Return which optimizers read a setting."""
    return ", ".join(optimizer for optimizer, settings in OPTIMIZERS.items() if name in settings)


Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CORPUS...",
        help="A corpus name such as [bold]tales[/bold] ([bold]numlstm corpus list[/bold]), files, folders, globs, - "
        "(standard input); several are joined.",
        show_default=False,
    ),
]
LevelName = Annotated[
    str | None,
    _option(
        _TEXT,
        "What a token is: [bold]char[/bold], [bold]byte[/bold] (any file at all) or [bold]word[/bold].",
        "char",
        "--level",
        metavar="LEVEL",
    ),
]
VocabSize = Annotated[
    int | None,
    _option(
        _TEXT, "Keep the N most frequent words; others become <unk>.", "20000, of those that occur twice", metavar="N"
    ),
]
MinCount = Annotated[int | None, _option(_TEXT, "Keep the words that occur N times, instead or besides.", metavar="N")]
Pretokenised = Annotated[
    bool, _option(_TEXT, "The text is words with spaces between: cut it there alone.", None, "--pretokenised")
]
Encoding = Annotated[str | None, _option(_TEXT, "How the text's bytes are to be read, such as latin-1.", "utf-8")]
ValSplit = Annotated[
    float | None, _option(_TEXT, "The last part of the text, kept to validate on.", f"{TrainConfig.val_split:g}")
]

Layers = Annotated[str | None, _option(_NETWORK, "The size of each LSTM layer.", "128,128")]
Embedding = Annotated[
    int | None, _option(_NETWORK, "Turn tokens into vectors of this size first.", "none: each picks a row of weights")
]
Projection = Annotated[int | None, _option(_NETWORK, "Project each layer's h to this size.", "none")]
LayerNorm = Annotated[bool, _option(_NETWORK, "Normalise the gates' inputs and the cell.", None, "--layer-norm")]
TieWeights = Annotated[
    bool, _option(_NETWORK, "Make the output's weights those of the embedding.", None, "--tie-weights")
]
GateActivation = Annotated[
    str | None,
    _option(
        _NETWORK, f"{' or '.join(GATE_ACTIVATIONS)}, which is clip(0.2 z + 0.5, 0, 1) as in TensorFlow.js.", "sigmoid"
    ),
]
Dropout = Annotated[
    float | None,
    _option(_NETWORK, "The share of the embedding and of each h that the layer above does not see, such as 0.3.", 0),
]
RecurrentDropout = Annotated[
    float | None, _option(_NETWORK, "The share of h that a layer itself does not see at the next step.", 0)
]

Epochs = Annotated[int | None, _option(_STEPS, "How often to go through the text.", "2 to 40, by its length")]
Steps = Annotated[int | None, _option(_STEPS, "How many updates to make, instead of --epochs.")]
BatchSize = Annotated[int | None, _option(_STEPS, "Parallel streams or windows.", TrainConfig.batch_size)]
SeqLen = Annotated[int | None, _option(_STEPS, "Tokens through which gradients flow back.", TrainConfig.seq_len)]
Batching = Annotated[
    str | None,
    _option(
        _STEPS,
        f"{' or '.join(BATCHINGS)}: the text side by side as parallel streams, the state carried on, or windows of "
        "--seq-len at random, in another order each epoch, each from a state of zeros.",
        TrainConfig.batching,
    ),
]
WindowStep = Annotated[int | None, _option(_STEPS, "Tokens from one window's start to the next.", "--seq-len")]
StepsPerEpoch = Annotated[int | None, _option(_STEPS, "Updates that make an epoch of windows.", "all windows")]
ResetState = Annotated[
    float | None,
    _option(
        _STEPS,
        "The share of streams that begins each step from a state of zeros, so that the model learns to begin a text.",
        0.01,
    ),
]
Patience = Annotated[
    int | None, _option(_STEPS, "Stop after so many epochs in a row without a better validation loss.", "never")
]

OptimizerName = Annotated[
    str | None,
    _option(
        _RATE,
        f"{', '.join(OPTIMIZERS)}. All are PyTorch's, but ftrl, which is TensorFlow's and forgets the weights that it "
        "starts from.",
        TrainConfig.optimizer,
        "--optimizer",
    ),
]
Lr = Annotated[float | None, _option(_RATE, "The highest learning rate.", _each("lr"))]
Schedule = Annotated[
    str | None, _option(_RATE, f"How the rate goes on after the warm-up: {', '.join(SCHEDULES)}.", TrainConfig.schedule)
]
WarmupSteps = Annotated[
    int | None, _option(_RATE, "Updates in which the rate rises.", f"{TrainConfig.warmup_steps}, at most a 20th of all")
]
LrFloor = Annotated[
    float | None,
    _option(_RATE, "cosine, linear, plateau: the lowest rate, as a share of --lr.", f"{TrainConfig.lr_floor:g}"),
]
DecaySteps = Annotated[int | None, _option(_RATE, "step: updates from one stair to the next.", TrainConfig.decay_steps)]
DecayRate = Annotated[
    float | None, _option(_RATE, "step: what each stair multiplies the rate by.", f"{TrainConfig.decay_rate:g}")
]
PlateauFactor = Annotated[
    float | None, _option(_RATE, "plateau: what to multiply the rate by.", f"{TrainConfig.plateau_factor:g}")
]
PlateauPatience = Annotated[
    int | None,
    _option(_RATE, "plateau: epochs without a better validation loss to bear first.", TrainConfig.plateau_patience),
]
Clip = Annotated[float | None, _option(_RATE, "The largest norm of a gradient; 0: any.", f"{TrainConfig.clip:g}")]
ClipValue = Annotated[float | None, _option(_RATE, "The largest entry of a gradient, clipped first; 0: any.", 0)]
WeightDecay = Annotated[
    float | None,
    _option(
        _RATE, "Added to the gradient, times the weights; adamw shrinks the weights instead.", _each("weight_decay")
    ),
]
Average = Annotated[
    float | None,
    _option(
        _RATE,
        "Validate and keep a running average of the weights, which fades by this factor a step, such as 0.999: it is "
        "ahead of the weights themselves until the rate is low.",
        "none",
    ),
]
Beta1 = Annotated[float | None, _option(_RATE, f"{_of('beta1')}: how the mean gradient fades.", _each("beta1"))]
Beta2 = Annotated[float | None, _option(_RATE, f"{_of('beta2')}: how the mean square fades.", _each("beta2"))]
Epsilon = Annotated[float | None, _option(_RATE, f"{_of('epsilon')}: added to the root.", _each("epsilon"))]
Momentum = Annotated[
    float | None, _option(_RATE, f"{_of('momentum')}: how much of the last change goes on.", _each("momentum"))
]
Nesterov = Annotated[bool, _option(_RATE, "momentum: look ahead along the last change.", None, "--nesterov")]
Rho = Annotated[float | None, _option(_RATE, f"{_of('rho')}: how the mean square fades.", _each("rho"))]
InitialAccumulator = Annotated[
    float | None, _option(_RATE, "What the sums of squares start from.", _each("initial_accumulator"))
]
L1 = Annotated[float | None, _option(_RATE, "ftrl: pulls weights to exactly zero.", _each("l1"), "--l1")]
L2 = Annotated[float | None, _option(_RATE, "ftrl: keeps weights small.", _each("l2"), "--l2")]
LrPower = Annotated[float | None, _option(_RATE, "ftrl: how the rate falls with the squares.", _each("lr_power"))]

Output = Annotated[
    str | None,
    _option(
        _RUN,
        "Where the weights go. {job} in it becomes a name made of text and network, and the same command goes on with "
        "that run where it stopped.",
        "weights.npz",
        "-o",
        "--output",
    ),
]
Overwrite = Annotated[bool, _option(_RUN, "Replace an existing output.", None, "--overwrite")]
Resume = Annotated[
    str | None,
    _option(
        _RUN,
        "Go on with the run in this file, its text and settings; --epochs and --steps then mean the total. "
        "Options of the groups Steps and Optimizer may change with it, and dropout.",
        metavar="WEIGHTS",
    ),
]
SaveEvery = Annotated[str | None, _option(_RUN, "Time or steps between two saves, such as 5m or 50steps.", "60s")]
MaxTime = Annotated[
    str | None,
    _option(_RUN, "Save and stop after this time, such as 90s, 15m or 2h; going on is one command.", "no limit"),
]
SnapshotEpochs = Annotated[
    str | None,
    _option(
        _RUN, "Keep the weights after these epochs too, in files beside the output; 0: untrained. Such as 0,1,5,20."
    ),
]
Seed = Annotated[int | None, _option(_RUN, "The same seed gives the same weights.", TrainConfig.seed)]
Prompt = Annotated[str | None, _option(_RUN, "What the samples go on from.", "a line of the text")]
SampleLength = Annotated[int, _option(_RUN, "Tokens of each sample after an epoch; 0: none.", 120)]
SampleEvery = Annotated[int, _option(_RUN, "Epochs from one sample to the next.", 1)]
Precision = Annotated[
    str | None,
    _option(
        _RUN,
        "[bold]bf16[/bold] multiplies numbers of 16 bits and adds up in float32, where the processor or GPU can, and "
        "so do [bold]tf32[/bold] (of 19 bits) and [bold]fp16[/bold] on a GPU; weights stay float32, and "
        "[bold]gen[/bold] and [bold]eval[/bold] compute in float32 alone.",
        f"{TrainConfig.precision}, or the resumed run's",
    ),
]
