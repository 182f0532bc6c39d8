"""The base of the sections of a cohort file: every scalar is text, letters are composed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from survfuse.config import Frozen
from survfuse.readers.cell_text import composed, whole

PATHS = {
    "file",
    "table",
    "path",
    "features",
    "images",
    "masks",
    "packed",
    "slides",
    "prior",
    "weights",
}

Label = Annotated[str, Field(max_length=100)]
"""Text that tables and figures show in place of a name of the files."""

Rows = Literal["refuse", "first", "mean"]
"""What becomes of several rows of one patient."""


def _composed(value: Any) -> Any:
    """Compose the letters of all texts but paths, as tables are read."""
    if isinstance(value, str):
        return composed(value)
    if isinstance(value, Mapping):
        texts = {}
        for key, one in value.items():
            is_path = key in PATHS and isinstance(one, str)
            texts[_composed(key)] = one if is_path else _composed(one)
        return texts
    return list(map(_composed, value)) if isinstance(value, list) else value


class Section(Frozen):
    """Base of the sections of a cohort file."""

    model_config = ConfigDict(coerce_numbers_to_str=True, serialize_by_alias=True)

    _texts = model_validator(mode="before")(_composed)


def refuse_same(name: str, texts: Iterable[str]) -> None:
    """Refuse texts that a table cannot tell apart, such as 1 and 1.0."""
    plain: dict[str, str] = {}
    for text in texts:
        other = plain.setdefault(whole(text), text)
        if other != text:
            raise ValueError(
                f"{name}: {other!r} and {text!r} are one number; list it once",
            )
