"""Names that are, and names that are not, among others: in their own order."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def among(
    names: Iterable[str],
    others: Iterable[str],
) -> list[str]:
    """Those of the names that are among others.

    >>> among(["b", "c", "a"], "ab")
    ['b', 'a']
    """
    chosen = _set(others)
    return [name for name in names if name in chosen]


def without(
    names: Iterable[str],
    others: Iterable[str],
) -> list[str]:
    """Those of the names that are not among others.

    >>> without(["b", "c", "a"], "ab")
    ['c']
    """
    left_out = _set(others)
    return [name for name in names if name not in left_out]


def _set(names: Iterable[str]) -> Collection[str]:
    return names if isinstance(names, (set, frozenset, dict)) else set(names)
