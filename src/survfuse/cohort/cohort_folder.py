"""A cohort as a folder that can be loaded again: cohort file, tables, matrices and packed bags."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from survfuse._errors import CohortError, ConfigError, listed
from survfuse._places import disk_errors, staged_folder
from survfuse._storage import write_text
from survfuse.cohort.frame_texts import PATIENT
from survfuse.cohort.modalities import BagData, ExpressionData, PriorData, TableData
from survfuse.cohort.outcome_names import named_like_outcome
from survfuse.cohort.prior_section import IN_TRAINING
from survfuse.cohort.spec import ColumnSpec, OutcomeSpec, SlidesSpec, load_spec
from survfuse.cohort.spec.cohort_file import TOP_LEVEL
from survfuse.readers.bag_copies import copy_store
from survfuse.readers.priors import write_prior

if TYPE_CHECKING:
    from survfuse.cohort.cohort_data import Cohort

COHORT_FILE = "cohort.yaml"
PATIENTS_FILE = "patients.csv"
HEAD = "# Written by survfuse (Cohort.to_yaml); paths are relative to this file.\n"
Section = dict[str, Any]


def write_cohort(cohort: Cohort, folder: Path, *, force: bool) -> Path:
    """Write a cohort; see :meth:`survfuse.Cohort.to_yaml`."""
    with disk_errors(folder, CohortError):
        _refuse_taken(folder, force)
    with staged_folder(folder, error=CohortError) as new:
        sections: Section = {"name": cohort.name, **_write_patients(cohort, new)}
        for name, data in cohort.modalities.items():
            where = (
                sections if name in TOP_LEVEL else sections.setdefault("modalities", {})
            )
            if isinstance(data, TableData):
                where[name] = _write_table(data, new)
            elif isinstance(data, ExpressionData):
                where[name] = _write_expression(data, new)
            elif isinstance(data, BagData):
                where[name] = _write_bags(data, cohort, new)
            else:
                sections.setdefault("priors", {})[name] = _write_prior(data, new)
            _add_label(cohort, name, where.get(name))
        text = yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, width=100)
        write_text(new / COHORT_FILE, HEAD + text)
    return folder / COHORT_FILE


def _refuse_taken(folder: Path, force: bool) -> None:
    """Refuse a folder that holds anything but, with `force`, what was written here before."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CohortError(f"{folder}: is a file; give a new folder")
    there = {entry.name for entry in folder.iterdir()}
    if not there:
        return
    if not force:
        raise CohortError(
            f"{folder}: holds {listed(sorted(there))}; give a new folder, or force=True to replace "
            "a cohort that this method wrote",
        )
    foreign = there - _written(folder)
    if foreign:
        raise CohortError(
            f"{folder}: holds {listed(sorted(foreign))}, which this method did not write there; "
            "give a new folder",
        )


def _written(folder: Path) -> set[str]:
    """Names of the files of a cohort that was written here; none of any other folder."""
    file = folder / COHORT_FILE
    if not file.is_file() or not file.read_text("utf-8", "replace").startswith(HEAD):
        return set()
    try:
        spec = load_spec(file)
    except ConfigError:
        return set()
    names = {COHORT_FILE, PATIENTS_FILE}
    names |= {spec.file(name) for name in spec.sections()}
    names |= {str(section.packed) for section in spec.bag_sections().values()}
    return names | {spec.file(name) for name in spec.prior_sections()}


# -- outcome, groups and folds


def _write_patients(cohort: Cohort, folder: Path) -> Section:
    """Write the table of outcome, groups and folds, and describe it."""
    columns: dict[str, Sequence[str]] = {PATIENT: cohort.patients}
    sections: Section = {}
    spec = cohort.spec.outcome
    if spec is not None and cohort.outcome is not None:
        known = cohort.outcome["time"].notna().to_numpy(bool)
        event = cohort.outcome["event"].to_numpy(bool)
        status = event if spec.event is not None else ~event
        time_column = _name_of_time(cohort, spec)
        columns[time_column] = [_time_text(time) for time in cohort.outcome["time"]]
        status_column = _free(spec.status, columns)
        columns[status_column] = np.where(
            known, status.astype(int).astype(str), ""
        ).tolist()
        sections["outcome"] = _outcome(
            spec, time_column, status_column, bool(known.all())
        )
    groups = {}
    for name, labels in cohort.groups.items():
        column = _free(str(name), columns)
        columns[column] = labels.tolist()
        groups[str(name)] = {
            "table": PATIENTS_FILE,
            "column": column,
            "patient": PATIENT,
        }
    if groups:
        sections["groups"] = groups
    if cohort.folds is not None:
        column = _free("fold", columns)
        columns[column] = cohort.folds.tolist()
        sections["folds"] = {
            "table": PATIENTS_FILE,
            "column": column,
            "patient": PATIENT,
        }
    if len(columns) > 1:
        _write_csv(folder / PATIENTS_FILE, columns)
    return sections


def _name_of_time(cohort: Cohort, spec: OutcomeSpec) -> str:
    """Name the column of times; one that was made of several is called as no input is."""
    if isinstance(spec.time, str):
        return _free(spec.time, {PATIENT: None})
    taken = {PATIENT: None}
    for data in cohort.modalities.values():
        if isinstance(data, TableData):
            taken |= dict.fromkeys(data.columns)
    return _free("time", taken)


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """A name of a column that no other has."""
    while name in taken:
        name += "_"
    return name


def _outcome(spec: OutcomeSpec, time: str, status: str, complete: bool) -> Section:
    section: Section = {
        "table": PATIENTS_FILE,
        "patient": PATIENT,
        "time": time,
        "unit": spec.unit,
        "event" if spec.event is not None else "censored": status,
    }
    if spec.endpoint:
        section["endpoint"] = spec.endpoint
    if spec.horizons is not None:
        section["horizons"] = list(map(float, spec.horizons))
    if not complete:
        section["exclude_invalid"] = True
    return section


def _time_text(time: float) -> str:
    """The shortest text that is read as this very number; empty where it is not known."""
    if np.isnan(time):
        return ""
    near = (time, np.nextafter(time, 0), np.nextafter(time, np.inf))
    texts = [
        f"{time:.15g}",
        f"{time:.16g}",
        f"{time:.17g}",
        *(repr(float(one)) for one in near),
    ]
    read = pd.to_numeric(pd.Series(texts, dtype=object)).to_numpy(np.float64)
    exact = np.flatnonzero(read == time)
    return texts[exact[0]] if len(exact) else texts[2]


# -- modalities


def _write_table(data: TableData, folder: Path) -> Section:
    """Write the cells of a table, and declare its columns."""
    identity = _free(PATIENT, dict.fromkeys(data.columns))
    cells: dict[str, Sequence[str]] = {identity: data.patients}
    for name in data.columns:
        cells[name] = data.frame[name].tolist()
    _write_csv(folder / f"{data.name}.csv", cells)
    section: Section = {
        "table": f"{data.name}.csv",
        "patient": identity,
        "missing": list(data.missing),
    }
    plain = ColumnSpec(kind="numeric")
    declared = any(
        one != plain or named_like_outcome(name) for name, one in data.columns.items()
    )
    if data.name == "clinical" or declared:
        section["columns"] = {
            name: {
                "kind": one.kind,
                **one.model_dump(mode="json", exclude_defaults=True),
            }
            for name, one in data.columns.items()
        }
    return section


def _write_expression(data: ExpressionData, folder: Path) -> Section:
    """Write the matrix of the cohort's patients as Parquet, in single precision as it is used."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    matrix, values = data.expression, data.values()
    identity = _free(PATIENT, dict.fromkeys(matrix.genes))
    columns = [pa.array(data.patients, pa.string())]
    columns += [pa.array(values[:, place]) for place in range(len(matrix.genes))]
    table = pa.table(columns, names=[identity, *matrix.genes])
    pq.write_table(table, folder / f"{data.name}.parquet")
    return {
        "path": f"{data.name}.parquet",
        "patient": identity,
        "unit": matrix.unit,
        "genes": matrix.gene_ids,
    }


def _write_bags(data: BagData, cohort: Cohort, folder: Path) -> Section:
    """Copy the tiles of the cohort's patients; images stay where they are, by absolute path."""
    copy_store(data.store, data.patients, folder / f"{data.name}.bags")
    section: Section = {"packed": f"{data.name}.bags"}
    given = cohort.spec.sections().get(data.name)
    if (
        isinstance(given, SlidesSpec)
        and given.images is not None
        and given.table is not None
    ):
        section["table"] = given.table.within(cohort.root.absolute()).model_dump(
            mode="json",
            exclude_none=True,
        )
        section["slide"] = given.slide
        section["patient"] = given.patient.model_dump(mode="json", exclude_none=True)
        for name in ("images", "masks"):
            place = getattr(given, name)
            section |= (
                {} if place is None else {name: str(cohort.root.absolute() / place)}
            )
    return section


def _write_prior(data: PriorData, folder: Path) -> Section:
    """Write the weights of a prior, or the column of its risk."""
    if data.prior is not None:
        write_prior(data.prior, folder / f"{data.name}.prior")
        return {"prior": f"{data.name}.prior", "expression": data.source.name}
    assert isinstance(data.source, TableData)
    (column,) = data.columns
    identity = _free(PATIENT, {column: None})
    cells: dict[str, Sequence[str]] = {
        identity: data.patients,
        column: data.source.frame[column].tolist(),
    }
    if data.in_training:
        cells[IN_TRAINING] = [
            str(int(one in data.in_training)) for one in data.patients
        ]
    _write_csv(folder / f"{data.name}.csv", cells)
    return {
        "table": f"{data.name}.csv",
        "column": column,
        "patient": identity,
        "missing": list(data.source.missing),
    }


def _add_label(cohort: Cohort, name: str, section: Section | None) -> None:
    given = {**cohort.spec.sections(), **cohort.spec.prior_sections()}.get(name)
    if section is not None and given is not None and given.label:
        section["label"] = given.label


def _write_csv(path: Path, columns: Mapping[str, Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = zip(*columns.values(), strict=True)
    writer.writerows(chain([list(columns)], rows))
    write_text(path, text.getvalue())
