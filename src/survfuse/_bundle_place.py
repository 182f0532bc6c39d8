"""Where a bundle may be written: tested before any work, and without reading a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from survfuse._errors import BundleError, InputError, listed
from survfuse._gate import regular_file
from survfuse._places import disk_errors, sweep_stage, try_folder
from survfuse._storage import JSON_SIZE_LIMIT, read_json

FORMAT = "survfuse-bundle"


def check_target(
    folder: Path | str,
    *,
    force: bool = False,
) -> Path:
    """Refuse, before any work is done, a place where no bundle may or can be written.

    Parameters
    ----------
    folder : path
    force : bool
        Whether a bundle that is there already may be replaced.

    Returns
    -------
    Path
        `folder`, or the folder that it links to.

    Raises
    ------
    BundleError
        When `folder` holds something that is not a bundle, or a bundle and `force` is not
        given, or when nothing can be written beside it.
    """
    target = Path(folder)
    with disk_errors(target, BundleError):
        sweep_stage(target, error=BundleError)
        if target.is_symlink() or target.exists():
            _refuse_taken(target, force)
            target = target.resolve() if target.is_symlink() else target
        try_folder(target, error=BundleError)
        try_folder(target.absolute().parent, error=BundleError)
    return target


def _refuse_taken(target: Path, force: bool) -> None:
    """Refuse to replace anything but a bundle without other files, and that without `force`."""
    listed_files = _files_of_bundle(target)
    if listed_files is None:
        raise BundleError(
            f"{target}: exists and is not a survfuse bundle; choose another folder",
        )
    if not force:
        raise BundleError(
            f"{target}: a bundle is there already; choose another folder, or replace it with "
            "--force (in Python: force=True)",
        )
    others = sorted(
        file.name for file in target.iterdir() if file.name not in listed_files
    )
    if others:
        raise BundleError(
            f"{target}: holds more than a bundle ({listed(others)}), which would be lost; move it "
            "away, or choose another folder",
        )


def _files_of_bundle(folder: Path) -> set[str] | None:
    """Names of the files that belong to the bundle in `folder`; None where there is no bundle."""
    try:
        manifest = _json(folder / "bundle.json")
        return (
            {"bundle.json", *manifest["sha256"]}
            if manifest["format"] == FORMAT
            else None
        )
    except (InputError, OSError, KeyError, TypeError):
        return None


def _json(file: Path) -> Any:
    regular_file(file, limit=JSON_SIZE_LIMIT, error=BundleError)
    return read_json(file)
