"""The folder of a run: who may write there, and which of its files have changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from survfuse._errors import InputError, listed
from survfuse._places import disk_errors, try_file, try_folder
from survfuse._storage import read_json, sha256_file, write_json

FORMAT, VERSION = "survfuse-run", 1
UNFINISHED = "unfinished"
RECORD = "run.json"
FILES = (
    "predictions.csv",
    "comparators.csv",
    "external.csv",
    "weights.csv",
    "learning_curve.csv",
    "terms.csv",
    "agreement.csv",
    "characteristics.csv",
    "clinical_hazards.csv",
    "metrics.json",
    "performance.json",
    "checks.json",
    "cohort.json",
    "config.yaml",
)


def write_record(
    out: Path,
    record: Mapping[str, Any],
) -> None:
    """Write ``run.json``, which marks a folder as that of a run."""
    write_json(out / RECORD, {"format": FORMAT, "version": VERSION, **record})


@contextmanager
def begun_record(
    out: Path,
    record: Mapping[str, Any],
) -> Iterator[None]:
    """Mark a folder while a run begins in it; the files of an earlier run stay.

    A run that fails before it has stored a cell removes the mark.
    """
    new = not (out / RECORD).exists()
    if new:
        with disk_errors(out):
            write_record(out, {**record, "hashes": {}, "state": UNFINISHED})
    try:
        yield
    except BaseException:
        if new and not any(out.glob("cells/*")):
            (out / RECORD).unlink(missing_ok=True)
            with suppress(OSError):
                (out / "cells").rmdir()
        raise


def changed_files(
    out: Path,
    record: Mapping[str, Any],
) -> tuple[str, ...]:
    """Names of the files that are absent or not as the run wrote them.

    Early runs recorded the hash of ``predictions.csv`` alone.
    """
    predictions = (record.get("hashes") or {}).get("predictions")
    early = {"predictions.csv": predictions} if predictions else {}
    recorded = record.get("files") or early
    changed = []
    for name in FILES:
        path = out / name
        if name in recorded and not (
            path.is_file() and sha256_file(path) == recorded[name]
        ):
            changed.append(name)
    return tuple(changed)


def try_run_folder(
    folder: Path | str,
    *,
    foreign: bool = False,
) -> Path:
    """Check, before work begins, that a run can be written to a folder and replaces only a run.

    Parameters
    ----------
    folder : path
        May not exist yet.
    foreign : bool
        Whether the predictions of another program are evaluated, rather than our own models.

    Raises
    ------
    InputError
        When nothing can be written there, another run works there, or files that would be
        replaced are not of such a run.
    """
    out = try_folder(folder)
    if not foreign:
        try_folder(out / "cells")
    present = [name for name in (*FILES, RECORD) if os.path.lexists(out / name)]
    for name in present:
        try_file(out / name)
    if present and _kind(out / RECORD) != ("foreign" if foreign else "own"):
        kind = "an evaluation" if foreign else "a cross-validation"
        raise InputError(
            f"{out}: holds {listed(present)}, not written by {kind} of survfuse, which would "
            "replace them; choose another folder, or move these files away",
        )
    return out


def _json_or_none(path: Path) -> Any:
    try:
        return read_json(path)
    except InputError:
        return None


def _kind(path: Path) -> str:
    """Kind of predictions that a record is about: "own", "foreign", or "" for no record."""
    record = _json_or_none(path)
    if not isinstance(record, dict) or not isinstance(record.get("hashes"), dict):
        return ""
    versions = record.get("versions")  # records of early versions name no format
    early = isinstance(versions, dict) and "survfuse" in versions
    if record.get("format") != FORMAT and not early:
        return ""
    return "foreign" if "input" in record["hashes"] else "own"


def try_metrics(path: Path | str) -> Path:
    """Check, before work begins, that metrics can be written to a file and replace only metrics.

    Raises
    ------
    InputError
        When nothing can be written there, or a file that holds no metrics is there.
    """
    target = try_file(path)
    if target.exists() and not _holds_metrics(_json_or_none(target)):
        raise InputError(
            f"{target}: a file that holds no metrics is there; choose another name",
        )
    return target


def _holds_metrics(models: Any) -> bool:
    if not isinstance(models, dict):
        return False
    entries: list[Any] = []
    for metrics in models.values():
        if isinstance(metrics, dict):
            entries.extend(metrics.values())
    valid = [isinstance(entry, dict) and "value" in entry for entry in entries]
    return bool(valid) and all(valid)
