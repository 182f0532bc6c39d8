"""The reference of every field as Markdown: docs/configuration.md."""

from __future__ import annotations

from typing import Any

import yaml

from survfuse.config.fit_config import PRESETS, parameters_of, preset_values
from survfuse.config.frozen import Frozen
from survfuse.config.run_config import RunConfig
from survfuse.config.sections import PARAMETER_NAMES

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
