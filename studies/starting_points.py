"""What a person types to get from files as they are to a cohort that validates, before and after.

Before: the cohort file that is drafted today, written by hand in the words that the older version
knows, beside tables that a script of one's own had to make. After: `init`, or a few lines by hand.

    git worktree add /tmp/before ce05a9d
    python studies/starting_points.py --before /tmp/before/src -o studies/starting_points.md
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from starting_points import POINTS, StartingPoint  # noqa: E402

MADE = ("patients.csv", "slides.csv", "expression.csv")
NEW_FIELDS = ("match", "duplicates", "rows")
HEADER = (
    "| starting point | before: lines by hand | script of one's own for | validate "
    "| after: commands | lines edited | validate |\n|---|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True)
class Version:
    """A version of survfuse, by the folder of its source."""

    source: Path

    def run(self, *words: object) -> tuple[int, str]:
        """Run a command; returns its exit code and what it printed."""
        paths = [str(self.source), *filter(None, sys.path[1:])]
        ended = subprocess.run(
            [sys.executable, "-m", "survfuse", *map(str, words)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "250"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    def validate(self, file: Path, *options: str) -> str:
        """Say how `validate` ended: its warnings, or its first error."""
        code, text = self.run("validate", file, *options)
        if code == 0:
            count = re.search(r"(\d+) warnings", text)
            return f"passes, warnings: {count[1]}" if count else "passes"
        lines = [line for line in text.splitlines() if line.strip()]
        first = next((line for line in lines if "error" in line.casefold()), lines[-1])
        if first.endswith(":"):
            first += " " + lines[lines.index(first) + 1].strip()
        plain = re.sub(r"(/[^\s:,]*/)", "", first).replace("|", "/")
        return f"exit {code}: {plain[:110]}"


def in_older_words(spec: dict[str, Any]) -> dict[str, Any]:
    """Write a cohort file without what the older version does not know."""
    older = {}
    for name, value in spec.items():
        if name == "outcomes":
            older["outcome"] = _older(next(iter(value.values())))
        elif name not in NEW_FIELDS:
            older[name] = _older(value)
    return older


def _older(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "file" in value:
        return value["file"]
    fields = {}
    for name, one in value.items():
        if name == "time" and isinstance(one, dict):
            first = one.get("first_of", one.get("to"))
            fields[name] = first[0] if isinstance(first, list) else first
        elif name not in NEW_FIELDS:
            fields[name] = _older(one)
    return fields


def before(point: StartingPoint, drafted: Path, version: Version) -> list[str]:
    """Cells of the table: lines by hand, tables by a script, how `validate` ends."""
    spec = yaml.load(drafted.read_text(), Loader=yaml.BaseLoader)
    text = yaml.safe_dump(
        in_older_words(spec),
        sort_keys=False,
        width=10_000,
        default_flow_style=None,  # what has no further levels stands on one line
    )
    folder = drafted.parent.with_name("older")
    if point.by_hand:
        folder = drafted.parent
    folder.mkdir(exist_ok=True)
    made = (
        []
        if point.by_hand
        else [name for name in MADE if drafted.with_name(name).exists()]
    )
    for name in made:
        shutil.copy(drafted.with_name(name), folder)
    file = folder / "older.yaml"
    file.write_text(text)
    lines = len(text.splitlines())
    return [str(lines), ", ".join(made) or "–", version.validate(file)]


def study(old: Version, new: Version) -> str:
    """Make the table, as Markdown."""
    rows = []
    for point in POINTS:
        with tempfile.TemporaryDirectory() as place:

            def run(*words: object) -> int:
                return new.run(*words)[0]

            file = point.prepare(Path(place), run)
            commands = "validate" if point.by_hand else "init, validate"
            after = [commands, str(point.lines), new.validate(file, *point.choice())]
            rows.append([point.name, *before(point, file, old), *after])
        print(rows[-1], file=sys.stderr)
    return HEADER + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--before", type=Path, required=True, help="source of the older version"
    )
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    table = study(Version(given.before), Version(ROOT / "src"))
    print(table)
    if given.out is not None:
        given.out.write_text(table)


if __name__ == "__main__":
    main()
