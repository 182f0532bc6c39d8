"""What a person gives to draft a cohort file from, and the card of a format that they come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from survfuse._errors import ConfigError
from survfuse._gate import boundary
from survfuse.drafts.draft import Draft
from survfuse.drafts.tables import split_sheet

_NAMED = ("outcome", "clinical", "expression", "features", "slides")


@dataclass(frozen=True)
class Given:
    """Files and folders that a person named; None where they named none.

    Attributes
    ----------
    outcome, clinical, expression : Path or None
        Tables; of some formats the outcome is a folder.
    features : Path or None
        Folder of feature files.
    slides : Path or None
        Folder of slide images.
    study : Path or None
        Folder of the cohort file that is drafted; its name is the cohort's.
    tables : tuple of Path
        Further tables, each a modality of its file's name.
    """

    outcome: Path | None = None
    clinical: Path | None = None
    expression: Path | None = None
    features: Path | None = None
    slides: Path | None = None
    study: Path | None = None
    tables: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Name of the cohort."""
        return "my-study" if self.study is None else self.study.resolve().name

    @property
    def is_empty(self) -> bool:
        """Whether nothing is named but the study."""
        return not (self.tables or any(getattr(self, name) for name in _NAMED))

    def absolute(self) -> Given:
        """Copy this with absolute paths; refuses those that do not exist."""
        paths: dict[str, Any] = {}
        for name in _NAMED:
            path: Path | None = getattr(self, name)
            paths[name] = None if path is None else _existing(path, name)
        paths["tables"] = tuple(_existing(path, "table") for path in self.tables)
        return replace(self, **paths)


def _existing(path: Path, name: str) -> Path:
    file = split_sheet(path)[0]
    with boundary(file, "a file or folder that can be read"):
        exists = file.exists()
    if not exists:
        raise ConfigError(f"--{name} {path}: no such file or folder")
    return path.absolute()


@dataclass(frozen=True)
class Format:
    """Everything about one format.

    Attributes
    ----------
    name : str
        The word of `--format`.
    what : str
        What it is, in one line.
    needs : str
        Which files to name, in one line.
    draft : callable
        Makes a draft of the files.
    takes : tuple of str
        Names of :class:`Given` that it uses; others are refused.
    """

    name: str
    what: str
    needs: str
    draft: Callable[[Given], Draft]
    takes: tuple[str, ...] = (*_NAMED, "tables")

    def refuse_unused(self, given: Given) -> None:
        """Refuse files that this format does not look at, rather than leave them out unsaid.

        Raises
        ------
        ConfigError
            Naming the options, and those that it takes.
        """
        options = {name: f"--{name}" for name in _NAMED} | {"tables": "--table"}
        unused = [
            option
            for name, option in options.items()
            if getattr(given, name) and name not in self.takes
        ]
        if unused:
            raise ConfigError(
                f"--format {self.name} does not look at {' and '.join(unused)}; it takes "
                f"{self.needs}. Leave it out and add its section to the cohort file",
            )
