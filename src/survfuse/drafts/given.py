"""What a person gives to draft a cohort file from, and the card of a format that they come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from survfuse._errors import ConfigError
from survfuse.drafts.draft import Draft


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
    """

    outcome: Path | None = None
    clinical: Path | None = None
    expression: Path | None = None
    features: Path | None = None
    slides: Path | None = None
    study: Path | None = None

    @property
    def name(self) -> str:
        """Name of the cohort."""
        return "my-study" if self.study is None else self.study.resolve().name

    @property
    def is_empty(self) -> bool:
        """Whether nothing is named but the study."""
        named = (
            self.outcome,
            self.clinical,
            self.expression,
            self.features,
            self.slides,
        )
        return not any(named)

    def absolute(self) -> Given:
        """Copy this with absolute paths; refuses those that do not exist."""
        paths = {}
        for one in fields(self):
            path: Path | None = getattr(self, one.name)
            if path is not None and one.name != "study" and not path.exists():
                raise ConfigError(f"--{one.name} {path}: no such file or folder")
            paths[one.name] = None if path is None else Path(path).absolute()
        return Given(**paths)


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
    """

    name: str
    what: str
    needs: str
    draft: Callable[[Given], Draft]
