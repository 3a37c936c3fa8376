"""The exceptions that numlstm raises on purpose.

    NumlstmError
    ├── ConfigError      a setting out of range, or two settings that contradict each other
    ├── CorpusError      a text that cannot be found, read, decoded or used
    ├── StorageError     a file that cannot be written, or exists and must not be overwritten
    │   └── WeightsError a weights file that cannot be read or trusted
    ├── BackendError     a device or backend that is missing or does not work
    ├── LogError         a run's log, or a plot of it, that cannot be read or written
    └── DivergedError    a training run whose loss is no longer a finite number

Each message is one line: what was found, what was expected, what to do. The command line catches
`NumlstmError` in one place, prints that line and exits with 1.
"""


class NumlstmError(Exception):
    """Base class of every exception that numlstm raises on purpose."""


class ConfigError(NumlstmError):
    """A setting is out of range, or two settings contradict each other."""


class CorpusError(NumlstmError):
    """A text cannot be found, read, decoded or used."""


class StorageError(NumlstmError):
    """A file cannot be written, or exists and must not be overwritten."""


class WeightsError(StorageError):
    """A weights file cannot be read or trusted."""


class BackendError(NumlstmError):
    """A device or backend is missing or does not work."""


class LogError(NumlstmError):
    """A run's log, or a plot of it, cannot be read or written."""


class DivergedError(NumlstmError):
    """The loss of a training run is no longer a finite number."""
