"""The report's texts: YAML files of Jinja templates, rendered with the facts of a run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from survfuse._errors import listed
from survfuse._yaml import parse_yaml
from survfuse.figures import formatting
from survfuse.report.model_names import NO_LABELS, model_title
from survfuse.survival.estimate import rounded

NOT_RECORDED = "not recorded by this run"


def load(name: str) -> Any:
    """Read a file of texts."""
    path = files("survfuse.report") / "texts" / name
    return parse_yaml(path.read_text(encoding="utf-8"), name)


SECTIONS: dict[str, str] = load("sections.yaml")


@cache
def environment(*, autoescape: bool) -> Environment:
    """Jinja environment with the filters of the report; HTML is escaped, plain text is not."""
    jinja = Environment(
        loader=PackageLoader("survfuse.report", "templates"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=autoescape,
        lstrip_blocks=autoescape,
    )
    for name in (
        "number",
        "difference",
        "count",
        "percent",
        "p_value",
        "duration",
        "plain",
    ):
        jinja.filters[name] = getattr(formatting, name)
    jinja.filters |= {
        "plural": formatting.plural,
        "label": formatting.label,
        "loss": formatting.loss,
        "listed": listed,
        "pairs": pairs,
        "why": why,
        "share": share,
        "model": titled,
    }
    jinja.globals |= {
        "interval": formatting.interval,
        "not_recorded": NOT_RECORDED,
        "sections": SECTIONS,
        "loss_groups": formatting.GROUPS_OF_LOSS,
    }
    jinja.tests |= {"known": formatting.known, "bounded": formatting.bounded}
    return jinja


@pass_context
def titled(context: Context, name: str) -> str:
    """Name of a model in words, with the words for modalities that the facts hold as `labels`."""
    return model_title(name, context.get("labels") or NO_LABELS)


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Render a text; runs of white space become one space."""
    return " ".join(
        environment(autoescape=False).from_string(template).render(facts).split(),
    )


def sentence(name: str, **facts: Any) -> str:
    """Render a sentence of ``verdicts.yaml``."""
    return render(load_verdicts()[name], facts)


@cache
def load_verdicts() -> Any:
    """Read ``verdicts.yaml`` once."""
    return load("verdicts.yaml")


def pairs(values: Mapping[Any, Any] | None) -> str:
    """Write names and values: "splits 0, model 2021"."""
    return ", ".join(f"{name} {value}" for name, value in (values or {}).items())


def share(value: Any) -> str:
    """Write a share of 0 to 1 as a percentage that rounding does not move onto 50%.

    >>> share(0.7071), share(0.4988)
    ('71%', '49.9%')
    """
    text = rounded(float(value), 2)
    return f"{100 * float(text):.{len(text.partition('.')[2]) - 2}f}%"


def why(note: Any) -> str:
    """Write why a number is missing.

    >>> why("no events"), why(None)
    ('not computable: no events', 'not computable: no reason was recorded')
    """
    text = str(note or "").strip().removeprefix("not computable").lstrip(": ")
    return f"not computable: {text or 'no reason was recorded'}"
