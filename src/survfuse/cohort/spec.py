"""The cohort file: what a hospital has, where it lies, and what it means.

Every scalar of the YAML is read as text (`001` stays an id, `No` stays a category);
numbers and switches are made from it only where a field is declared so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from survfuse._errors import ConfigError
from survfuse._yaml import read_yaml
from survfuse.cohort.blanks import refuse_blanks
from survfuse.cohort.table_file import Table
from survfuse.config import Frozen, build
from survfuse.readers.cell_text import composed, whole
from survfuse.readers.genes import GeneIds
from survfuse.readers.matrices import MISSING
from survfuse.readers.units import Unit

TOP_LEVEL = ("clinical", "expression", "slides")

PATHS = {
    "file",
    "table",
    "path",
    "features",
    "images",
    "masks",
    "packed",
    "slides",
    "prior",
    "weights",
}


def _composed(value: Any) -> Any:
    """Compose the letters of all texts but paths, as tables are read."""
    if isinstance(value, str):
        return composed(value)
    if isinstance(value, Mapping):
        texts = {}
        for key, one in value.items():
            is_path = key in PATHS and isinstance(one, str)
            texts[_composed(key)] = one if is_path else _composed(one)
        return texts
    return list(map(_composed, value)) if isinstance(value, list) else value


class Section(Frozen):
    """Base of the sections of a cohort file."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    _texts = model_validator(mode="before")(_composed)


def _bit(given: Any) -> Any:
    return {"0": 0, "1": 1}.get(given, given) if isinstance(given, str) else given


def _refuse_same(name: str, texts: Iterable[str]) -> None:
    """Refuse texts that a table cannot tell apart, such as 1 and 1.0."""
    plain: dict[str, str] = {}
    for text in texts:
        other = plain.setdefault(whole(text), text)
        if other != text:
            raise ValueError(
                f"{name}: {other!r} and {text!r} are one number; list it once",
            )


Label = Annotated[str, Field(max_length=100)]
"""Text that tables and figures show in place of a name of the files."""


class OutcomeSpec(Section):
    """Who had the event, and when. The polarity is said, never guessed."""

    table: Table
    """Table with one row per patient."""
    patient: str = "patient_id"
    """Column of patient ids."""
    time: str
    """Column of follow-up times, > 0."""
    unit: Literal["days", "months", "years"]
    """Unit of `time`."""
    event: str | None = None
    """Column in which 1 means that the event happened at `time`; exactly one of `event` and
    `censored`."""
    censored: str | None = None
    """Column in which 1 means that follow-up ended at `time` without the event."""
    event_values: dict[str, Annotated[Literal[0, 1], BeforeValidator(_bit)]] | None = (
        None
    )
    """What every word in that column means, as 0 or 1 of that column: {deceased: 1, living: 0}.
    Where it is given, no other word (not even 0, 1, true, false) has a meaning."""
    endpoint: str = ""
    """Name of the endpoint for tables and figures, such as "overall survival"."""
    horizons: tuple[float, ...] | None = None
    """Times, in `unit`, at which survival is predicted."""
    exclude_invalid: bool = False
    """Leave out patients without a possible time and event, counted and listed, instead of
    refusing."""
    missing: tuple[str, ...] = MISSING
    """Cells that mean "not known"."""

    @property
    def status(self) -> str:
        """The column that holds the status, whichever its polarity."""
        return self.event if self.event is not None else str(self.censored)

    @property
    def columns(self) -> tuple[str, str]:
        """Columns that hold the outcome: times and status."""
        return self.time, self.status

    @property
    def label(self) -> str:
        """The endpoint's name; the status column's where none is given."""
        return self.endpoint or self.status

    @model_validator(mode="after")
    def _check(self) -> OutcomeSpec:
        if (self.event is None) == (self.censored is None):
            raise ValueError(
                "say exactly one of `event: COLUMN` (1 = the event happened) and "
                "`censored: COLUMN` (1 = censored); the polarity is never guessed",
            )
        if self.event_values is not None and not self.event_values:
            raise ValueError(
                "event_values: list every word of the column, each with 0 or 1, or leave it out",
            )
        _refuse_same("event_values", self.event_values or ())
        if not min(self.horizons or (1.0,)) > 0:
            raise ValueError("horizons must be > 0")
        return self


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
        _refuse_same("labels", self.labels)

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
        _refuse_same("levels", self.levels or ())
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
    patient: str | None = None
    """Column of patient ids; the outcome's where not given."""
    columns: Annotated[dict[str, ColumnSpec] | None, BeforeValidator(_columns)] = None
    """Columns by name. Of a further modality, `{match: "*_cnv"}` takes those of a pattern, as
    numbers; where nothing is given, all but the id."""
    match: tuple[str, ...] = ()
    """Patterns of further columns, all numeric: `*` stands for any letters. Also written among
    `columns`."""
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
    patient: str | None = None
    """Column of patient ids, or of gene ids where rows are genes; the first column where not
    given."""
    orientation: Literal["patients_by_genes", "genes_by_patients"] = "patients_by_genes"
    """What the rows are."""
    gene_suffix: str | None = None
    """Take only the columns that end so, and take the ending off (`_rnaseq`)."""
    missing: tuple[str, ...] = MISSING
    """Cells that mean "not known"; an empty one always does."""
    label: Label = ""
    """Name of the modality for tables and figures."""


class SlidesSpec(Section):
    """A bag modality: feature vectors of the tiles of each patient's slides."""

    table: Table | None = None
    """Table of `slide_id, patient_id[, path, mpp, objective, mask]`; several slides per patient."""
    features: Path | None = None
    """Folder of feature files, packed into one store when first used."""
    images: Path | None = None
    """Folder of the slides themselves, for `survfuse extract`: where the table has no column
    `path`, each is found by its name; where it has one, paths are relative to this folder."""
    masks: Path | None = None
    """Folder of tissue masks, named like the slides, or what the column `mask` is relative to."""
    packed: Path | None = None
    """A packed store (`NAME.bags`) instead of `table` and `features`."""
    encoder: str | None = None
    """Tile encoder, one for the whole cohort."""
    mpp: float | None = Field(default=None, gt=0)
    """Microns per pixel of the tiles."""
    slide: str = "slide_id"
    """Column of slide ids."""
    patient: str = "patient_id"
    """Column of patient ids."""
    key: str | None = None
    """Name of the array in a feature file that holds the features, where it is none of `features`,
    `feats` and `patch_embeddings`."""
    tiles: str | None = None
    """Tile grid of wsidata stores, such as `tiles2`, where one encoder was run on several."""
    exclude_slides: tuple[str, ...] = ()
    """Slides to leave out, by id."""
    exclude_features: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Tile features to leave out of every slide, by column, counted from 0."""
    label: Label = ""
    """Name of the modality for tables and figures."""

    @model_validator(mode="after")
    def _check(self) -> SlidesSpec:
        if self.packed is not None:
            own = ("key", "tiles", "exclude_slides", "exclude_features")
            choices = [f"`{name}`" for name in own if getattr(self, name)]
            if choices:
                raise ValueError(
                    f"{', '.join(choices)}: belong to `features`; a packed store is taken whole",
                )
        if (self.features is None) == (self.packed is None):
            raise ValueError(
                "say exactly one of `features: FOLDER` and `packed: NAME.bags`",
            )
        needs = [name for name in ("images", "masks") if getattr(self, name)]
        names = "`images` and `masks` need" if needs else "`features` needs"
        if self.table is None and (needs or self.features is not None):
            raise ValueError(
                f"{names} `table: FILE` with columns slide_id and patient_id",
            )
        return self


class FoldsSpec(Section):
    """Fixed folds given by a column."""

    table: Table
    """Table with one row per patient."""
    column: str
    """Column of fold names or numbers."""
    patient: str | None = None
    """Column of patient ids; the outcome's where not given."""


class GroupSpec(Section):
    """A column that groups patients (site, batch)."""

    column: str
    """Column of group names."""
    table: Table | None = None
    """Its table; the outcome's (or the clinical) table where not given."""
    patient: str | None = None
    """Column of patient ids; the outcome's where not given."""


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
    patient: str | None = None
    """Column of patient ids; the outcome's where not given."""
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
    "table": ("column", "patient", "missing"),
}
"""What a prior is made from, and the fields that go with it."""


def _priors(given: Any) -> Any:
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


ModalitySpec = TableSpec | ExpressionSpec | SlidesSpec


def _modality(given: Any) -> Any:
    """Choose the kind of a further modality by the keys it has."""
    if not isinstance(given, Mapping):
        return given
    section = dict(given)
    if "features" in section or "packed" in section:
        if "slides" in section and "table" not in section:
            section["table"] = section.pop("slides")
        return SlidesSpec.model_validate(section)
    kind = ExpressionSpec if "path" in section else TableSpec
    return kind.model_validate(section)


def _group(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


class CohortSpec(Section):
    """A cohort file; paths in it are relative to it."""

    name: str
    """Name of the cohort."""
    outcome: OutcomeSpec | None = None
    """The endpoint; needed for training and evaluation."""
    clinical: TableSpec | None = None
    """Clinical variables."""
    expression: ExpressionSpec | None = None
    """Bulk expression."""
    modalities: dict[str, Annotated[ModalitySpec, BeforeValidator(_modality)]] = Field(
        default_factory=dict,
    )
    """Further vector or bag modalities by name."""
    slides: SlidesSpec | None = None
    """Slide features."""
    priors: Annotated[
        dict[str, PriorSpec],
        BeforeValidator(
            _priors,
            json_schema_input_type=list[str] | dict[str, str | PriorSpec],
        ),
    ] = Field(default_factory=dict)
    """Risks that were learned elsewhere, by name: each is a modality of one number."""
    groups: dict[
        str,
        Annotated[
            GroupSpec,
            BeforeValidator(_group, json_schema_input_type=str | GroupSpec),
        ],
    ] = Field(default_factory=dict)
    """Groups of patients by name, for splits that keep a site together and for tables by
    subgroup."""
    folds: FoldsSpec | None = None
    """Fixed folds."""
    exclude: tuple[str, ...] = ()
    """Patients to leave out, by id."""

    @model_validator(mode="after")
    def _check(self) -> CohortSpec:
        for name in self.modalities:
            if name in TOP_LEVEL:
                raise ValueError(
                    f"modalities: {name!r} has its own section; move it to the top level",
                )
            if not name.isidentifier():
                raise ValueError(
                    f"modalities: name {name!r} must be letters, digits and _",
                )
        clinical = self.clinical
        if clinical is not None and not (clinical.columns or clinical.match):
            raise ValueError(
                "clinical: declare `columns`, each with its kind (numeric, ordinal, nominal)",
            )
        if not self.sections() and not self.priors:
            raise ValueError(
                "no modality: give at least one of clinical, expression, modalities, slides, "
                "priors",
            )
        self._check_priors()
        return self

    def _check_priors(self) -> None:
        """Refuse names of priors that are none, or that something else has."""
        names = [*self.priors, *(name for name, _ in self._prior_columns())]
        for name in names:
            if not name.isidentifier():
                raise ValueError(
                    f"priors: name {name!r} must be letters, digits and _; give it another: "
                    "`priors: {NAME: {…}}`",
                )
            if names.count(name) > 1 or name in (*self.sections(), *TOP_LEVEL):
                raise ValueError(
                    f"priors: {name!r} is the name of another modality or prior; give it another",
                )

    def sections(self) -> dict[str, ModalitySpec]:
        """All modalities by name: clinical, expression, further ones, slides."""
        named: dict[str, ModalitySpec | None] = {
            "clinical": self.clinical,
            "expression": self.expression,
            **self.modalities,
            "slides": self.slides,
        }
        return {name: section for name, section in named.items() if section is not None}

    def _prior_columns(self) -> list[tuple[str, PriorSpec]]:
        """Columns of tables that declare `role: prior_risk`."""
        columns = []
        for section in self.sections().values():
            if not isinstance(section, TableSpec):
                continue
            for name, column in (section.columns or {}).items():
                if column.role == "prior_risk":
                    prior = PriorSpec(
                        table=section.table,
                        column=name,
                        patient=section.patient,
                        missing=(*section.missing, *column.missing),
                        label=column.label,
                    )
                    columns.append((name, prior))
        return columns

    def prior_sections(self) -> dict[str, PriorSpec]:
        """All priors by name: those of `priors` and columns with `role: prior_risk`."""
        return {**self.priors, **dict(self._prior_columns())}

    def with_priors(self, priors: Mapping[str, PriorSpec]) -> CohortSpec:
        """Copy this with more priors.

        Raises
        ------
        ConfigError
            When one has the name of another modality or prior.
        """
        for name in priors:
            if name in self.sections() or name in self.prior_sections():
                raise ConfigError(
                    f"prior {name!r}: the cohort file has a modality or prior of this name; "
                    "leave one of them out, or give this one another name under `priors:`",
                )
        return self.model_copy(update={"priors": {**self.priors, **priors}})

    def bag_sections(self) -> dict[str, SlidesSpec]:
        """Bag modalities by name."""
        bags = {}
        for name, section in self.sections().items():
            if isinstance(section, SlidesSpec):
                bags[name] = section
        return bags

    @property
    def id_column(self) -> str:
        """Column of patient ids where a section names none: the outcome's."""
        return "patient_id" if self.outcome is None else self.outcome.patient

    def file(self, name: str) -> str:
        """The file of a modality or prior: table, matrix or store; empty where it has none."""
        prior = self.prior_sections().get(name)
        if prior is not None:
            return str(prior.table or prior.weights or prior.prior)
        section = self.sections().get(name)
        if isinstance(section, ExpressionSpec):
            return str(section.path)
        if isinstance(section, TableSpec):
            return str(section.table)
        return "" if section is None else str(section.table or section.packed)


def load_spec(path: Path | str) -> CohortSpec:
    """Read and check a cohort file.

    Parameters
    ----------
    path : path
        The YAML file.

    Raises
    ------
    ConfigError
        When it is absent, not YAML, not a mapping, or a field is wrong; every
        wrong field is named.
    """
    values = read_yaml(path, as_text=True)
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"{path}: expected a mapping with name, outcome and modalities, got "
            f"{type(values).__name__}",
        )
    refuse_blanks(values, str(path))
    return build(CohortSpec, values, where=str(path))
