"""A training run between two steps: everything that an exact resume needs, including the position in the text."""

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
from .record import NOT_RECORDED, Record
from .weight_average import Average


@dataclasses.dataclass
class TrainingState:
    """A training run between two steps. `model.flat` holds the last parameters, `best (P,)` the best ones.

    `loss_scale` is a device array if gradients are computed in fp16, else None: see `Backend.unscale_`.
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
        """Start a run with a new network; raises `ConfigError` if its precision differs from that of `config`."""
        if model.precision != config.precision:
            raise ConfigError(
                f"precision is {config.precision}, but the network's is {model.precision}; expected the same"
            )
        optimizer = Optimizer.start(config, model.backend, parameters.count(model.config), model.config.dtype)
        record = Record()
        best = model.backend.asarray(model.flat)
        average = Average(model.backend.asarray(model.flat)) if config.average else None
        scale = _loss_scale(config, model.backend, record)
        return cls(model, config, optimizer, model.zero_state(config.batch_size), best, 0, record, average, scale)

    @classmethod
    def resume(cls, file: WeightsFile, backend: Backend, *, precision: str | None = None) -> TrainingState:
        """Resume the run in a file, with another precision if one is given.

        Raises `WeightsError` if the file holds no run or a damaged one, `BackendError` if the device does not support
        the precision.
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
        """Continue with other settings, at the run's position in the text.

        If only `seq_len` differs, reading continues with the first unread token. Another `batch_size` or `batching`
        cuts the text differently: the epoch continues at the same share of it, with a zero state. Another optimizer
        starts with fresh slots, but adam and adamw share theirs. A change of the learning rate or its schedule resets
        the reductions of a plateau.
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

    def evaluation_model(self) -> Model:
        """Return the network to validate, sample from and save, with averaged parameters if the run averages them.

        An averaged network is valid until the next call.
        """
        return self.average.network(self.model) if self.average else self.model

    def to_file(self) -> WeightsFile:
        """Return the run as a weights file, copied from the device."""
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
        """Return a weights file of the current parameters, without the state to resume training."""
        summary = {"steps": self.step, **self.record.summary(snapshot=True)}
        flat = self.model.backend.to_numpy(self.average.flat if self.average else self.model.flat)
        return WeightsFile(self.model.config, self.model.vocab, flat, summary)

    def _whole_record(self) -> Record:
        """Return the record, completed with the values tracked by the optimizer, the average and the device."""
        averaged = self.average.updates if self.average else None
        scale = None if self.loss_scale is None else self.model.backend.to_numpy(self.loss_scale).tolist()
        return dataclasses.replace(
            self.record, began=self.optimizer.began, averaged=averaged, loss_scale=scale and (scale[0], scale[1])
        )

    @property
    def validated(self) -> bool:
        """True if a validation loss has selected the best parameters; until then the last ones count as best."""
        return self.record.best_loss is not None

    @property
    def out_of_patience(self) -> bool:
        """True if the run should end because `patience` epochs in a row brought no lower validation loss."""
        return 0 < self.config.patience <= self.record.stale_epochs

    @property
    def finished(self) -> bool:
        """True if there is no step left to make."""
        return self.step >= self.config.steps or self.out_of_patience

    @property
    def epoch_recorded(self) -> bool:
        """True if the result of the epoch that ends at this step is recorded."""
        history = self.record.history
        return bool(history) and history[-1].step == self.step

    @property
    def complete(self) -> bool:
        """True if there is no step left to make and the last epoch's result is recorded.

        A resumed run may exceed a new patience in the middle of an epoch, which is then abandoned.
        """
        return self.finished and (self.epoch_recorded or self.step == 0 or self.out_of_patience)


def _loss_scale(config: TrainingSettings, backend: Backend, record: Record) -> Array:
    if config.precision != "fp16":
        return None
    return backend.asarray(record.loss_scale or [Scaling.START, 0.0], "float64")


def batches(train_ids: AnyIds, config: TrainingSettings) -> Batches:
    """Return the text cut into the run's batches; raises `CorpusError` if it is too short."""
    B, T = config.batch_size, config.seq_len
    if config.batching == "windows":
        return Windows(train_ids, B, T, config.window_step, config.steps_per_epoch, config.seed)
    return Streams(train_ids, B, T)


def check_validation(config: TrainingSettings, val_ids: AnyIds) -> None:
    """Raise `ConfigError` if a setting needs the validation loss and there is no validation text."""
    if len(val_ids) < 2 and (config.patience or config.schedule == "plateau"):
        name = "`patience`" if config.patience else "`schedule` plateau"
        raise ConfigError(
            f"{name} needs a validation loss, but there is no validation text; expected `val_split` above 0"
        )


def find_place(run: TrainingState, reader: Batches) -> None:
    """Compute a run's position in the text and its number of epochs if its file is too old to contain them."""
    if run.record.position == NOT_RECORDED:
        epoch, window = divmod(run.step, reader.steps_per_epoch)
        between = run.step > 0 and window == 0  # an epoch's end belongs to the epoch
        position = reader.size if between else window * run.config.seq_len
        run.record.epoch, run.record.position = epoch - between, position
    if run.record.epochs == NOT_RECORDED:
        whole, rest = divmod(run.config.steps, reader.steps_per_epoch)
        run.record.epochs = None if rest else whole


def steps_for(run: TrainingState, reader: Batches, epochs: int) -> int:
    """Return the total number of updates for `epochs` epochs, or the updates made so far if those are past."""
    more = epochs - run.record.epoch - 1
    if more < 0:
        return run.step
    return run.step + reader.steps_from(run.record.position) + more * reader.steps_per_epoch


def epochs_in(run: TrainingState, reader: Batches) -> int:
    """Return the number of epochs that the run's total of updates makes; the last may be partial."""
    beyond = run.config.steps - run.step - reader.steps_from(run.record.position)
    return run.record.epoch + 1 + -(-max(0, beyond) // reader.steps_per_epoch)
