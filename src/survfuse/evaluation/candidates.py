"""The models that are compared on the same splits: the model, its baselines and its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from survfuse._errors import ConfigError
from survfuse.cohort.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.estimators import (
    Estimator,
    FoldContext,
    calibrated,
    foreign_code,
    make_estimator,
)
from survfuse.estimators.fitted import described, searched
from survfuse.estimators.other_model import OtherEstimator, OtherModel
from survfuse.evaluation.controls import (
    permuted_predictions,
    selected_on_test,
    with_permuted_outcomes,
)
from survfuse.evaluation.explanations import terms_of_fold
from survfuse.evaluation.missing_inputs import predictions_with_loss
from survfuse.prediction import Prediction

Role = Literal["model", "baseline", "increment", "control", "seed", "other"]
"""Why a candidate runs: it is evaluated (`model`), it must be beaten (`baseline`), it lacks one
modality (`increment`), it must fail or must not be believed (`control`), it is the
model with another seed (`seed`), or a user wants it compared (`other`)."""

Control = Literal["permuted_outcome", "selected_on_test"]
"""What is wrong with a control on purpose."""

SELECTED_ON_TEST = "selected on the test fold"
PERMUTED_OUTCOME = "trained on permuted outcomes"


@dataclass(frozen=True)
class FoldResult:
    """What one candidate gives on one fold.

    Attributes
    ----------
    prediction : Prediction
        Of the test patients.
    summary : mapping
        What was learned: plain values, for JSON.
    also : mapping of name to Prediction
        Predictions of the same fit for the same patients under other inputs (a modality
        permuted, something missing), by the names that they have in tables.
    terms : mapping of name to sequence of float, or None
        Terms of the log-risks (`survfuse.evaluation.explanations`), where they were asked for.
    """

    prediction: Prediction
    summary: Mapping[str, Any]
    also: Mapping[str, Prediction] = field(default_factory=dict)
    terms: Mapping[str, Sequence[float]] | None = None


@dataclass(frozen=True)
class Candidate:
    """A configuration under a name, to be fitted and tested on splits.

    Attributes
    ----------
    name : str
        In tables.
    config : FitConfig
    role : Role
    permute : bool
        Also predict with each modality permuted among the test patients, under the
        names ``permuted:<modality>``: the same fit, no refit.
    lose : bool
        Also predict with modalities and clinical values missing
        (`survfuse.evaluation.missing_inputs`): the same fit again.
    explain : bool
        Also split the log-risks into terms.
    simple : bool
        A baseline: without drift and without notes on its inputs, which are the model's too.
    control : Control or None
        Of the role "control".
    other : OtherModel or None
        A model of another package, which is fitted in place of that of `config`.

    Raises
    ------
    ValueError
        When the role is "control" without a `control`, or the other way round.
    """

    name: str
    config: FitConfig
    role: Role = "model"
    permute: bool = False
    lose: bool = False
    explain: bool = False
    simple: bool = False
    control: Control | None = None
    other: OtherModel | None = None

    def __post_init__(self) -> None:
        if (self.role == "control") != (self.control is not None):
            raise ValueError(
                f"{self.name}: role {self.role!r} with control {self.control!r}",
            )

    @property
    def modalities(self) -> tuple[str, ...] | None:
        """Modalities that it reads; None for all of the cohort's."""
        return self.config.inputs.modalities

    def identity(self) -> dict[str, Any]:
        """Everything that the predictions depend on besides patients and data."""
        return {
            "control": self.control,
            "code": foreign_code(self.config),
            "permute": self.permute,
            "lose": self.lose,
            "explain": self.explain,
            "simple": self.simple,
            "config": self.config.identity(),
            **({} if self.other is None else {"other": self.other.identity()}),
        }

    def fit_predict(
        self,
        fold: FoldContext,
        test: Sequence[str],
        target: Cohort | None = None,
    ) -> FoldResult:
        """Fit on the training patients of a fold, predict `test`.

        Parameters
        ----------
        fold : FoldContext
        test : sequence of str
        target : Cohort, optional
            Cohort that the test patients belong to (external validation); the fold's by
            default. Its outcomes are not read.

        Raises
        ------
        ConfigError
            With a target, of the control that is selected on the test fold.
        """
        where = target or fold.cohort
        if self.control == "selected_on_test":
            if where is not fold.cohort:
                raise ConfigError(
                    f"{self.name!r} is measured by cross-validation within one cohort, "
                    "not on a target",
                )
            return FoldResult(*selected_on_test(fold, test, self.config))
        if self.control == "permuted_outcome":
            fold = with_permuted_outcomes(fold, self.config.training.seed)
        config, log = searched(fold, self.config)
        fit = self._estimator(config).fit(fold)
        if self.simple:
            fitted = calibrated(fold, fit, config)
            source = fitted.source(where, test)
            prediction = fitted.prediction(test, fitted.model.log_risk(source))
            return FoldResult(prediction, fitted.summary)
        fitted = described(fold, fit, config, log)
        source = fitted.source(where, test)
        prediction = fitted.predict(where, test, source)
        also: dict[str, Prediction] = {}
        if self.permute:
            also |= permuted_predictions(fitted, prediction, source)
        if self.lose:
            also |= predictions_with_loss(fitted, prediction, where, source)
        terms = terms_of_fold(fold, fit, config, source) if self.explain else None
        return FoldResult(prediction, fitted.summary, also, terms)

    def _estimator(self, config: FitConfig) -> Estimator:
        if self.other is not None:
            return OtherEstimator(config, self.other)
        return make_estimator(config)


def baseline(
    name: str,
    fusion: str,
    modalities: tuple[str, ...],
    config: FitConfig,
    role: Role = "baseline",
) -> Candidate:
    """Make a baseline: the default inputs of some modalities, whatever the model's are."""
    own = FitConfig.of(
        fusion=fusion,
        modalities=modalities,
        allow_followup=config.inputs.allow_followup,
        seed=config.training.seed,
        calibration="km" if fusion == "kaplan_meier" else "breslow_oof",
        device="cpu",
    )
    return Candidate(name, own, role, simple=True)


def comparators(
    cohort: Cohort,
    config: FitConfig,
    *,
    networks: bool,
    controls: bool = False,
    seeds: int = 0,
    quick: bool = False,
) -> list[Candidate]:
    """Everything that runs on the same folds as a model, clinical first.

    The clinical table's ridge Cox is the baseline that every model must beat; it runs
    whether or not the model reads that table.

    Parameters
    ----------
    cohort : Cohort
    config : FitConfig
        Of the model.
    networks : bool
        Also the model on each modality alone, and without each.
    controls : bool
        Also the model trained on permuted outcomes, and, where epochs are trained, selected on
        the test fold; each costs about as much as the model.
    seeds : int
        How many times the model is fitted again with another seed.
    quick : bool
        Of the simple baselines only the clinical one and the late fusion of everything.
    """
    used = modalities_used(cohort, config)
    clinical = [m for m, data in cohort.modalities.items() if data.kind == "clinical"]
    names = tuple(dict.fromkeys([*clinical, *used]))
    if quick:
        candidates = _quick_baselines(clinical, names, config)
    else:
        candidates = _simple_baselines(cohort, names, config)
    if networks and len(used) > 1:
        for name in used:
            own = config.model_copy(update={"modalities": (name,)})
            candidates.append(Candidate(f"network:{name}", own, "baseline"))
        # Of two modalities, the model without one is the model of the other.
        for name in used if len(used) > 2 else ():
            less = config.model_copy(update={"modalities": _without(used, name)})
            candidates.append(Candidate(f"network:-{name}", less, "increment"))
    if controls:
        permuted = Candidate(
            PERMUTED_OUTCOME,
            config,
            "control",
            control="permuted_outcome",
        )
        candidates.append(permuted)
        if make_estimator(config).trains_epochs:
            chosen = Candidate(
                SELECTED_ON_TEST,
                config,
                "control",
                control="selected_on_test",
            )
            candidates.append(chosen)
    for number in range(1, seeds + 1):
        # A fit takes several seeds, so the next one starts after them.
        seed = config.training.seed + number * make_estimator(config).seed_count()
        seed %= 2**32
        other = config.model_copy(update={"seed": seed})
        candidates.append(Candidate(f"seed:{seed}", other, "seed"))
    return candidates


def modalities_used(
    cohort: Cohort,
    config: FitConfig,
) -> tuple[str, ...]:
    """Modalities of the cohort that a model reads, clinical first."""
    names = []
    for name in cohort.modalities:
        if config.inputs.modalities is None or name in config.inputs.modalities:
            names.append(name)
    return tuple(
        sorted(names, key=lambda name: cohort.modalities[name].kind != "clinical"),
    )


def _quick_baselines(
    clinical: Sequence[str],
    names: tuple[str, ...],
    config: FitConfig,
) -> list[Candidate]:
    """Ridge Cox of the clinical tables, and the late fusion of everything."""
    candidates = []
    for name in clinical:
        candidates.append(baseline(f"ridge:{name}", "ridge_cox", (name,), config))
    if len(names) > 1:
        candidates.append(baseline("late:all", "late_cox", names, config))
    return candidates


def _simple_baselines(
    cohort: Cohort,
    names: tuple[str, ...],
    config: FitConfig,
) -> list[Candidate]:
    """Kaplan-Meier, ridge Cox of each modality, and simple fusions."""
    candidates = [baseline("km", "kaplan_meier", (), config)]
    for name in names:
        candidates.append(baseline(f"ridge:{name}", "ridge_cox", (name,), config))
    return candidates + _fusion_baselines(cohort, names, config)


def _fusion_baselines(
    cohort: Cohort,
    names: tuple[str, ...],
    config: FitConfig,
) -> list[Candidate]:
    """Early fusion of clinical and other vectors; late fusions of these, all, and all but one."""
    kinds = {name: cohort.modalities[name].kind for name in names}
    vectors = tuple(name for name in names if kinds[name] != "bag")
    candidates, seen = [], set()
    if len(vectors) > 1 and "clinical" in kinds.values():
        name = "+".join(vectors)
        candidates.append(baseline(f"ridge:{name}", "ridge_cox", vectors, config))
        candidates.append(baseline(f"late:{name}", "late_cox", vectors, config))
        seen.add(frozenset(vectors))
    late: list[tuple[str, tuple[str, ...], Role]] = [("late:all", names, "baseline")]
    for name in names:
        late.append((f"late:-{name}", _without(names, name), "increment"))
    for title, modalities, role in late:
        if len(modalities) > 1 and frozenset(modalities) not in seen:
            seen.add(frozenset(modalities))
            candidates.append(baseline(title, "late_cox", modalities, config, role))
    return candidates


def _without(
    names: Sequence[str],
    one: str,
) -> tuple[str, ...]:
    return tuple(name for name in names if name != one)
