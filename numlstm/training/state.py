"""A training run between two steps: all that an exact resume needs, and where in the text it is.

Knows nothing about how a step is made.
"""

from __future__ import annotations

import dataclasses

from ..backends.protocol import Array, Backend
from ..backends.spec.gradients import Scaling
from ..errors import ConfigError, WeightsError
from ..model import Model
from ..network import parameters
from ..network.network import State
from ..network.weights_file import TrainState, WeightsFile
from ..settings.training import TrainingSettings
from ..text.dataset.streams import AnyIds, Batches, Streams
from ..text.dataset.windows import Windows
from .optimizers import FUSED, Optimizer, Plateau
from .record import NOT_NOTED, Record
from .weight_average import Average


@dataclasses.dataclass
class TrainingState:
    """A training run between two steps. `model.flat` holds the last parameters, `best (P,)` the best ones.

    `loss_scale`, on the device, is there where gradients are computed in fp16: see `Backend.unscale_`.
    """

    model: Model
    config: TrainingSettings
    optimizer: Optimizer
    carried: State
    best: Array
    step: int = 0
    record: Record = dataclasses.field(default_factory=Record)
    average: Average | None = None
    loss_scale: Array = None

    @classmethod
    def start(cls, model: Model, config: TrainingSettings) -> TrainingState:
        """Begin a run with a new network; raises `ConfigError` if that computes with another precision."""
        if model.precision != config.precision:
            raise ConfigError(
                f"precision is {config.precision}, but the network's {model.precision}; expected the same"
            )
        optimizer = Optimizer.start(config, model.backend, parameters.count(model.config), model.config.dtype)
        record = Record()
        best = model.backend.asarray(model.flat)
        average = Average(model.backend.asarray(model.flat)) if config.average else None
        scale = _loss_scale(config, model.backend, record)
        return cls(model, config, optimizer, model.zero_state(config.batch_size), best, 0, record, average, scale)

    @classmethod
    def resume(cls, file: WeightsFile, backend: Backend, *, precision: str | None = None) -> TrainingState:
        """Go on with the run that a file holds, from here on with another precision if one is given.

        Raises `WeightsError` if it holds none or a damaged one, `BackendError` if the device cannot compute with the
        precision.
        """
        if file.state is None:
            raise WeightsError("the file holds weights but no training state; expected one that `train` wrote")
        state, to = file.state, backend.asarray
        record = Record.from_json(state.record)
        config = dataclasses.replace(state.config, precision=precision or state.config.precision)
        model = Model(file.config, state.params, backend, vocab=file.vocab, precision=config.precision)
        carried = [(to(h), to(c)) for h, c in zip(state.h, state.c, strict=True)]
        optimizer = Optimizer({name: to(state.slots[name]) for name in config.slots}, record.began)
        average = Average(to(state.slots["average"]), record.averaged or 0) if config.average else None
        scale = _loss_scale(config, backend, record)
        return cls(model, config, optimizer, carried, to(file.params), state.step, record, average, scale)

    def change_(self, config: TrainingSettings, train_ids: AnyIds) -> None:
        """Go on with other settings from here on, at the place in the text where the run is.

        What is read next follows what was read last if only `seq_len` differs. Another `batch_size` or `batching`
        cuts the text elsewhere: the epoch goes on at the same share of it, from a state of zeros. Another optimizer
        starts afresh, but adam and adamw take over from each other. A change of the rate or its schedule ends the
        reductions of a plateau.
        """
        was, self.config = self.config, config
        before, after = batches(train_ids, was), batches(train_ids, config)
        find_place(self, before)
        position, rates = self.record.position, ("lr", "schedule", "plateau_factor", "plateau_patience")
        self.record.position = after.size if position >= before.size else position * after.size // before.size
        if (was.batch_size, was.batching) != (config.batch_size, config.batching):
            self.carried = self.model.zero_state(config.batch_size)
        if any(getattr(was, name) != getattr(config, name) for name in rates):
            self.record.plateau = Plateau()
        if was.slots != config.slots or (was.optimizer != config.optimizer and config.optimizer not in FUSED):
            P, dtype = parameters.count(self.model.config), self.model.config.dtype
            self.optimizer = Optimizer.start(config, self.model.backend, P, dtype, step=self.step)
        if not config.average:
            self.average = None
        elif self.average is None:
            self.average = Average(self.model.backend.asarray(self.model.flat))

    def judged(self) -> Model:
        """Return the network that is validated, written with and kept: with the averaged parameters if there are any.

        An averaged one lasts until the next call.
        """
        return self.average.network(self.model) if self.average else self.model

    def to_file(self) -> WeightsFile:
        """Return what a weights file of this moment holds, copied from the device."""
        get = self.model.backend.to_numpy
        kept = {name: get(slot) for name, slot in self.optimizer.slots.items()}
        kept |= {"average": get(self.average.flat)} if self.average else {}
        state = TrainState(
            config=self.config,
            step=self.step,
            params=get(self.model.flat),
            slots=kept,
            h=[get(h) for h, _ in self.carried],
            c=[get(c) for _, c in self.carried],
            record=self._whole_record().to_json(),
        )
        best = get(self.best) if self.validated else kept.get("average", state.params)
        summary = {"steps": self.step, **self.record.summary()}
        return WeightsFile(self.model.config, self.model.vocab, best, summary, state)

    def snapshot(self) -> WeightsFile:
        """Return a weights file of the parameters as they are now, from which training cannot go on."""
        summary = {"steps": self.step, **self.record.summary(snapshot=True)}
        flat = self.model.backend.to_numpy(self.average.flat if self.average else self.model.flat)
        return WeightsFile(self.model.config, self.model.vocab, flat, summary)

    def _whole_record(self) -> Record:
        """Return the record with what the optimizer, the average and the device count."""
        averaged = self.average.updates if self.average else None
        scale = None if self.loss_scale is None else self.model.backend.to_numpy(self.loss_scale).tolist()
        return dataclasses.replace(
            self.record, began=self.optimizer.began, averaged=averaged, loss_scale=scale and (scale[0], scale[1])
        )

    @property
    def validated(self) -> bool:
        """Whether a validation loss has chosen the best parameters yet; until then the last are."""
        return self.record.best_loss is not None

    @property
    def out_of_patience(self) -> bool:
        """Whether so many epochs in a row brought no better validation loss that the run is to end."""
        return 0 < self.config.patience <= self.record.stale_epochs

    @property
    def finished(self) -> bool:
        """Whether there is no step left to make."""
        return self.step >= self.config.steps or self.out_of_patience

    @property
    def epoch_recorded(self) -> bool:
        """Whether the result of the epoch that ends at this step is recorded."""
        history = self.record.history
        return bool(history) and history[-1].step == self.step

    @property
    def complete(self) -> bool:
        """Whether there is no step left to make and the last epoch's result is recorded.

        A resumed run may be out of a new patience within an epoch, which is then not gone on with.
        """
        return self.finished and (self.epoch_recorded or self.step == 0 or self.out_of_patience)


def _loss_scale(config: TrainingSettings, backend: Backend, record: Record) -> Array:
    if config.precision != "fp16":
        return None
    return backend.asarray(record.loss_scale or [Scaling.START, 0.0], "float64")


def batches(train_ids: AnyIds, config: TrainingSettings) -> Batches:
    """Return the text as the run reads it; raises `CorpusError` if it is too short."""
    B, T = config.batch_size, config.seq_len
    if config.batching == "windows":
        return Windows(train_ids, B, T, config.window_step, config.steps_per_epoch, config.seed)
    return Streams(train_ids, B, T)


def check_validation(config: TrainingSettings, val_ids: AnyIds) -> None:
    """Raise `ConfigError` if a setting goes by the validation loss and there is no text for one."""
    if len(val_ids) < 2 and (config.patience or config.schedule == "plateau"):
        name = "`patience`" if config.patience else "`schedule` plateau"
        raise ConfigError(
            f"{name} goes by the validation loss, but no text is kept for it; expected `val_split` above 0"
        )


def find_place(run: TrainingState, reader: Batches) -> None:
    """Work out where in the text a run is, and how many epochs it has, if its file is too old to say so."""
    if run.record.position == NOT_NOTED:
        epoch, window = divmod(run.step, reader.steps_per_epoch)
        between = run.step > 0 and window == 0  # an epoch's end belongs to the epoch
        position = reader.size if between else window * run.config.seq_len
        run.record.epoch, run.record.position = epoch - between, position
    if run.record.epochs == NOT_NOTED:
        whole, rest = divmod(run.config.steps, reader.steps_per_epoch)
        run.record.epochs = None if rest else whole


def steps_for(run: TrainingState, reader: Batches, epochs: int) -> int:
    """Return the number of updates after which the run has gone through `epochs` epochs, or those made if it has."""
    more = epochs - run.record.epoch - 1
    if more < 0:
        return run.step
    return run.step + reader.steps_from(run.record.position) + more * reader.steps_per_epoch


def epochs_in(run: TrainingState, reader: Batches) -> int:
    """Return how many epochs the run has when all its updates are made, the last perhaps not to its end."""
    beyond = run.config.steps - run.step - reader.steps_from(run.record.position)
    return run.record.epoch + 1 + -(-max(0, beyond) // reader.steps_per_epoch)
