"""The section of a prior: a risk that was learned elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import model_validator

from survfuse.cohort.spec.base import Label, Rows, Section
from survfuse.cohort.spec.patient_column import Patient
from survfuse.cohort.table_file import Table
from survfuse.readers.genes import GeneIds
from survfuse.readers.matrices import MISSING


class PriorSpec(Section):
    """A risk that was learned elsewhere: weights of genes, or a column of a table."""

    prior: str | None = None
    """Name of a prior that comes with the package, or folder that `survfuse prior fit` wrote."""
    weights: Path | None = None
    """Text file of a published signature: lines of gene, tab, weight."""
    genes: GeneIds = "symbol"
    """Naming of the genes in `weights`."""
    expression: str = "expression"
    """Expression modality that the genes are read from."""
    table: Table | None = None
    """Table with one row per patient; also predictions of another hospital's model."""
    column: str | None = None
    """Its column that holds the risk: the higher, the worse."""
    patient: Patient | None = None
    """Column of patient ids; the outcome's where not given."""
    rows: Rows = "refuse"
    """Several rows of one patient: refused unless they agree, the first of them, or their mean."""
    missing: tuple[str, ...] = MISSING
    """Cells that mean "not known"."""
    label: Label = ""
    """Name of the modality for tables and figures."""

    @model_validator(mode="after")
    def _check(self) -> PriorSpec:
        sources = [name for name in PRIOR_FIELDS if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError(
                "say exactly one of `prior: NAME_OR_FOLDER`, `weights: FILE` and "
                f"`table: FILE, column: NAME`, got {', '.join(sources) or 'none'}",
            )
        (source,) = sources
        own = {source, "label", *PRIOR_FIELDS[source]}
        foreign = sorted(self.model_fields_set - own)
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: no field of a prior by `{source}`")
        if source == "table" and self.column is None:
            raise ValueError("`table` needs `column: NAME`, the column of the risk")
        return self


PRIOR_FIELDS = {
    "prior": ("expression",),
    "weights": ("genes", "expression"),
    "table": ("column", "patient", "rows", "missing"),
}
"""What a prior is made from, and the fields that go with it."""


def as_priors(given: Any) -> Any:
    """Allow ``[tcga_pancancer]`` and ``{pancancer: tcga_pancancer}`` for short."""
    if isinstance(given, (list, tuple)):
        names = [name for name in given if isinstance(name, str)]
        if len(set(names)) < len(given):
            raise ValueError(
                "expected a list of different names, such as [tcga_pancancer], or a mapping of "
                f"names: {{NAME: {{prior: NAME_OR_FOLDER}}}}; got {str(given)[:200]}",
            )
        given = {name: {"prior": name} for name in names}
    if not isinstance(given, Mapping):
        raise ValueError(
            "expected a list of names, such as [tcga_pancancer], or a mapping of names: "
            f"{{NAME: {{prior: NAME_OR_FOLDER}}}}; got {str(given)[:200]!r}",
        )
    priors = {}
    for name, spec in given.items():
        priors[name] = {"prior": spec} if isinstance(spec, str) else spec
    return priors
