"""Names of models in words."""

from __future__ import annotations

from collections.abc import Callable

from survfuse.figures.formatting import loss

FUSIONS_IN_WORDS = {
    "anchored": "anchored stack",
    "late_cox": "late fusion",
    "ridge_cox": "ridge Cox",
    "sparse_cox": "sparse Cox",
    "kaplan_meier": "Kaplan–Meier, no variables",
}


def model_title(name: str) -> str:
    """Name of a model in words, from its key in the tables of a run; a foreign name stays.

    >>> model_title("default:anchored"), model_title("paper:pairwise")
    ('anchored stack', 'network, pairwise fusion (as in the paper)')
    >>> model_title("ridge:clinical"), model_title("km")
    ('clinical variables alone (ridge Cox)', 'Kaplan–Meier, no variables')
    >>> model_title("late:-clinical"), model_title("late:all")
    ('late fusion without clinical', 'late fusion of all modalities')
    >>> model_title("network:slides"), model_title("permuted:slides")
    ('the model with slides alone', 'the model given slides of other patients')
    """
    if name == "km":
        return FUSIONS_IN_WORDS["kaplan_meier"]
    kind, _, what = name.partition(":")
    titled = _TITLES.get(kind)
    return titled(what) if titled and what else name


def _of_fusion(fusion: str) -> str:
    title = FUSIONS_IN_WORDS.get(fusion)
    return title or f"network, {fusion.replace('_', ' ')} fusion"


def _ridge(what: str) -> str:
    if "+" in what:
        return f"{_modalities(what)} in one table (ridge Cox)"
    named = "clinical variables" if what == "clinical" else what
    return f"{named} alone (ridge Cox)"


def _late(what: str) -> str:
    if what.startswith("-"):
        return f"late fusion without {what[1:]}"
    return f"late fusion of {'all modalities' if what == 'all' else _modalities(what)}"


def _part(what: str) -> str:
    if what.startswith("-"):
        return f"the model without {what[1:].replace('-', ' and ')}"
    return f"the model with {what} alone"


def _modalities(what: str) -> str:
    *first, last = what.split("+")
    return f"{', '.join(first)} and {last}" if first else last


_TITLES: dict[str, Callable[[str], str]] = {
    "default": _of_fusion,
    "paper": lambda what: f"{_of_fusion(what)} (as in the paper)",
    "ridge": _ridge,
    "late": _late,
    "network": _part,
    "permuted": "the model given {} of other patients".format,
    "seed": "the model, seed {}".format,
    "removed": lambda what: f"the model, {loss('removed', what)}",
    "only": lambda what: f"the model, {loss('only', what, within_sentence=True)}",
    "missing": lambda what: f"the model, {loss('missing', what, within_sentence=True)}",
}
