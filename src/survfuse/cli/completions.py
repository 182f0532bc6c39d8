"""What the Tab key offers after an option; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

PRESETS = ("default", "paper")
EXECUTORS = ("inline", "process", "ray")
SPLITS = ("patients", "whole_sites", "leave_one_site_out")
INTERVALS = ("influence", "nadeau_bengio", "bootstrap")


def one_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Completion of a value that is one of some names."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def settings(incomplete: str) -> list[str]:
    """Fields of a run configuration, as ``--set`` takes them, such as ``model.network.rank=``."""
    from survfuse.config import RunConfig

    return [f"{path}=" for path in _paths(RunConfig) if path.startswith(incomplete)]


def _paths(section: type, prefix: str = "") -> list[str]:
    """Paths of the fields of a section and of the sections in it."""
    paths = []
    for name, field in section.model_fields.items():  # type: ignore[attr-defined]
        kind = field.annotation
        if hasattr(kind, "model_fields"):
            paths += _paths(kind, f"{prefix}{name}.")
        else:
            paths.append(f"{prefix}{name}")
    return paths
