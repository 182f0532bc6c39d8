"""The layouts in which others publish their splits: CLAM, MMP, Patho-Bench and STAMP."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from survfuse._errors import InputError, context, listed
from survfuse._storage import read_json, stored_texts
from survfuse.cohort.members import among
from survfuse.readers.table_files import ROW_NAMES, read_table

PARTS = ("train", "val", "test")
ID_COLUMNS = ("case_id", "patient_id", "slide_id")
JOINED = "validation patients of the splits join the training patients"
NO_TEST = "the splits name no test patients: validation is tested"


@dataclass(frozen=True)
class RawSplit:
    """One split as its file gives it: ids of patients or slides."""

    where: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_raw(source: Path) -> list[RawSplit]:
    """Read the splits of a file or folder as it gives them (see `read_splits`).

    Raises
    ------
    InputError
        When it is none of the layouts, or a cell means nothing.
    """
    if source.is_dir():
        for read_folder in FOLDERS:
            splits = read_folder(source)
            if splits:
                return splits
        names = sorted(file.name for file in source.iterdir())
        raise InputError(
            f"{source}: holds no splits_<number>.csv (CLAM), no train.csv and test.csv, and no "
            f"folders of such as NAME_k=0 (MMP); it has {listed(names) or 'nothing'}",
        )
    if not source.exists():
        tasks = _mmp_tasks(source.parent) if source.parent.is_dir() else {}
        if source.name not in tasks:
            raise InputError(f"{source}: no such file or folder")
        return _mmp_folds(tasks[source.name])
    if source.suffix.lower() == ".json":
        return _stamp(source)
    table = read_table(source)
    return _patho_bench(source, table) or [_clam(source, table)]


def _joined(
    where: str,
    ids: Mapping[str, tuple[str, ...]],
) -> RawSplit:
    """Train on validation patients too; test them where nobody else is tested."""
    train, val, test = (ids.get(part, ()) for part in PARTS)
    if not test:
        return RawSplit(where, train, val, (NO_TEST,))
    return RawSplit(where, (*train, *val), test, (JOINED,) if val else ())


def _id_column(
    table: pd.DataFrame,
    names: tuple[str, ...],
    error: str,
) -> pd.Series:
    """The first column of these names, stripped."""
    for name in names:
        if name in table:
            return table[name].str.strip()
    raise InputError(error)


# -- CLAM


def _clam_folder(folder: Path) -> list[RawSplit]:
    """``splits_<number>.csv``, or their boolean form where only that is there."""
    for ending in ("", "_bool"):
        files = {}
        for file in folder.iterdir():
            match = re.fullmatch(rf"splits_(\d+){ending}\.csv(\.gz)?", file.name)
            if match:
                files[int(match[1]), file] = file
        if files:
            return [_clam(files[key], read_table(files[key])) for key in sorted(files)]
    return []


def _clam(file: Path, table: pd.DataFrame) -> RawSplit:
    """Columns of ids, one a part; or columns of True and False and one of ids."""
    parts = among(PARTS, map(str, table))
    if "train" not in parts or len(parts) < 2:
        raise InputError(
            f"{file}: expected columns train, val and test (CLAM), fold_0, fold_1, … "
            "(Patho-Bench), a splits.json (STAMP) or a folder of train.csv and test.csv (MMP), "
            f"got {listed(map(repr, table.columns), 8)}",
        )
    cells = table[parts].apply(lambda column: column.str.strip())
    flags = cells.apply(lambda column: column.str.lower())
    if flags.isin(["true", "false", ""]).all(axis=None) and (flags != "").any(
        axis=None,
    ):
        error = (
            f"{file}: True and False need a first column of ids, or one called case_id"
        )
        column = _id_column(table, (*ID_COLUMNS, ROW_NAMES), error)
        cells = flags.apply(lambda flag: column.where(flag == "true", ""))
    ids = {}
    for part in parts:
        ids[part] = tuple(cells.loc[cells[part] != "", part])
    return _joined(file.name, ids)


# -- MMP


def _mmp_tables(folder: Path) -> dict[str, Path]:
    """The tables of one fold, by part."""
    files = {}
    for part in PARTS:
        file = folder / f"{part}.csv"
        if file.is_file():
            files[part] = file
    return files


def _mmp_fold(folder: Path) -> list[RawSplit]:
    """``train.csv``, ``test.csv`` and perhaps ``val.csv``, each with a row per slide."""
    files = _mmp_tables(folder)
    if not files:
        return []
    if "train" not in files or len(files) < 2:
        raise InputError(
            f"{folder}: expected train.csv and test.csv (or val.csv), got "
            f"{listed(f'{part}.csv' for part in files)}",
        )
    ids = {}
    for part, file in files.items():
        table = read_table(file)
        columns = listed(map(repr, table.columns), 8)
        error = f"{file}: expected a column {' or '.join(ID_COLUMNS)}, got {columns}"
        column = _id_column(table, ID_COLUMNS, error)
        ids[part] = tuple(column[column != ""].unique())
    return [_joined(folder.name, ids)]


def _mmp_tasks(folder: Path) -> dict[str, list[Path]]:
    """Folders of one fold each below a folder, in the order of their numbers, by task."""
    numbered: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for below in folder.iterdir():
        match = re.fullmatch(r"(.*?)_?(?:k=|fold_?)?(\d+)", below.name)
        if match and below.is_dir() and _mmp_tables(below):
            numbered[match[1] or "fold"].append((int(match[2]), below))
    tasks = {}
    for task in sorted(numbered):
        _, folders = zip(*sorted(numbered[task]), strict=True)
        tasks[task] = list(folders)
    return tasks


def _mmp_folds(folders: list[Path]) -> list[RawSplit]:
    splits = []
    for folder in folders:
        splits += _mmp_fold(folder)
    return splits


def _mmp_folder(folder: Path) -> list[RawSplit]:
    """Folders of one fold each, of one task."""
    tasks = _mmp_tasks(folder)
    if len(tasks) > 1:
        raise InputError(
            f"{folder}: holds the folds of {len(tasks)} tasks: {listed(tasks, 20)}; name one of "
            f"them, such as {folder / next(iter(tasks))}",
        )
    return _mmp_folds(next(iter(tasks.values()), []))


# -- Patho-Bench and STAMP


def _patho_bench(
    file: Path,
    table: pd.DataFrame,
) -> list[RawSplit]:
    """Columns ``fold_<number>`` that hold train, val or test, and one of ids; a row per slide."""
    names = [str(name) for name in table if re.fullmatch(r"fold_\d+", str(name))]
    folds = sorted(names, key=lambda name: int(name.removeprefix("fold_")))
    if not folds:
        return []
    error = (
        f"{file}: expected a column {' or '.join(ID_COLUMNS)} beside {listed(folds)}"
    )
    ids = _id_column(table, ID_COLUMNS, error)
    splits = []
    for fold in folds:
        part = table[fold].str.strip().str.lower()
        strange = sorted(set(part) - {*PARTS, ""})
        if strange:
            raise InputError(
                f"{file}: {fold} must hold train, val or test, got {listed(map(repr, strange))}",
            )
        train, val, test = (tuple(ids[part == name].unique()) for name in PARTS)
        notes = (JOINED,) if val else ()
        where = f"{file.name}, {fold}"
        splits.append(RawSplit(where, (*train, *val), test, notes))
    return splits


def _stamp(file: Path) -> list[RawSplit]:
    """``{"splits": [{"train_patients": […], "test_patients": […]}, …]}``."""
    content = read_json(file)
    given = content.get("splits") if isinstance(content, dict) else None
    if not isinstance(given, list) or not given:
        raise InputError(
            f'{file}: expected {{"splits": [{{"train_patients": […], '
            '"test_patients": […]}, …]}',
        )
    splits = []
    for number, split in enumerate(given):
        ids = []
        for key in ("train_patients", "test_patients"):
            texts = split.get(key) if isinstance(split, dict) else None
            with context(f"{file}: split {number}"):
                ids.append(tuple(map(str.strip, stored_texts(texts, key))))
        splits.append(RawSplit(f"{file.name}, split {number}", *ids))
    return splits


FOLDERS = (_clam_folder, _mmp_fold, _mmp_folder)
"""Readers of folders, each of which gives nothing where the layout is another."""
