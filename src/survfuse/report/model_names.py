"""Names of models in words."""

from __future__ import annotations

from collections.abc import Callable

from survfuse.cohort.labels import Labels
from survfuse.figures.formatting import loss

FUSION_TITLES = {
    "anchored": "anchored stack",
    "late_cox": "late fusion",
    "ridge_cox": "ridge Cox",
    "sparse_cox": "sparse Cox",
    "kaplan_meier": "Kaplan–Meier, no variables",
}
NO_LABELS = Labels()
Naming = Callable[[str], str]
"""Word for a modality."""


def model_title(name: str, labels: Labels = NO_LABELS) -> str:
    """Name of a model in words, from its key in the tables of a run; a foreign name stays.

    >>> model_title("default:anchored"), model_title("paper:pairwise")
    ('anchored stack', 'network, pairwise fusion (as in the paper)')
    >>> model_title("ridge:clinical"), model_title("km")
    ('clinical variables alone (ridge Cox)', 'Kaplan–Meier, no variables')
    >>> model_title("late:-clinical"), model_title("late:all")
    ('late fusion without clinical', 'late fusion of all modalities')
    >>> model_title("network:slides"), model_title("permuted:slides")
    ('the model with slides alone', 'the model given slides of other patients')
    >>> model_title("late:-slides", Labels({("slides",): "tissue microarray"}))
    'late fusion without tissue microarray'
    """
    if name == "km":
        return FUSION_TITLES["kaplan_meier"]
    kind, _, what = name.partition(":")
    titled = _TITLES.get(kind)
    return titled(what, labels.modality) if titled and what else name


def _fusion(fusion: str, label: Naming) -> str:
    title = FUSION_TITLES.get(fusion)
    return title or f"network, {fusion.replace('_', ' ')} fusion"


def _ridge(what: str, label: Naming) -> str:
    if "+" in what:
        return f"{_modalities(what, label)} in one table (ridge Cox)"
    named = label(what)
    return f"{'clinical variables' if named == 'clinical' else named} alone (ridge Cox)"


def _late(what: str, label: Naming) -> str:
    if what.startswith("-"):
        return f"late fusion without {label(what[1:])}"
    named = "all modalities" if what == "all" else _modalities(what, label)
    return f"late fusion of {named}"


def _part(what: str, label: Naming) -> str:
    if what.startswith("-"):
        return f"the model without {' and '.join(map(label, what[1:].split('-')))}"
    return f"the model with {label(what)} alone"


def _lost(kind: str) -> Callable[[str, Naming], str]:
    """Title of the model under a loss, of which only shares of values are no modality."""

    def title(what: str, label: Naming) -> str:
        named = what if kind == "missing" else label(what)
        return f"the model, {loss(kind, named, within_sentence=True)}"

    return title


def _modalities(what: str, label: Naming) -> str:
    *first, last = map(label, what.split("+"))
    return f"{', '.join(first)} and {last}" if first else last


_TITLES: dict[str, Callable[[str, Naming], str]] = {
    "default": _fusion,
    "paper": lambda what, label: f"{_fusion(what, label)} (as in the paper)",
    "ridge": _ridge,
    "late": _late,
    "network": _part,
    "permuted": lambda what, label: f"the model given {label(what)} of other patients",
    "seed": lambda what, label: f"the model, seed {what}",
    **{kind: _lost(kind) for kind in ("removed", "only", "missing")},
}
