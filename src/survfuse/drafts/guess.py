"""A guess: a value, what it was guessed from, and whether anything else is possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Guess(Generic[T]):
    """A value that was read off the files.

    Attributes
    ----------
    value : object
    evidence : str
        What was seen, in one line.
    certain : bool
        False where a person should look at it: the files allow something else.
    """

    value: T
    evidence: str = ""
    certain: bool = True


@dataclass(frozen=True)
class Choice:
    """One answer to a blank: the field that it writes, and its value.

    Attributes
    ----------
    answer : str
        What a person chooses, in words.
    key : str
        Field that is written in place of the blank; it need not be the field of the blank.
    value : object
    """

    answer: str
    key: str
    value: object


@dataclass(frozen=True)
class Blank:
    """What the files do not say, and a person must.

    Attributes
    ----------
    what : str
        What to write, in one line.
    choices : tuple of Choice
        All possible answers, where they are few.
    evidence : str
        What was seen.
    """

    what: str
    choices: tuple[Choice, ...] = ()
    evidence: str = ""
