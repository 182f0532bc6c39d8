"""Writing a study folder: all of its new files or none, and nothing is overwritten."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from survfuse._errors import InputError
from survfuse._places import disk_errors, try_folder
from survfuse._storage import to_json
from survfuse.cohort.spec import CohortSpec
from survfuse.config import RunConfig
from survfuse.drafts.draft import Draft

RUN = """\
# yaml-language-server: $schema=run.schema.json
# What differs from the defaults; `survfuse crossval cohort.yaml -c run.yaml -o runs/first`
model:
  preset: default              # or paper: arXiv 2605.13897 as its authors coded it
crossval:
  folds: 5
  repeats: 1
"""
SCHEMA_LINE = "# yaml-language-server: $schema=cohort.schema.json\n"


def write_draft(draft: Draft, folder: Path) -> list[Path]:
    """Write a draft as `cohort.yaml`, a run configuration, and JSON Schemas of both.

    Data are named where they lie, never copied.

    Parameters
    ----------
    draft : Draft
    folder : path
        Made where it is not there.

    Returns
    -------
    list of Path
        The files, `cohort.yaml` first.

    Raises
    ------
    InputError
        When one of the files is already there, or nothing can be written.
    """
    texts = {"cohort.yaml": SCHEMA_LINE + draft.to_yaml(folder), **draft.tables}
    return write_study(folder, texts)


def write_study(
    folder: Path,
    texts: Mapping[str, str],
    fill: Callable[[Path], None] | None = None,
    further: tuple[str, ...] = (),
) -> list[Path]:
    """Write texts, a run configuration and JSON Schemas into a folder: all files or none.

    Parameters
    ----------
    folder : path
    texts : mapping of str to str
        Texts by file name.
    fill : callable or None
        Writes the files `further` into a folder that it is given.
    further : tuple of str
        Names of files and folders that `fill` writes.

    Raises
    ------
    InputError
        When one of its files is already there (nothing is overwritten), or nothing can be written.
    """
    texts = {
        **texts,
        "run.yaml": RUN,
        "cohort.schema.json": to_json(CohortSpec.model_json_schema()) + "\n",
        "run.schema.json": to_json(RunConfig.model_json_schema()) + "\n",
    }
    files = [folder / name for name in (*texts, *further)]
    refuse_existing(folder, files)
    is_new = not try_folder(folder).exists()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=folder, prefix=".init."))
        try:
            for name, text in texts.items():
                (stage / name).write_text(text, encoding="utf-8", newline="\n")
            if fill is not None:
                fill(stage)
            for file in files:
                (stage / file.name).rename(file)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            if is_new:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        stage.rmdir()
    return files


def refuse_existing(folder: Path, files: list[Path]) -> None:
    """Refuse a folder that already holds one of these files."""
    there = [file.name for file in files if os.path.lexists(file)]
    if there:
        raise InputError(
            f"{folder}: already holds {', '.join(there)}; choose a new folder",
        )
