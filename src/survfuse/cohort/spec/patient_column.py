"""The column of patient ids, and how an id of a sample becomes that of its patient."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from survfuse.cohort.spec.base import Section

Match = Literal["tcga"]
"""A known form of ids: TCGA barcodes, cut to the participant."""


class PatientColumn(Section):
    """Where patient ids stand, and what is taken of them.

    A cohort file writes a name alone, ``patient: case_id``, or a mapping,
    ``{column: sample, match: tcga}``.
    """

    column: str | None = None
    """Column of the ids; the section's default where not given."""
    take: Annotated[int, Field(ge=1)] | None = None
    """Take only so many characters from the start of each id."""
    match: Match | None = None
    """`tcga` cuts TCGA barcodes to the participant, `TCGA-AA-1234`, in capitals; a point stands
    for a dash, as R writes names of columns. Anything else is refused."""

    @model_validator(mode="after")
    def _check(self) -> PatientColumn:
        if self.take is not None and self.match is not None:
            raise ValueError("say `take` or `match`, not both")
        return self

    def within(
        self,
        column: str | None,
        match: Match | None = None,
    ) -> PatientColumn:
        """Fill in the column and the form of ids where this says neither."""
        own = self.take is not None or self.match is not None
        return PatientColumn(
            column=self.column or column,
            take=self.take,
            match=self.match if own else match,
        )

    def __str__(self) -> str:
        return self.column or ""


def _patient_column(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


Patient = Annotated[
    PatientColumn,
    BeforeValidator(_patient_column, json_schema_input_type=str | PatientColumn),
]
"""Field of a section that names the column of patient ids."""
