"""From the samples of an expression matrix to patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from survfuse._errors import listed
from survfuse._types import FloatArray, IntArray
from survfuse.cohort.patient_ids import (
    barcode,
    normal_samples,
    note_normal,
    patients_of,
    sample_kinds,
)
from survfuse.cohort.problems import Place
from survfuse.cohort.spec import ExpressionSpec, PatientColumn
from survfuse.readers.expression import Expression

OTHER_SAMPLES = "keep one sample of each, or say `rows: first` or `rows: mean`"


def by_patient(
    matrix: Expression,
    spec: ExpressionSpec,
    rule: PatientColumn,
    place: Place,
) -> Expression | None:
    """Return a matrix with one row a patient; None (problem noted) where that is not said.

    Parameters
    ----------
    matrix : Expression
        One row a sample.
    spec : ExpressionSpec
        What becomes of several samples of one patient.
    rule : PatientColumn
        What is taken of the ids. Of TCGA barcodes, normal samples are left out, and the first
        sample is that of the lowest code (01A before 01B and 06A).
    place : Place
        Where problems go.
    """
    samples = pd.Series(matrix.patients, dtype=object)
    patients = patients_of(samples, rule, place)
    if patients is None:
        return None
    normal = normal_samples(samples, rule)
    note_normal(normal, patients, "samples are normal", place)
    samples, patients = samples[~normal], patients[~normal]
    if rule.match is not None:
        samples = samples.loc[samples.map(barcode).sort_values(kind="stable").index]
        patients = patients.loc[samples.index]
    several = patients[patients.duplicated(keep=False)]
    if len(several) and not _allow(samples, several, spec, place):
        return None
    first = patients[~patients.duplicated()].sort_index()
    rows = first.index.to_numpy()
    values = matrix.values[rows]
    if spec.rows == "mean":
        places = dict(zip(first, range(len(first)), strict=True))
        for patient, own in several.groupby(several):
            values[places[str(patient)]] = _mean(matrix, own.index.to_numpy())
    return replace(matrix, patients=tuple(map(str, first)), values=values)


def _mean(matrix: Expression, rows: IntArray) -> FloatArray:
    """Mean of some rows, gene by gene over the samples in which it is known."""
    values = matrix.values[rows]
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    count = known.sum(axis=0)
    mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return np.asarray(mean, np.float64)


def _allow(
    samples: pd.Series[str],
    several: pd.Series[str],
    spec: ExpressionSpec,
    place: Place,
) -> bool:
    """Report patients with several samples; False where nothing says what becomes of them."""
    names = samples[several.index]
    kinds = sample_kinds(names)
    example = listed(map(repr, names[several == several.iloc[0]]), 3)
    text = f"{several.nunique()} patient(s) have several samples ({example})"
    if kinds:
        text += f"; {kinds}, which `match: tcga` leaves out"
    if spec.rows == "refuse":
        place.error(text, patients=several.unique(), hint=OTHER_SAMPLES)
        return False
    taken = (
        "the first of each is taken" if spec.rows == "first" else "their mean is taken"
    )
    place.warning(f"{text}: {taken}", patients=several.unique())
    return True
