"""The layouts in which others publish their splits: CLAM, MMP, Patho-Bench and STAMP; facts of form only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._storage import read_json
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
        return _folder(source)
    if not source.exists():
        tasks = _fold_folders(source.parent) if source.parent.is_dir() else {}
        if source.name not in tasks:
            raise InputError(f"{source}: no such file or folder")
        return list(map(_mmp, tasks[source.name]))
    if source.suffix.lower() == ".json":
        return _stamp(source)
    table = read_table(source)
    folds = [str(name) for name in table if re.fullmatch(r"fold_\d+", str(name))]
    if folds:
        return _patho_bench(
            source,
            table,
            sorted(folds, key=lambda name: int(name.removeprefix("fold_"))),
        )
    return [_clam(source, table)]


def _folder(folder: Path) -> list[RawSplit]:
    """CLAM's folder: ``splits_<number>.csv``, or their boolean form where only that is there."""
    for ending in ("", "_bool"):
        pattern = re.compile(rf"splits_(\d+){ending}\.csv(\.gz)?")
        files = [
            (int(found[1]), file)
            for file in folder.iterdir()
            if (found := pattern.fullmatch(file.name))
        ]
        if files:
            return [_clam(file, read_table(file)) for _, file in sorted(files)]
    if _tables(folder):
        return [_mmp(folder)]
    tasks = _fold_folders(folder)
    if len(tasks) > 1:
        raise InputError(
            f"{folder}: holds the folds of {len(tasks)} tasks: {listed(tasks, 20)}; name one of them, such "
            f"as {folder / next(iter(tasks))}",
        )
    if tasks:
        return list(map(_mmp, next(iter(tasks.values()))))
    raise InputError(
        f"{folder}: holds no splits_<number>.csv (CLAM), no train.csv and test.csv, and no folders of such "
        f"as NAME_k=0 (MMP); it has {listed(sorted(one.name for one in folder.iterdir())) or 'nothing'}",
    )


def _tables(folder: Path) -> dict[str, Path]:
    """The tables of one fold of MMP, by part."""
    return {
        part: folder / f"{part}.csv"
        for part in PARTS
        if (folder / f"{part}.csv").is_file()
    }


def _fold_folders(folder: Path) -> dict[str, list[Path]]:
    """Folders of one fold each below a folder, in the order of their numbers, by task."""
    numbered: dict[str, list[tuple[int, Path]]] = {}
    for below in sorted(folder.iterdir()):
        number = re.search(r"(\d+)$", below.name)
        if number is not None and below.is_dir() and _tables(below):
            numbered.setdefault(_task(below.name), []).append((int(number[1]), below))
    return {
        task: [below for _, below in sorted(folds)]
        for task, folds in sorted(numbered.items())
    }


def _task(name: str) -> str:
    """Name of a fold's folder without the fold: ``TCGA_BLCA_overall_survival_k=0``."""
    return re.sub(r"_?(?:k=|fold_?)?\d+$", "", name) or "fold"


def _mmp(folder: Path) -> RawSplit:
    """``train.csv``, ``test.csv`` and perhaps ``val.csv``, each with a row per slide of its patients."""
    tables = _tables(folder)
    if "train" not in tables or len(tables) < 2:
        raise InputError(
            f"{folder}: expected train.csv and test.csv (or val.csv), got "
            f"{listed(f'{part}.csv' for part in tables)}",
        )
    ids = {part: _ids(file) for part, file in tables.items()}
    return _joined(folder.name, ids)


def _ids(file: Path) -> tuple[str, ...]:
    """Ids of a table, each once: a patient has a row per slide."""
    table = read_table(file)
    name = next((name for name in ID_COLUMNS if name in table), None)
    if name is None:
        raise InputError(
            f"{file}: expected a column {' or '.join(ID_COLUMNS)}, got {listed(map(repr, table.columns), 8)}",
        )
    cells = dict.fromkeys(table[name].str.strip())
    cells.pop("", None)
    return tuple(cells)


def _joined(where: str, ids: Mapping[str, tuple[str, ...]]) -> RawSplit:
    """Train on validation patients too; test them where nobody else is tested."""
    train, val, test = (ids.get(part, ()) for part in PARTS)
    if not test:
        return RawSplit(where, train, val, (NO_TEST,))
    return RawSplit(where, (*train, *val), test, (JOINED,) if val else ())


def _clam(file: Path, table: pd.DataFrame) -> RawSplit:
    """Columns of ids, each as long as it is; or columns of True and False beside an id."""
    parts = [name for name in PARTS if name in table]
    if "train" not in parts or len(parts) < 2:
        raise InputError(
            f"{file}: expected columns train, val and test (CLAM), fold_0, fold_1, … (Patho-Bench), a "
            f"splits.json (STAMP) or a folder of train.csv and test.csv (MMP), got "
            f"{listed(map(repr, table.columns), 8)}",
        )
    cells = {name: [cell.strip() for cell in table[name]] for name in parts}
    words = {cell.lower() for column in cells.values() for cell in column}
    if words and words <= {"true", "false", ""}:
        cells = _chosen(file, table, cells)
    listed_ids = {
        name: tuple(cell for cell in column if cell) for name, column in cells.items()
    }
    return _joined(file.name, listed_ids)


def _chosen(
    file: Path,
    table: pd.DataFrame,
    cells: Mapping[str, Sequence[str]],
) -> dict[str, list[str]]:
    """Ids that a boolean table marks, by part."""
    name = next((name for name in (*ID_COLUMNS, ROW_NAMES) if name in table), None)
    if name is None:
        raise InputError(
            f"{file}: True and False need a first column of ids, or one called case_id",
        )
    ids = [cell.strip() for cell in table[name]]
    return {
        part: [
            one for one, cell in zip(ids, column, strict=True) if cell.lower() == "true"
        ]
        for part, column in cells.items()
    }


def _patho_bench(
    file: Path,
    table: pd.DataFrame,
    folds: Sequence[str],
) -> list[RawSplit]:
    name = next((name for name in ID_COLUMNS if name in table), None)
    if name is None:
        raise InputError(
            f"{file}: expected a column {' or '.join(ID_COLUMNS)} beside {listed(folds)}",
        )
    ids = [cell.strip() for cell in table[name]]
    found = []
    for fold in folds:
        words = [cell.strip().lower() for cell in table[fold]]
        strange = sorted(set(words) - {*PARTS, ""})
        if strange:
            raise InputError(
                f"{file}: {fold} must hold train, val or test, got {listed(map(repr, strange))}",
            )
        rows = list(zip(ids, words, strict=True))  # a patient has a row per slide
        of = {
            part: tuple(dict.fromkeys(one for one, word in rows if word == part))
            for part in PARTS
        }
        note = (JOINED,) if of["val"] else ()
        found.append(
            RawSplit(
                f"{file.name}, {fold}",
                (*of["train"], *of["val"]),
                of["test"],
                note,
            ),
        )
    return found


def _stamp(file: Path) -> list[RawSplit]:
    content = read_json(file)
    splits = content.get("splits") if isinstance(content, dict) else None
    if not isinstance(splits, list) or not splits:
        raise InputError(
            f'{file}: expected {{"splits": [{{"train_patients": […], "test_patients": […]}}, …]}}',
        )
    return [
        RawSplit(
            f"{file.name}, split {number}",
            *(
                _texts(file, number, split, f"{part}_patients")
                for part in ("train", "test")
            ),
        )
        for number, split in enumerate(splits)
    ]


def _texts(file: Path, number: int, split: Any, key: str) -> tuple[str, ...]:
    ids = split.get(key) if isinstance(split, dict) else None
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise InputError(f"{file}: split {number}: {key} must be a list of texts")
    return tuple(one.strip() for one in ids)
