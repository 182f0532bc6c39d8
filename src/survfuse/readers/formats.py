"""The registry of feature-file formats; other packages add theirs through entry points.

A format is one card: the endings of its files, and a reader that makes a
:class:`~survfuse.readers.slide_features.Draft` of one. Another package adds a format in one
file (``docs/extending.md``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from survfuse._registry import Registry
from survfuse.readers.slide_features import Draft, ReadOptions

Reader = Callable[[Path, str | None, ReadOptions], Draft]
R = TypeVar("R", bound=Reader)


@dataclass(frozen=True)
class FeatureFormat:
    """A format of feature files.

    Attributes
    ----------
    suffixes : tuple of str
        Endings in lower case, such as ".h5".
    read : callable
        Reads a file: its path, the encoder that was declared, and the options of the cohort.
    is_folder : bool
        Whether a file of this format is a folder.
    """

    suffixes: tuple[str, ...]
    read: Reader
    is_folder: bool = False


feature_formats: Registry[FeatureFormat] = Registry(
    "feature format",
    group="survfuse.readers",
)


def feature_format(
    name: str,
    *suffixes: str,
    summary: str,
    source: str = "ours",
    is_folder: bool = False,
) -> Callable[[R], R]:
    """Decorate the reader of a format with its card.

    Parameters
    ----------
    name : str
    *suffixes : str
        Endings of its files in lower case.
    summary, source : str
        As for :class:`survfuse._registry.Card`.
    is_folder : bool
        Whether a file of this format is a folder.
    """

    def add(read: R) -> R:
        card = FeatureFormat(suffixes, read, is_folder)
        feature_formats.register(
            name,
            summary=summary,
            source=source,
        )(lambda: card)
        return read

    return add


def format_by_suffix() -> dict[str, FeatureFormat]:
    """Return the format of each ending of feature files."""
    return _by_suffix(tuple(feature_formats))


@cache
def _by_suffix(names: tuple[str, ...]) -> dict[str, FeatureFormat]:
    formats = {}
    for name in names:
        card = feature_formats.build(name)
        formats.update(dict.fromkeys(card.suffixes, card))
    return formats
