"""The reference of every field: docs/configuration.md, and the docstring of a model."""

from __future__ import annotations

import textwrap
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

from survfuse.config.fit_config import (
    PRESETS,
    FitConfig,
    parameters_of,
    preset_values,
)
from survfuse.config.frozen import Frozen
from survfuse.config.run_config import RunConfig
from survfuse.config.sections import PARAMETER_NAMES, PARAMETERS, SECTIONS

HEAD = ["| field | default | reason; presets that differ |", "|---|---|---|"]


def to_markdown(cls: type[Frozen] = RunConfig, prefix: str = "") -> str:
    """Write each field, its default and its reason, as one table for each section."""
    rows, sections = list(HEAD), []
    for name, field in cls.model_fields.items():
        path = f"{prefix}{name}"
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Frozen):
            sections.append(to_markdown(kind, f"{path}."))
            continue
        reason = " ".join((field.description or "").split()).replace("|", "\\|")
        text = " ".join([reason, *_differing_presets(path)])
        rows.append(f"| `{path}` | `{_yaml_text(field.default)}` | {text} |")
    tables = ["\n".join(rows)] if len(rows) > len(HEAD) else []
    return "\n\n".join([*tables, *sections])


def renamed_markdown() -> str:
    """Write the parameters whose name is not that of their field."""
    rows = ["| field | parameter |", "|---|---|"]
    for path, name in PARAMETER_NAMES.items():
        if path.partition(".")[2] != name:
            rows.append(f"| `model.{path}` | `{name}` |")
    return "\n".join(rows)


def _differing_presets(path: str) -> list[str]:
    """Value of a model's field in each preset that gives one."""
    top, _, field = path.partition(".")
    if top != "model":
        return []
    name = PARAMETER_NAMES.get(field, field)
    values = []
    for preset in PRESETS:
        recipe = parameters_of(preset_values(preset))
        if name in recipe:
            values.append(f"`{preset}`: {_yaml_text(recipe[name])}")
    return values


def _yaml_text(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True).split("\n")[0]


def parameters_numpydoc() -> str:
    """Write each parameter of a model, its type, its default and its reason, as numpydoc does."""
    values, lines = FitConfig().parameters(), []
    for name, default in values.items():
        kind, description = _parameter_field(name)
        lines.append(f"{name} : {_type_text(kind)}, default {default!r}")
        text = " ".join([" ".join(description.split()), *_preset_texts(name)])
        lines += textwrap.wrap(
            text,
            92,
            initial_indent="    ",
            subsequent_indent="    ",
        )
    return "\n".join(lines)


def _parameter_field(name: str) -> tuple[Any, str]:
    """Type of a parameter and its description."""
    section, _, field = PARAMETERS.get(name, name).partition(".")
    cls: type[Frozen] = FitConfig
    if field:
        cls = SECTIONS[section]
    info = cls.model_fields[field or section]
    return info.annotation, info.description or ""


def _type_text(kind: Any) -> str:
    """A type for people: ``int or None``, ``{'a', 'b'}``, ``tuple of int``.

    >>> _type_text(int | None), _type_text(Literal["a", "b"]), _type_text(tuple[int, ...])
    ('int or None', "{'a', 'b'}", 'tuple of int')
    """
    arguments = [one for one in get_args(kind) if one is not Ellipsis]
    origin = get_origin(kind)
    if kind is NoneType:
        return "None"
    if origin is Literal:
        return "{" + ", ".join(map(repr, arguments)) + "}"
    if origin is Annotated:
        return _type_text(arguments[0])
    if origin in {Union, UnionType}:
        return " or ".join(map(_type_text, arguments))
    if origin is tuple:
        return "tuple of " + " and ".join(dict.fromkeys(map(_type_text, arguments)))
    if origin is not None:
        return "mapping of " + " to ".join(map(_type_text, arguments))
    return str(kind.__name__)


def _preset_texts(name: str) -> list[str]:
    """What a parameter is in each preset that gives it."""
    texts = []
    for preset in PRESETS:
        recipe = parameters_of(preset_values(preset))
        if name in recipe:
            texts.append(f"Preset {preset!r}: {recipe[name]!r}.")
    return texts
