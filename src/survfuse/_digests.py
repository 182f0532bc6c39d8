"""Cached results, from which a killed run goes on: each has a digest and the key of its run.

A damaged one is computed anew, and a note says so. A whole one of another run is refused: it may
be all that is left of that run.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from survfuse._errors import InputError, context
from survfuse._gate import is_system_error, regular_file
from survfuse._places import disk_errors
from survfuse._storage import (
    read_json,
    read_tensors,
    sha256_array,
    sha256_json,
    to_json,
    write_json,
    write_tensors,
)
from survfuse._types import AnyArray

T = TypeVar("T")
Header = Mapping[str, Any]
"""What a kept result must say of itself: `format`, `version` and `key`."""
DIGEST = "sha256"
LOGGER = logging.getLogger("survfuse")

_NOTES: ContextVar[list[str] | None] = ContextVar("notes", default=None)


@contextmanager
def collected_notes() -> Iterator[list[str]]:
    """Collect the notes that are made within, for the record of a run; they are logged as well."""
    notes: list[str] = []
    token = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(token)


def recall(
    path: Path,
    header: Header,
    read: Callable[[Path], tuple[Header, T]],
    other: str,
    check: Callable[[T], None] = lambda content: None,
) -> T | None:
    """Read a kept result.

    Parameters
    ----------
    path : path
    header : Header
        Of this run.
    read : callable
        path -> its header and content. An InputError means that it is damaged.
    other : str
        What it is, and what to do, where it belongs to another run.
    check : callable
        Raises an InputError for content that this run cannot have written.

    Returns
    -------
    content or None
        None where there is none and, with a note, where it is damaged. It is then removed, or
        moved aside where it is no regular file.

    Raises
    ------
    InputError
        When it is whole, but of another run; when the system or its memory does not let it be read.
    """
    if not os.path.lexists(path):
        return None
    try:
        regular_file(path)
        stored, content = read(path)
        if stored == header:
            with context(str(path)):
                check(content)
            return content
    except InputError as failure:
        if is_system_error(failure.__cause__):  # it may be whole
            raise
        _note(
            f"a kept result is damaged and is computed anew: {failure}{_cleared(path)}",
        )
        return None
    raise InputError(f"{path}: {other}")


def _cleared(path: Path) -> str:
    """Make room for a new result; what is no regular file was not ours and is moved aside."""
    with disk_errors(path):
        if path.is_file() or not path.exists():
            path.unlink(missing_ok=True)
            return ""
        names = (path.with_name(f"{path.name}.aside-{number}") for number in count(1))
        aside = next(name for name in names if not os.path.lexists(name))
        path.rename(aside)
    return f" (moved to {aside.name})"


def _note(text: str) -> None:
    LOGGER.warning(text)
    notes = _NOTES.get()
    if notes is not None:
        notes.append(text)


# -- JSON


def write_cached_json(
    path: Path,
    header: Header,
    content: Mapping[str, Any],
) -> dict[str, Any]:
    """Write content under its header and digest; return it as :func:`recall_json` will."""
    plain: dict[str, Any] = json.loads(to_json({**header, **content}))
    with disk_errors(path):
        write_json(path, {**plain, DIGEST: sha256_json(plain)})
    return plain


def recall_json(
    path: Path,
    header: Header,
    other: str,
    check: Callable[[dict[str, Any]], None] = lambda content: None,
) -> dict[str, Any] | None:
    """Read what :func:`write_cached_json` wrote (see :func:`recall`)."""

    def read(place: Path) -> tuple[Header, dict[str, Any]]:
        content = read_json(place)
        if not isinstance(content, dict):
            raise InputError(
                f"{place}: expected a JSON object, got {type(content).__name__}",
            )
        digest = content.pop(DIGEST, None)
        _refuse_change(place, content, header, digest, sha256_json(content))
        return {name: content.get(name) for name in header}, content

    return recall(path, header, read, other, check)


# -- tensors


def write_cached_tensors(
    path: Path,
    header: Mapping[str, str],
    arrays: Mapping[str, AnyArray],
) -> None:
    """Write arrays under their header and digest."""
    with disk_errors(path):
        write_tensors(path, arrays, {**header, DIGEST: _tensors_digest(header, arrays)})


def read_cached_tensors(
    path: Path,
    header: Mapping[str, str],
) -> tuple[dict[str, AnyArray], dict[str, str]]:
    """Read what :func:`write_cached_tensors` wrote: arrays, and all that stands in their header.

    Raises
    ------
    InputError
        When it is damaged.
    """
    arrays, stored = read_tensors(path)
    digest = stored.pop(DIGEST, None)
    _refuse_change(path, stored, header, digest, _tensors_digest(stored, arrays))
    return arrays, stored


def _tensors_digest(
    header: Mapping[str, str],
    arrays: Mapping[str, AnyArray],
) -> str:
    hashes = {name: sha256_array(array.reshape(-1)) for name, array in arrays.items()}
    shapes = {name: list(array.shape or (1,)) for name, array in arrays.items()}
    return sha256_json([dict(header), hashes, shapes])


def _refuse_change(
    path: Path,
    stored: Header,
    header: Header,
    digest: object,
    computed: str,
) -> None:
    """Refuse content that does not fit its digest; earlier versions of a format had none."""
    earlier = (
        stored.get("format") == header["format"]
        and stored.get("version") != header["version"]
    )
    if digest != computed and not (digest is None and earlier):
        raise InputError(
            f"{path}: its content is not what was written there (another {DIGEST})",
        )
