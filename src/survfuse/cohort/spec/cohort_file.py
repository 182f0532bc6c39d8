"""A cohort file as a whole: its sections, and what must agree between them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from survfuse._errors import ConfigError
from survfuse._yaml import read_yaml
from survfuse.cohort.blanks import refuse_blanks
from survfuse.cohort.spec.base import Section
from survfuse.cohort.spec.endpoint import OutcomeSpec
from survfuse.cohort.spec.groups import FoldsSpec, GroupSpec
from survfuse.cohort.spec.patient_column import Match, PatientColumn
from survfuse.cohort.spec.priors import PriorSpec, as_priors
from survfuse.cohort.spec.slides import SlidesSpec
from survfuse.cohort.spec.tables import ExpressionSpec, TableSpec
from survfuse.config import build

TOP_LEVEL = ("clinical", "expression", "slides")

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
    match: Match | None = None
    """Form of the ids of every table, matrix and slide table, where a section says none."""
    outcome: OutcomeSpec | None = None
    """The endpoint; needed for training and evaluation."""
    outcomes: dict[str, OutcomeSpec] = Field(default_factory=dict)
    """Several endpoints by name, in place of `outcome`; one is chosen when the cohort is loaded."""
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
            as_priors,
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
        self._check_outcomes()
        self._check_priors()
        return self

    def _check_outcomes(self) -> None:
        """Refuse `outcome` beside `outcomes`, unless it is the chosen one of them."""
        if self.outcomes and self.outcome not in (None, *self.outcomes.values()):
            raise ValueError(
                "say `outcome` for one endpoint or `outcomes` for several, not both",
            )
        for name in self.outcomes:
            if not name.isidentifier():
                raise ValueError(
                    f"outcomes: name {name!r} must be letters, digits and _",
                )

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
                        rows=section.rows,
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

    def endpoints(self) -> tuple[OutcomeSpec, ...]:
        """All endpoints, the chosen one first."""
        others = [one for one in self.outcomes.values() if one != self.outcome]
        return (*others,) if self.outcome is None else (self.outcome, *others)

    @property
    def answers(self) -> tuple[str, ...]:
        """Columns of all endpoints, which are never inputs."""
        columns: dict[str, None] = {}
        for endpoint in self.endpoints():
            columns |= dict.fromkeys(endpoint.columns)
        return tuple(columns)

    @property
    def patient(self) -> PatientColumn:
        """Column of patient ids where a section names none: the outcome's."""
        for endpoint in self.endpoints():
            return endpoint.patient
        return PatientColumn(column="patient_id")

    def choose(
        self,
        endpoint: str | None,
        *,
        required: bool = True,
    ) -> CohortSpec:
        """Copy this with one of its endpoints as the outcome.

        Parameters
        ----------
        endpoint : str or None
            Its name under `outcomes`. None takes the only one.
        required : bool
            False leaves the outcome open where there are several and none is named.

        Raises
        ------
        ConfigError
            When there is none of this name, or several and none is named.
        """
        names = list(self.outcomes)
        if endpoint is None and len(names) == 1:
            (endpoint,) = names
        if endpoint is None:
            if names and self.outcome is None and required:
                raise ConfigError(
                    f"cohort {self.name!r} has {len(names)} endpoints, {', '.join(names)}; "
                    f"choose one: `--endpoint {names[0]}`, or endpoint={names[0]!r} in Python",
                )
            return self
        if endpoint not in self.outcomes:
            known = f"it has {', '.join(names)}"
            if not names:
                known = (
                    "it has one `outcome:` and no `outcomes:`; leave the endpoint out"
                )
            raise ConfigError(
                f"cohort {self.name!r} has no endpoint {endpoint!r}; {known}",
            )
        chosen = self.outcomes[endpoint]
        label = {"endpoint": chosen.endpoint or endpoint}
        outcomes = {**self.outcomes, endpoint: chosen.model_copy(update=label)}
        update = {"outcome": outcomes[endpoint], "outcomes": outcomes}
        return self.model_copy(update=update)

    @property
    def chosen(self) -> str | None:
        """Name of the chosen one of several endpoints; None where there are no `outcomes`."""
        names = [name for name, one in self.outcomes.items() if one == self.outcome]
        return names[0] if names else None

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
