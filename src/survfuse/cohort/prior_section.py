"""The priors of a cohort file: risks that were learned elsewhere, and what is doubtful of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from survfuse._errors import InputError, listed
from survfuse.cohort.modalities import (
    ExpressionData,
    ModalityData,
    PriorData,
    TableData,
)
from survfuse.cohort.outliers import LARGEST
from survfuse.cohort.patient_table import PatientTable
from survfuse.cohort.problems import Place, Problem, Problems
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import CohortSpec, ColumnSpec, PriorSpec
from survfuse.cohort.tables import cells_of
from survfuse.readers.cell_text import instead_of_number
from survfuse.readers.matrices import MISSING
from survfuse.readers.priors import SHIPPED, Prior, read_prior, shipped_priors
from survfuse.readers.signatures import read_signature

SMALLEST_COVERAGE = 0.5
"""Share of a prior's squared weights whose genes a cohort has, below which there is a doubt."""
IN_TRAINING = "in_training"
"""Column that says which patients a model was trained on, as in predictions."""
CROSS_VALIDATED = {"repeat", "fold", "log_risk"}
"""Columns of the predictions of a cross-validation, here with several folds."""
TRUE = {"1", "1.0", "true", "yes"}
FALSE = {"0", "0.0", "false", "no"}


def named_priors(places: Iterable[Path | str]) -> dict[str, PriorSpec]:
    """Sections of priors that are given by name or folder, each called as it calls itself.

    Raises
    ------
    InputError
        When there is no such prior, or two have one name.
    """
    sections: dict[str, PriorSpec] = {}
    for place in places:
        name = read_prior(place).name
        if not name.isidentifier():
            raise InputError(
                f"prior {name!r} ({place}): a name must be letters, digits and _; give it another "
                "in the cohort file: `priors: {NAME: {prior: FOLDER}}`",
            )
        if name in sections:
            raise InputError(f"prior {name!r} is given twice ({place})")
        folder = Path(place)
        where = str(folder.resolve()) if folder.exists() else str(place)
        sections[name] = PriorSpec(prior=where)
    return sections


def read_modality_prior(
    name: str,
    spec: PriorSpec,
    cohort: CohortSpec,
    sources: Sources,
    modalities: Mapping[str, ModalityData],
) -> PriorData | None:
    """Read a prior; None (problems noted) when it cannot be read.

    Parameters
    ----------
    name : str
        Name of the prior.
    spec : PriorSpec
        Its section.
    cohort : CohortSpec
        The whole file: its outcome columns are no risk.
    sources : Sources
        Reads it and collects problems.
    modalities : mapping of name to modality data
        The other modalities, for priors of genes.
    """
    if spec.table is not None:
        return _read_column(name, spec, cohort, sources)
    try:
        if spec.weights is not None:
            path = sources.path(spec.weights)
            prior = read_signature(path, name=name, genes=spec.genes)
        else:
            place = str(spec.prior)
            shipped = place in shipped_priors()
            # a name means the shipped one, wherever the program is called
            prior = read_prior(
                SHIPPED / place if shipped else sources.path(Path(place))
            )
    except InputError as error:
        sources.problems.at(name).error(str(error))
        return None
    place_of = sources.problems.at(name, cohort.file(name))
    return prior_of_genes(name, prior, modalities, spec.expression, place_of)


def prior_of_genes(
    name: str,
    prior: Prior,
    modalities: Mapping[str, ModalityData],
    expression: str,
    place: Place,
) -> PriorData | None:
    """Apply a prior to an expression modality; None (problem noted) when there is none like it."""
    source = modalities.get(expression)
    if not isinstance(source, ExpressionData):
        others = [
            one for one, data in modalities.items() if isinstance(data, ExpressionData)
        ]
        known = f"; the cohort has {listed(others)}" if others else ""
        place.error(
            f"reads the expression modality {expression!r}, which the cohort does not have{known}",
            hint="say which: `expression: NAME`"
            if others
            else "give one, or leave it out",
        )
        return None
    here = source.expression.gene_ids
    if here != prior.gene_ids:
        place.error(
            f"names genes by {prior.gene_ids}, expression modality {expression!r} by {here}",
            hint=f"give a matrix with genes by {prior.gene_ids}, or leave the prior out",
        )
        return None
    return PriorData.of_genes(name, prior, source)


def _read_column(
    name: str,
    spec: PriorSpec,
    cohort: CohortSpec,
    sources: Sources,
) -> PriorData | None:
    """Read a risk from a column; patients without a value are without this modality."""
    assert spec.table is not None
    assert spec.column is not None
    table = sources.by_patient(
        spec.table,
        spec.patient or cohort.patient,
        name,
        rows=spec.rows,
        measured=True,
    )
    meaning = ColumnSpec(kind="numeric")
    cells = None if table is None else cells_of(table, spec.column, meaning, spec, name)
    if table is None or cells is None:
        return None
    if spec.column in cohort.answers:
        sources.problems.at(name, spec.table, spec.column).error(
            "this column is the outcome; it cannot be an input",
            hint="name the column of the risk",
        )
        return None
    if set(table.cells) >= CROSS_VALIDATED and table.cells["fold"].nunique() > 1:
        sources.problems.at(name, spec.table, spec.column).error(
            "these are predictions of a cross-validation: each was made by a model that learned "
            "from the outcomes of the other patients of this table",
            hint="take the risk from a model of another cohort (`survfuse predict`)",
        )
        return None
    columns = {spec.column: meaning}
    data = TableData(name, cells.to_frame(spec.column), columns, spec.missing)
    known = _trained_on(table, name)
    return PriorData(name, data.without_blank_rows(), in_training=known)


def _trained_on(table: PatientTable, name: str) -> frozenset[str]:
    """Patients that a table of predictions marks as training patients of its model."""
    if IN_TRAINING not in table.cells:
        return frozenset()
    cells = table.column(IN_TRAINING, name)
    if cells is None:
        return frozenset()
    plain = cells.fillna("").str.strip().str.casefold()
    unclear = cells[~plain.isin({*TRUE, *FALSE, *(one.casefold() for one in MISSING)})]
    if len(unclear):
        table.problems.at(name, table.file, IN_TRAINING).error(
            f"says which patients the risk was learned from; expected 1 or 0, got "
            f"{listed(map(repr, unclear.unique()))}",
            patients=map(str, unclear.index),
            hint="write 1 for them and 0 for others, or take the column out",
        )
    return frozenset(map(str, cells.index[plain.isin(TRUE)]))


def check_prior(
    data: PriorData,
    file: str,
    problems: Problems,
) -> None:
    """Report a prior of which the cohort has few genes, and cells that are no risk.

    Parameters
    ----------
    data : PriorData
        Already limited to the patients of the cohort.
    file : str
        Name of its file, for the messages.
    problems : Problems
        Where problems go.
    """
    if data.prior is not None:
        _check_coverage(data, data.prior, problems.at(data.name, file))
        return
    assert isinstance(data.source, TableData)
    (column,) = data.columns
    cells = data.source.texts(column)
    wrong = cells[cells.notna() & ~(np.abs(data.column_values()) <= LARGEST)]
    hints = [instead_of_number(str(cell)) or "correct it" for cell in wrong]
    for instead, same in wrong.groupby(pd.Series(hints, wrong.index, dtype=object)):
        cells_named = listed(map(repr, same.unique()))
        problems.at(data.name, file, column).error(
            f"expected a number of at most {LARGEST:g} in size, got {cells_named}",
            patients=same.index,
            hint=f"{instead}; if it means 'not known', list it under `missing`",
        )


def refuse_late_columns(
    modalities: Mapping[str, ModalityData],
    spec: CohortSpec,
    problems: Problems,
) -> None:
    """Report priors whose column a table declares `known: followup`, used there or not.

    Parameters
    ----------
    modalities : mapping of name to modality data
    spec : CohortSpec
        The cohort file.
    problems : Problems
        Where problems go.
    """
    late = {}
    for name, data in modalities.items():
        if isinstance(data, TableData):
            for column, meaning in data.columns.items():
                if meaning.known == "followup":
                    late[spec.file(name), column] = name
    for name, data in modalities.items():
        if not isinstance(data, PriorData):
            continue
        for column in data.columns:
            section = late.get((spec.file(name), column))
            if section is not None:
                problems.at(name, spec.file(name), column).error(
                    f"{section} declares this column `known: followup`; expected a risk that is "
                    "known at time zero",
                    hint=f"leave the prior out, or correct `known` in {section}",
                )


def _check_coverage(
    data: PriorData,
    prior: Prior,
    place: Place,
) -> None:
    share = data.coverage
    if share >= SMALLEST_COVERAGE:
        return
    assert isinstance(data.source, ExpressionData)
    genes = data.source.expression.genes
    place.report(
        "warning" if share > 0 else "error",
        f"of the {len(prior.genes)} genes of prior {prior.name!r} ({listed(prior.genes, 3)}) "
        f"{data.source.name} has {int((data.places >= 0).sum())}, with {share:.0%} of the squared "
        f"weights; its genes are called {listed(genes, 3)}",
        hint="give the whole matrix; do names have an ending (`gene_suffix`), or are they other "
        "ids (`genes`)?",
    )


def learned_here(
    data: ModalityData,
    file: str,
) -> Problem | None:
    """Problem of a prior that was learned from patients of the cohort; None of any other.

    Parameters
    ----------
    data : modality
    file : str
        Name of its file, for the message.
    """
    if not isinstance(data, PriorData) or not data.in_training:
        return None
    known = sorted(data.in_training)
    name = "" if data.prior is None else f" {data.prior.name!r}"
    remedy = (
        "take a risk from a model that was not trained on them"
        if data.prior is None
        else "fit a prior without their cohorts (`survfuse prior fit`)"
    )
    return Problem(
        "error",
        data.name,
        f"the prior{name} was learned from {len(known)} patient(s) of this cohort, so it knows "
        "their outcomes",
        listed(known),
        file,
        "" if data.prior is not None else IN_TRAINING,
        f"{remedy}, or list the patients under `exclude:` of the cohort file",
    )
