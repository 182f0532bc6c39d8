"""The expression section of a cohort file: the matrix, and what is doubtful about it."""

from __future__ import annotations

from survfuse._errors import InputError, listed
from survfuse.cohort.modalities import ExpressionData, measured_patients
from survfuse.cohort.samples import by_patient
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import CohortSpec, ExpressionSpec, PatientColumn

ANY = PatientColumn()
"""Column of ids where a section says nothing: that of the reader."""


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
    place = sources.problems.at(name, spec.path)
    try:
        matrix = sources.expression(spec)
    except InputError as error:
        place.error(str(error))
        return None
    for doubt in matrix.doubts:
        place.warning(doubt)
    for column in set(cohort.answers).intersection(matrix.genes):
        sources.problems.at(name, spec.path, column).error(
            "this column is the outcome; it cannot be an input",
            hint="remove it from the matrix",
        )
    patients = by_patient(matrix, spec, sources.rule(spec.patient or ANY), place)
    if patients is None:
        return None
    return ExpressionData(name, patients, measured_patients(patients))


def orientation_hint(
    data: ExpressionData,
    spec: ExpressionSpec,
    patients: tuple[str, ...],
) -> str:
    """Say which orientation to declare where patients stand among the genes."""
    misplaced = set(patients).intersection(data.expression.genes)
    if not misplaced:
        return ""
    orientations = {"genes_by_patients", "patients_by_genes"}
    (other,) = orientations - {spec.orientation}
    names = listed(sorted(misplaced), 3)
    return (
        f"patients ({names}) stand where genes should: declare `orientation: {other}`"
    )
