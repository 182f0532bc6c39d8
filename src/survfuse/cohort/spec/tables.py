"""The sections of tables and of expression matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from survfuse.cohort.spec.base import Label, Rows, Section, refuse_same
from survfuse.cohort.spec.patient_column import Patient
from survfuse.cohort.table_file import Table
from survfuse.readers.cell_text import whole
from survfuse.readers.matrices import MISSING
from survfuse.readers.units import Unit


class ColumnSpec(Section):
    """What one column means."""

    kind: Literal["numeric", "ordinal", "nominal"]
    """A number, ordered levels, or unordered categories."""
    levels: tuple[str, ...] | None = None
    """Levels of an ordinal column, lowest first."""
    known: Literal["baseline", "followup"] = "baseline"
    """`followup` accrues after time zero: kept, but refused as an input unless allowed by name."""
    use: bool = True
    """False keeps the column out of every model."""
    missing: tuple[str, ...] = ()
    """Cells that mean "not known" in this column, besides the table's."""
    role: Literal["input", "prior_risk"] = "input"
    """`prior_risk` takes the column out of its table: it is a risk that another model gave, and a
    prior of the column's name."""
    label: Label = ""
    """Name of the column, with its unit, for tables and figures: "Age (years)"."""
    labels: dict[str, Label] = Field(default_factory=dict)
    """Words for values, for tables and figures: {1: female, 2: male}."""

    def label_of(self, value: str) -> str:
        """The label of a value; the value itself where it has none."""
        labels = {whole(one): text for one, text in self.labels.items()}
        return labels.get(whole(value), value)

    def _check_labels(self) -> None:
        """Refuse words that are empty, or that two values share."""
        texts = list(self.labels.values())
        if not all(texts):
            raise ValueError(
                "labels: every value needs a word; leave out those without"
            )
        if len(set(texts)) < len(texts):
            raise ValueError(
                "labels: two values have the same word, so no table could tell them apart: "
                f"{texts}",
            )
        refuse_same("labels", self.labels)

    @model_validator(mode="after")
    def _check(self) -> ColumnSpec:
        self._check_labels()
        plain = self.kind == "numeric" and self.known == "baseline" and self.use
        if self.role == "prior_risk" and not plain:
            raise ValueError(
                "a column with `role: prior_risk` is numeric and known at baseline; leave out "
                "`kind`, `known` and `use`",
            )
        if (self.kind == "ordinal") != (self.levels is not None):
            raise ValueError(
                "`levels`, lowest first, belong to an ordinal column and to no other",
            )
        if self.levels is not None and len(set(self.levels)) < max(2, len(self.levels)):
            raise ValueError(
                f"levels must be two or more different words, got {list(self.levels)}",
            )
        refuse_same("levels", self.levels or ())
        return self


def _columns(given: Any) -> Any:
    """Allow ``[age, bmi]`` (all numeric) and ``age: numeric`` for short."""
    if isinstance(given, (list, tuple)):
        return {name: {"kind": "numeric"} for name in given}
    if not isinstance(given, Mapping):
        return given
    columns = {}
    for name, spec in given.items():
        columns[name] = {"kind": spec} if isinstance(spec, str) else spec
        if isinstance(spec, Mapping) and spec.get("role") == "prior_risk":
            columns[name] = {"kind": "numeric", **spec}
    return columns


def _match(given: Any) -> Any:
    """Take the patterns out of ``columns: {match: "*_cnv"}``; a column `match` has a kind."""
    columns = given.get("columns") if isinstance(given, Mapping) else None
    if not isinstance(columns, Mapping) or "match" not in columns:
        return given
    patterns = columns["match"]
    if isinstance(patterns, Mapping) or patterns in ("numeric", "ordinal", "nominal"):
        return given
    named = {name: spec for name, spec in columns.items() if name != "match"}
    patterns = (patterns,) if isinstance(patterns, str) else patterns
    return {**given, "columns": named or None, "match": patterns}


class TableSpec(Section):
    """A vector modality whose columns are declared."""

    table: Table
    """Table with one row per patient."""
    patient: Patient | None = None
    """Column of patient ids; the outcome's where not given."""
    columns: Annotated[dict[str, ColumnSpec] | None, BeforeValidator(_columns)] = None
    """Columns by name. Of a further modality, `{match: "*_cnv"}` takes those of a pattern, as
    numbers; where nothing is given, all but the id."""
    match: tuple[str, ...] = ()
    """Patterns of further columns, all numeric: `*` stands for any letters. Also written among
    `columns`."""
    rows: Rows = "refuse"
    """Several rows of one patient: refused unless they agree, the first of them, or their mean."""
    missing: tuple[str, ...] = MISSING
    """Cells that mean "not known"."""
    label: Label = ""
    """Name of the modality for tables and figures."""

    _patterns = model_validator(mode="before")(_match)


class ExpressionSpec(Section):
    """A gene-expression matrix, patients by genes."""

    path: Table
    """csv, tsv (also .gz), parquet, .h5ad, or a folder with one JSON per patient."""
    unit: Unit
    """Scale of the values."""
    genes: Literal["symbol", "ensembl", "entrez"] = "symbol"
    """Naming of the genes."""
    patient: Patient | None = None
    """Column of patient ids, or of gene ids where rows are genes; the first column where not
    given."""
    orientation: Literal["patients_by_genes", "genes_by_patients"] = "patients_by_genes"
    """What the rows are."""
    gene_suffix: str | None = None
    """Take only the columns that end so, and take the ending off (`_rnaseq`)."""
    duplicates: Literal["refuse", "mean", "max", "sum", "first"] = "refuse"
    """Several columns of one gene."""
    layer: str | None = None
    """Layer of an `.h5ad` that is read in place of `X`."""
    rows: Rows = "refuse"
    """Several samples of one patient: refused, the first of them, or their mean."""
    missing: tuple[str, ...] = MISSING
    """Cells that mean "not known"; an empty one always does."""
    label: Label = ""
    """Name of the modality for tables and figures."""
