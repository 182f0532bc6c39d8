"""The models that a user compares on the same folds: the one in question, and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from survfuse._errors import ConfigError, listed
from survfuse.config import FitConfig
from survfuse.estimator import SurvivalFusion
from survfuse.estimators.other_model import OtherModel
from survfuse.evaluation.candidates import Candidate

Other = FitConfig | OtherModel


@dataclass(frozen=True)
class ComparedModels:
    """One model in question, and others on the same folds.

    Attributes
    ----------
    name : str
        Of the model in question: the first :class:`SurvivalFusion`.
    config : FitConfig
        Its configuration.
    others : mapping of name to FitConfig or OtherModel
    """

    name: str
    config: FitConfig
    others: Mapping[str, Other] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: Any,
        name: str | None = None,
    ) -> ComparedModels:
        """Read one model, a sequence of models, or a mapping of names to models.

        Raises
        ------
        ConfigError
            Without a `SurvivalFusion`, for something that is no estimator, and for two models of
            one name.
        """
        named = _named(model)
        own = next((n for n, (_, one) in enumerate(named) if is_own(one)), None)
        if own is None:
            raise ConfigError(
                f"expected a SurvivalFusion among the models, got {listed(n for n, _ in named)}; "
                "add the one that the others are to be compared with, such as SurvivalFusion()",
            )
        title, main = named.pop(own)
        title = name or title
        titles = [title, *(one for one, _ in named)]
        if not all(titles):
            raise ConfigError(
                "a model has an empty name; give it one that tables can show"
            )
        same = sorted({one for one in titles if titles.count(one) > 1})
        if same:
            raise ConfigError(
                f"two models are called {same[0]!r}; give names: cross_validate({{'a': model, "
                "'b': other}, cohort)",
            )
        others = {label: _other(one, label, main.config, title) for label, one in named}
        return cls(title, main.config, others)

    def candidates(self) -> list[Candidate]:
        """The others, to be fitted on the folds of the model."""
        candidates = []
        for name, one in self.others.items():
            if isinstance(one, OtherModel):
                candidates.append(
                    Candidate(name, one.config, "other", simple=True, other=one)
                )
            else:
                candidates.append(Candidate(name, one, "other", simple=True))
        return candidates

    def notes(self) -> list[str]:
        """What the other models are, and which of them draw other numbers each time."""
        notes = []
        for name, one in self.others.items():
            if not isinstance(one, OtherModel):
                given = FitConfig().parameters()
                changed = {k: v for k, v in one.parameters().items() if v != given[k]}
                text = ", ".join(f"{key}={value!r}" for key, value in changed.items())
                notes.append(f"on the same folds: {name}: SurvivalFusion({text})")
                continue
            notes.append(f"on the same folds: {name}: {one!r}")
            if one.is_random():
                notes.append(
                    f"{name}: random_state is None, so its numbers differ from run to run",
                )
        return notes


def _other(one: Any, label: str, main: FitConfig, title: str) -> Other:
    """A further model; it may read the follow-up columns that the main one may, and no others."""
    own = is_own(one)
    model: Any = one if own or isinstance(one, OtherModel) else OtherModel(one)
    allowed = main.inputs.allow_followup
    more = sorted(set(model.config.inputs.allow_followup) - set(allowed))
    if more:
        raise ConfigError(
            f"{label}: allow_followup names {listed(map(repr, more))}, which {title!r} does not "
            f"allow; all models are compared on the same inputs: give it to {title!r} too",
        )
    inputs: dict[str, Any] = {"allow_followup": allowed}
    if own:
        config: FitConfig = model.config.model_copy(update=inputs)
        return config
    other: OtherModel = model.with_inputs(seed=main.training.seed, **inputs)
    return other


def is_own(model: Any) -> bool:
    """Whether a model is one of ours."""
    return isinstance(model, SurvivalFusion)


def _named(model: Any) -> list[tuple[str, Any]]:
    """Models with their names, in their order."""
    if isinstance(model, Mapping):
        return [(str(name), one) for name, one in model.items()]
    models = list(model) if isinstance(model, Sequence) else [model]
    named = []
    for one in models:
        if is_own(one):
            name = f"{one.config.preset}:{one.config.fusion}"
        else:
            name = one.name if isinstance(one, OtherModel) else type(one).__name__
        named.append((name, one))
    return named
