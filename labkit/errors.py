"""The errors that labkit raises on purpose.

Every message is one line: what is wrong, where, and what to do about it.
The command line prints the message alone; ``--debug`` shows the traceback.
"""


class LabkitError(Exception):
    """Base of every error that labkit raises on purpose."""


class DataError(LabkitError):
    """A dataset, folder, image or card cannot be used as asked."""


class WeightsError(LabkitError):
    """Pretrained weights are missing, damaged or of another model."""


class ModelError(LabkitError):
    """A model cannot be used as asked: no such block, head or strategy."""


class DownloadError(LabkitError):
    """A file could not be fetched whole and verified."""


class CourseError(LabkitError):
    """A notebook, release or report cannot be made as asked."""


def choices(names: object) -> str:
    """Join valid names for the end of a message: ``'a', 'b', 'c'``."""
    return ", ".join(repr(name) for name in names)  # type: ignore[attr-defined]
