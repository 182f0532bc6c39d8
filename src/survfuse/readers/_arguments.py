"""The gate of the public door: arguments of the right kind, before any file is opened."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from numbers import Real
from os import PathLike
from typing import Any, ParamSpec, TypeVar

import pandas as pd

from survfuse._errors import InputError
from survfuse.readers.slide_features import ReadOptions

P = ParamSpec("P")
R = TypeVar("R")


def checked(reader: Callable[P, R]) -> Callable[P, R]:
    """Make a reader that refuses arguments of a wrong kind; they are known by their names."""
    signature = inspect.signature(reader)

    @functools.wraps(reader)
    def door(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            optional = signature.parameters[name].default is None
            if name in RULES and not (optional and value is None):
                RULES[name](value, name)
        return reader(*args, **kwargs)

    return door


def _path(value: Any, name: str) -> None:
    if not isinstance(value, str | PathLike) or not str(value).strip():
        raise InputError(f"{name} must be a path, got {value!r}")


def _text(value: Any, name: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name} must be text, got {value!r}")


def _positive(value: Any, name: str) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a finite number > 0, got {value!r}")


def _flag(value: Any, name: str) -> None:
    if not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, got {value!r}")


def _frame(value: Any, name: str) -> None:
    if not isinstance(value, pd.DataFrame):
        raise InputError(
            f"{name} must be a pandas DataFrame, got {type(value).__name__}",
        )


def _items(value: Any, name: str) -> None:
    if not isinstance(value, Iterable) or isinstance(
        value,
        str | bytes | PathLike | Mapping,
    ):
        raise InputError(
            f"{name} must be (slide_id, patient_id, path) for each slide, got {type(value).__name__}",
        )


def _words(value: Any, name: str) -> None:
    texts = isinstance(value, Collection) and not isinstance(
        value,
        str | bytes | Mapping,
    )
    if not texts or not all(isinstance(word, str) for word in value):
        raise InputError(f"{name} must be a list of texts, got {value!r}")


def _options(value: Any, name: str) -> None:
    if not isinstance(value, ReadOptions):
        raise InputError(f"{name} must be ReadOptions, got {type(value).__name__}")
    for column in value.exclude_features:
        if not isinstance(column, int) or column < 0:
            raise InputError(
                f"{name}: exclude_features must be whole numbers >= 0, got {column!r}",
            )


RULES: Mapping[str, Callable[[Any, str], None]] = {
    "path": _path,
    "folder": _path,
    "out": _path,
    "name": _text,
    "encoder": _text,
    "unit": _text,
    "genes": _text,
    "patient_column": _text,
    "orientation": _text,
    "gene_suffix": _text,
    "id_column": _text,
    "column": _text,
    "mpp": _positive,
    "overwrite": _flag,
    "allow_empty": _flag,
    "frame": _frame,
    "items": _items,
    "missing": _words,
    "options": _options,
}
