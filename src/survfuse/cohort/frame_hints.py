"""Hints that speak of a cohort file, as arguments of ``Cohort.from_frames``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import yaml

from survfuse.cohort.problems import Problem, Problems

_MAPPING = re.compile(r"\b(time|event|censored|event_values): (\{[^{}]*\})")
_MISSING = re.compile(r"\b[\w.]+\.missing: (\[.*\])$")
_WORD = re.compile(r"`(rows|orientation|match): (\w+)`")
_PLAIN = {
    "set outcome.exclude_invalid: true": "say exclude_invalid=True",
    "`exclude:` of the cohort file": "`exclude=`",
}


class FrameProblems(Problems):
    """Collects problems of tables in memory, their hints written as Python."""

    def add(self, problems: Iterable[Problem]) -> None:
        """Add problems that are already described."""
        super().add(replace(one, hint=as_python(one.hint)) for one in problems)


def as_python(hint: str) -> str:
    """Write the lines of a cohort file that a hint names as arguments.

    >>> as_python("list every word: event_values: {alive: 0, dead: 1}")
    "list every word: event_values={'alive': 0, 'dead': 1}"
    >>> as_python("add it to clinical.missing: [NA, x]")
    "add it to missing=['NA', 'x']"
    """
    for old, new in _PLAIN.items():
        hint = hint.replace(old, new)
    hint = _WORD.sub(r"`\1='\2'`", hint)
    hint = _MISSING.sub(lambda found: f"missing={_texts(found[1])!r}", hint)
    return _MAPPING.sub(_argument, hint)


def _texts(written: str) -> object:
    """Read YAML with every scalar as text."""
    return yaml.load(written, Loader=yaml.BaseLoader)


def _argument(found: re.Match[str]) -> str:
    value = _texts(found[2])
    if found[1] == "event_values" and isinstance(value, dict):
        bits = {"0": 0, "1": 1}  # anything else stands for what the user must say
        value = {text: bits.get(bit, bit) for text, bit in value.items()}
    return f"{found[1]}={value!r}"
