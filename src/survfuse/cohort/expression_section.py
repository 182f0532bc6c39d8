"""The expression section of a cohort file: the matrix, and what is doubtful about it."""

from __future__ import annotations

from survfuse._errors import InputError, listed
from survfuse.cohort.modalities import ExpressionData, measured_patients
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import CohortSpec, ExpressionSpec
from survfuse.readers.expression import Expression, read_expression


def read_modality_expression(
    name: str,
    spec: ExpressionSpec,
    cohort: CohortSpec,
    sources: Sources,
) -> ExpressionData | None:
    """Read an expression modality; None (problems noted) when its matrix cannot be read.

    Parameters
    ----------
    name : str
        Name of the modality.
    spec : ExpressionSpec
        Its section.
    cohort : CohortSpec
        The whole file: its outcome columns must not be inputs.
    sources : Sources
        Reads it and collects problems.
    """
    try:
        matrix = read_expression(
            sources.path(spec.path),
            unit=spec.unit,
            genes=spec.genes,
            patient_column=spec.patient,
            orientation=spec.orientation,
            gene_suffix=spec.gene_suffix,
            missing=spec.missing,
        )
    except InputError as error:
        sources.problems.error(name, str(error), file=spec.path)
        return None
    for doubt in matrix.doubts:
        sources.problems.warning(name, doubt, file=spec.path)
    for column in _outcome_columns(matrix, cohort):
        sources.problems.error(
            name,
            "this column is the outcome; it cannot be an input",
            file=spec.path,
            column=column,
            hint="remove it from the matrix",
        )
    return ExpressionData(name, matrix, measured_patients(matrix))


def _outcome_columns(matrix: Expression, cohort: CohortSpec) -> list[str]:
    if cohort.outcome is None:
        return []
    answers = {cohort.outcome.time, cohort.outcome.status}
    return [gene for gene in matrix.genes if gene in answers]


def orientation_hint(
    data: ExpressionData,
    spec: ExpressionSpec,
    patients: tuple[str, ...],
) -> str:
    """Say which orientation to declare where the outcome's patients stand among the genes; else nothing."""
    misplaced = set(patients).intersection(data.expression.genes)
    if not misplaced:
        return ""
    other = (
        "genes_by_patients"
        if spec.orientation == "patients_by_genes"
        else "patients_by_genes"
    )
    named = listed(sorted(misplaced), 3)
    return (
        f"patients ({named}) stand where genes should: declare `orientation: {other}`"
    )
