"""A draft of a cohort file: fields in order, each with its evidence, and blanks to fill."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from survfuse._errors import printable
from survfuse.cohort.blanks import BLANK
from survfuse.cohort.status_column import quoted
from survfuse.drafts.guess import Blank, Choice, Guess

_COLUMN = 48  # of a comment
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./-]*|\.\.?/[A-Za-z0-9_./-]*")

Item = Guess[object] | Blank


@dataclass(frozen=True)
class Row:
    """One field of a draft, for a table.

    Attributes
    ----------
    field : str
        Where it stands: `outcome.unit`.
    value : str
        As it stands in the file.
    evidence : str
    state : "certain", "check" or "fill in"
    """

    field: str
    value: str
    evidence: str
    state: str


@dataclass
class Section:
    """A mapping of a cohort file under construction; fields keep the order in which they came.

    Attributes
    ----------
    items : dict of str to Guess, Blank or Section
    notes : list of str
        Comments below its fields, such as which columns were left out.
    """

    items: dict[str, Item | Section] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        key: str,
        value: object,
        evidence: str = "",
        *,
        certain: bool = True,
    ) -> None:
        """Write a field, in place of one of that name."""
        self.items[key] = Guess(value, evidence, certain)

    def put(self, key: str, item: Item) -> None:
        """Write a guess or leave a blank."""
        self.items[key] = item

    def ask(
        self,
        key: str,
        what: str,
        *choices: Choice,
        evidence: str = "",
    ) -> None:
        """Leave a blank that a person must fill."""
        self.items[key] = Blank(what, choices, evidence)

    def section(self, key: str) -> Section:
        """Return the section of that name, made where it is not there."""
        item = self.items.setdefault(key, Section())
        if not isinstance(item, Section):
            raise TypeError(f"{key} is a field, not a section")
        return item

    def note(self, text: str) -> None:
        """Add a comment below the fields."""
        self.notes.append(text)

    def walk(self, prefix: str = "") -> Iterator[tuple[str, str, Section]]:
        """Every field: its place in the file, its name, and the section that holds it."""
        for key, item in self.items.items():
            place = f"{prefix}{key}"
            if isinstance(item, Section):
                yield from item.walk(f"{place}.")
            else:
                yield place, key, self


@dataclass
class Draft(Section):
    """A cohort file under construction.

    Attributes
    ----------
    name : str
        Name of the cohort.
    title : list of str
        Comments above all fields.
    tables : dict of str to str
        Texts of further files by name, such as a slide table made from names of files.
    """

    name: str = "my-study"
    title: list[str] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)

    def blanks(self) -> dict[str, Blank]:
        """Blanks by their place in the file, such as `outcome.unit`."""
        blanks = {}
        for place, key, section in self.walk():
            item = section.items[key]
            if isinstance(item, Blank):
                blanks[place] = item
        return blanks

    def fill(self, place: str, choice: Choice) -> None:
        """Write an answer in place of a blank.

        Raises
        ------
        KeyError
            When there is no such field.
        """
        for field_place, key, section in self.walk():
            if field_place != place:
                continue
            items: dict[str, Item | Section] = {}
            for name, item in section.items.items():
                if name == key:
                    items[choice.key] = Guess(
                        choice.value, f"answered: {choice.answer}"
                    )
                else:
                    items[name] = item
            section.items = items
            return
        raise KeyError(place)

    def rows(self, folder: Path | None = None) -> list[Row]:
        """Every field with its evidence, for a table."""
        rows = []
        for place, key, section in self.walk():
            item = section.items[key]
            if isinstance(item, Blank):
                rows.append(
                    Row(
                        place,
                        BLANK,
                        "; ".join(filter(None, (item.what, item.evidence))),
                        "fill in",
                    )
                )
            elif isinstance(item, Guess):
                state = "certain" if item.certain else "check"
                rows.append(
                    Row(place, as_flow(item.value, folder), item.evidence, state)
                )
        return rows

    def to_yaml(self, folder: Path | None = None) -> str:
        """Write the cohort file.

        Parameters
        ----------
        folder : path or None
            Folder of the cohort file: paths below its parent are written relative to it, others
            absolute.
        """
        lines = [f"# {_one_line(text)}" for text in self.title]
        lines.append(f"name: {quoted(self.name)}")
        for key, item in self.items.items():
            if isinstance(item, Section):
                lines.append("")
            lines += _lines(key, item, 0, folder)
        lines += [f"# {_one_line(text)}" for text in self.notes]
        return "\n".join(lines) + "\n"


def _lines(
    key: str,
    item: Item | Section,
    depth: int,
    folder: Path | None,
) -> list[str]:
    """Lines of one field or section."""
    indent = "  " * depth
    if isinstance(item, Section):
        lines = [f"{indent}{quoted(key)}:"]
        for name, one in item.items.items():
            lines += _lines(name, one, depth + 1, folder)
        return lines + [f"{indent}  # {_one_line(text)}" for text in item.notes]
    if isinstance(item, Blank):
        value, comment = quoted(f"{BLANK} {_one_line(item.what)}"), item.evidence
    else:
        value, comment = as_flow(item.value, folder), item.evidence
        if not item.certain:
            comment = f"check: {comment}" if comment else "check"
    line = f"{indent}{quoted(key)}: {value}"
    return [f"{line:<{_COLUMN}} # {_one_line(comment)}" if comment else line]


def as_flow(value: object, folder: Path | None = None) -> str:
    """Write a value as YAML on one line.

    >>> as_flow({"kind": "ordinal", "levels": ["T1", "T2"], "missing": ["-1"]})
    '{kind: ordinal, levels: [T1, T2], missing: ["-1"]}'
    """
    if isinstance(value, Mapping):
        pairs = [
            f"{quoted(str(key))}: {as_flow(one, folder)}" for key, one in value.items()
        ]
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_flow(one, folder) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, Path):
        text = _place(value, folder)
        return text if _PLAIN_PATH.fullmatch(text) else quoted(text)
    return quoted(str(value))


def _place(path: Path, folder: Path | None) -> str:
    """Path as the cohort file writes it: relative where it lies below the folder's parent."""
    if folder is None or not path.is_absolute():
        return path.as_posix()
    root = Path(os.path.abspath(folder))
    if path.is_relative_to(root.parent):
        return Path(os.path.relpath(path, root)).as_posix()
    return path.as_posix()


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
