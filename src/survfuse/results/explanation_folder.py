"""The folder of an explanation: who may write there, and its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from survfuse._errors import InputError, listed
from survfuse._places import disk_errors, sweep_stage, try_folder
from survfuse._storage import read_json, sha256_file, write_json

FORMAT, VERSION = "survfuse-explanation", 1
RECORD = "explanation.json"
PAGE = "explanation.html"


def try_explanation_folder(
    folder: Path | str,
    *,
    force: bool = False,
) -> Path:
    """Check, before work begins, that an explanation can be written and replaces only one.

    Parameters
    ----------
    folder : path
        May not exist yet, or be empty.
    force : bool
        Whether an explanation that is there already may be replaced.

    Returns
    -------
    Path
        `folder`, or the folder that it links to.

    Raises
    ------
    InputError
        When the folder holds anything else, or an explanation and `force` is not given, or when
        nothing can be written there.
    """
    target = Path(folder)
    with disk_errors(target):
        sweep_stage(target)
        target = target.resolve() if target.is_symlink() else target
        if try_folder(target).exists():
            _refuse_taken(target, force)
        try_folder(target.absolute().parent)
    return target


def _refuse_taken(target: Path, force: bool) -> None:
    present = {file.relative_to(target).as_posix() for file in _all_files(target)}
    if not present:
        return
    files = _files_of(target)
    if others := sorted(present - files):
        raise InputError(
            f"{target}: holds {listed(others)}, which no explanation of survfuse is, and would be "
            "lost; choose another folder, or move these files away",
        )
    if not force:
        raise InputError(
            f"{target}: an explanation is there already; choose another folder, or replace it "
            "with --force",
        )


def _files_of(folder: Path) -> set[str]:
    """Names of the files of the explanation in a folder; none where there is no explanation."""
    try:
        record = read_json(folder / RECORD)
        if record["format"] == FORMAT:
            return {RECORD, *record["files"]}
    except (InputError, OSError, KeyError, TypeError):
        pass
    return set()


def _all_files(folder: Path) -> list[Path]:
    """Everything in a folder and the folders below it but these folders themselves, sorted."""
    return sorted(
        path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    )


def write_record(
    folder: Path,
    record: Mapping[str, Any],
) -> None:
    """Write ``explanation.json`` when all other files are there, each of which it hashes."""
    files = {}
    for file in _all_files(folder):
        files[file.relative_to(folder).as_posix()] = sha256_file(file)
    header = {"format": FORMAT, "version": VERSION}
    write_json(folder / RECORD, {**header, **record, "files": files})
