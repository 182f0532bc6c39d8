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
    """Make a reader that refuses arguments of a wrong kind; each is checked by its name."""
    signature = inspect.signature(reader)

    @functools.wraps(reader)
    def door(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            optional = signature.parameters[name].default is None
            if name not in RULES or (optional and value is None):
                continue
            fits, expected = RULES[name]
            if not fits(value):
                raise InputError(f"{name} must be {expected}, got {value!r:.200}")
        return reader(*args, **kwargs)

    return door


def _is_path(value: Any) -> bool:
    return isinstance(value, str | PathLike) and bool(str(value).strip())


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_positive(value: Any) -> bool:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value > 0


def _is_items(value: Any) -> bool:
    if isinstance(value, str | bytes | PathLike | Mapping):
        return False
    return isinstance(value, Iterable)


def _is_texts(value: Any) -> bool:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Collection):
        return False
    return all(isinstance(text, str) for text in value)


def _is_options(value: Any) -> bool:
    if not isinstance(value, ReadOptions):
        return False
    columns = value.exclude_features
    return all(isinstance(column, int) and column >= 0 for column in columns)


Rule = tuple[Callable[[Any], bool], str]
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(["path", "folder", "out"], (_is_path, "a path")),
    **dict.fromkeys(["name", "encoder", "unit", "genes"], (_is_text, "text")),
    **dict.fromkeys(
        ["orientation", "gene_suffix", "sheet", "encoding", "duplicates", "layer"],
        (_is_text, "text"),
    ),
    **dict.fromkeys(["patient_column", "id_column", "column"], (_is_text, "text")),
    "mpp": (_is_positive, "a finite number > 0"),
    "overwrite": (lambda value: isinstance(value, bool), "True or False"),
    "repeated_patients": (lambda value: isinstance(value, bool), "True or False"),
    "allow_empty": (lambda value: isinstance(value, bool), "True or False"),
    "frame": (lambda value: isinstance(value, pd.DataFrame), "a pandas DataFrame"),
    "items": (_is_items, "(slide_id, patient_id, path) for each slide"),
    "missing": (_is_texts, "a list of texts"),
    "options": (_is_options, "ReadOptions, with exclude_features whole numbers >= 0"),
}
"""What each argument must be, by its name: a check, and what is expected."""
