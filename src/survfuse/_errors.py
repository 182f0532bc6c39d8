"""What can go wrong, drawn as a tree; the leaves say whose turn it is.

::

    SurvfuseError
    ├── InputError            your input: exit 2
    │   ├── ConfigError         a configuration or cohort file
    │   ├── CohortError         patients, outcome, modalities
    │   ├── FeatureFileError    a feature file of another tool
    │   ├── SlideError          a slide that cannot be read, or whose scale is unknown
    │   ├── TransformError      data that a fitted transform refuses
    │   ├── LeakageError        follow-up knowledge or shared patients used as input
    │   ├── BundleError         a saved model that is broken, changed or too new
    │   └── MissingExtraError   an optional dependency is not installed
    ├── NotComputableError    a number that these data cannot give: says why
    ├── CrashError            a worker died while it held a task
    └── PartialError          done in part: exit 3

    NothingLearnedWarning     a fitted model that tells nobody apart

Every message answers four questions: what was expected, what came, where
(patient, file, column), and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LONGEST = 200  # characters of one thing that a message names


class SurvfuseError(Exception):
    """Root of everything survfuse raises on purpose."""

    exit_code = 1


class InputError(SurvfuseError):
    """The input must change before this can work."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration or cohort file does not say what is needed."""


class CohortError(InputError):
    """Patients, outcome or modalities contradict each other or themselves."""


class FeatureFileError(InputError):
    """A feature file is broken, hostile, or does not fit its cohort."""


class SlideError(InputError):
    """A slide cannot be read, its scale is unknown, or its mask is not its own."""


class TransformError(InputError):
    """Data that a transform fitted on the training patients refuses."""


class LeakageError(InputError):
    """Something known only later, or another patient's data, would reach the model."""


class BundleError(InputError):
    """A saved model is broken, was changed, or is newer than this version reads."""


class MissingExtraError(InputError, ImportError):
    """An optional dependency is needed: names the extra that brings it."""


class NotComputableError(SurvfuseError):
    """These data cannot give this number; the message says why."""

    exit_code = 2


class CrashError(SurvfuseError):
    """A worker died while it held a task: the signal or exit status, and how often."""


class PartialError(SurvfuseError):
    """Part of the work is done and kept, part failed."""

    exit_code = 3


class NothingLearnedWarning(UserWarning):
    """A model was fitted, but its log-risk is the same for everyone."""


@contextmanager
def context(where: str) -> Iterator[None]:
    """Prefix the message of a passing :class:`SurvfuseError` with where it happened.

    >>> with context("patient P1"):
    ...     raise CohortError("time must be > 0, got -3")
    Traceback (most recent call last):
    survfuse._errors.CohortError: patient P1: time must be > 0, got -3
    """
    try:
        yield
    except SurvfuseError as error:
        error.args = (f"{where}: {error}",)
        raise


def listed(items: Iterable[object], limit: int = 5) -> str:
    """Name the first few of many things, and how many there are.

    >>> listed(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    names = [
        name if len(name) <= LONGEST else f"{name[:LONGEST]}…"
        for name in map(str, items)
    ]
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[:limit])} and {len(names) - limit} more"


def printable(text: str) -> str:
    r"""Write control characters as escapes, so that what a file says cannot steer a terminal.

    >>> printable("red" + chr(27))
    'red\\x1b'
    """
    return "".join(map(_escaped, text))


def _escaped(letter: str) -> str:
    if letter.isprintable() or letter == "\n":
        return letter
    return letter.encode("unicode_escape").decode()
