"""The base of every configuration object, and error messages that name the field."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from survfuse._errors import ConfigError, context

C = TypeVar("C", bound="Frozen")
MAX_ERRORS = 20  # errors of one file that a message names
MAX_VALUE_LENGTH = 200  # characters of a wrong value that a message quotes
MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 2048  # of a file's name and path


class Frozen(BaseModel):
    """Base of every configuration object: immutable, and unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    @classmethod
    def suggestions(cls) -> Mapping[str, str]:
        """Names that a user may have meant, and what to write for each."""
        return {name: name for name in cls.model_fields}

    @model_validator(mode="after")
    def _check_paths(self) -> Self:
        for name in type(self).model_fields:
            value = getattr(self, name)
            problem = _path_problem(value) if isinstance(value, Path) else ""
            if problem:
                quoted = repr(str(value)[:MAX_VALUE_LENGTH])
                raise ValueError(f"{name}: expected a path, got {quoted}, {problem}")
        return self


def _path_problem(path: Path) -> str:
    """Say why no file can have this path; empty where one can."""
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        return "which holds half a character"
    if b"\0" in encoded:
        return "which holds the character NUL"
    longest_name = max(map(len, encoded.split(os.fsencode(os.sep))))
    if longest_name > MAX_NAME_BYTES or len(encoded) > MAX_PATH_BYTES:
        return "which is too long"
    return ""


def build(
    cls: type[C],
    values: Mapping[str, Any],
    *,
    where: str,
) -> C:
    """Validate `values` into a `cls`; errors are sentences for the user.

    Raises
    ------
    ConfigError
        Names each wrong field and, for an unknown one, the nearest known.
    """
    try:
        with context(where):
            return cls.model_validate(dict(values))
    except ValidationError as error:
        errors = error.errors(include_url=False)
    messages = [_message(cls, where, detail) for detail in errors[:MAX_ERRORS]]
    if len(errors) > MAX_ERRORS:
        messages.append(f"and {len(errors) - MAX_ERRORS} more")
    raise ConfigError("; ".join(messages))


def _message(
    cls: type[Frozen],
    where: str,
    detail: Any,
) -> str:
    location = [str(part) for part in detail["loc"]]
    path = ".".join([where, *location])
    if detail["type"] == "extra_forbidden":
        known = _section_class(cls, location[:-1]).suggestions()
        nearest = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"; did you mean {known[nearest[0]]!r}?" if nearest else ""
        return f"{path}: unknown field{hint}"
    if detail["type"] == "value_error":  # raised by our validators, complete as it is
        return f"{path}: {detail['ctx']['error']}"
    value = repr(detail["input"])
    if len(value) > MAX_VALUE_LENGTH:
        value = value[:MAX_VALUE_LENGTH] + "…"
    return f"{path}: {detail['msg']}, got {value}"


def _section_class(cls: type[Frozen], names: list[str]) -> type[Frozen]:
    """Class of the section that `names` lead to."""
    for name in names:
        if name not in cls.model_fields:
            continue
        annotation = cls.model_fields[name].annotation
        for kind in (annotation, *get_args(annotation)):
            if isinstance(kind, type) and issubclass(kind, Frozen):
                cls = kind
                break
    return cls
