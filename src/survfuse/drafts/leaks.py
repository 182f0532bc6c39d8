"""Columns of a draft that are the outcome by their content: written out, with the reason."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

from survfuse._errors import InputError
from survfuse.cohort.cohort import read_cohort
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.leakage import Leak
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.guess import Choice, Guess
from survfuse.drafts.tables import GivenTable


def put_leaks(draft: Draft, slim: Sequence[GivenTable] = ()) -> None:
    """Mark the columns of tables that give the outcome away as `use: false`.

    Parameters
    ----------
    draft : Draft
        Blanks whose answers are listed are filled with the first one for the search: a column
        that parts the patients by their status does so whichever status is the event. Where the
        tables cannot be read yet, a comment says that they were not searched.
    slim : sequence of GivenTable
        Tables without their columns of genes, read in place of the whole ones.
    """
    tables = _tables(draft)
    for leak in _find(draft, tables, slim):
        if leak.modality not in tables or leak.grade == "possible":
            continue
        columns = tables[leak.modality].section("columns")
        item = columns.items.get(leak.column)
        if isinstance(item, Guess) and isinstance(item.value, dict):
            value = {**item.value, "known": "followup", "use": False}
            reason = f"the outcome under another name: it {leak.evidence}"
            columns.add(leak.column, value, reason, certain=leak.grade == "certain")


def _tables(draft: Draft) -> dict[str, Section]:
    """Sections of tables whose columns are declared, by the name of the modality."""
    sections = {"clinical": draft.items.get("clinical")}
    further = draft.items.get("modalities")
    if isinstance(further, Section):
        sections.update(further.items)
    tables = {}
    for name, section in sections.items():
        if isinstance(section, Section) and isinstance(
            section.items.get("columns"), Section
        ):
            tables[name] = section
    return tables


def _find(
    draft: Draft,
    tables: Mapping[str, Section],
    slim: Sequence[GivenTable],
) -> list[Leak]:
    """Leaks of the tables for each endpoint; a comment where they cannot be read yet."""
    leaks: list[Leak] = []
    for outcome in _outcomes(draft) if tables else []:
        probe = Draft(name="probe")
        if "match" in draft.items:
            probe.items["match"] = draft.items["match"]
        probe.items["outcome"] = _filled(outcome, slim)
        for name, section in tables.items():
            place = probe if name == "clinical" else probe.section("modalities")
            place.items[name] = _filled(section, slim)
        open_fields = ", ".join(probe.blanks())
        cohort = None if open_fields else _read(probe, draft.tables, slim)
        if cohort is None:
            why = f"{open_fields} to fill in" if open_fields else "they have errors"
            draft.note(f"columns not searched for the outcome's content: {why}")
            return leaks
        leaks += cohort.leaks
    return leaks


def _read(
    probe: Draft,
    texts: Mapping[str, str],
    slim: Sequence[GivenTable],
) -> Cohort | None:
    """Read a draft with the tables that are written beside it; None where it has errors."""
    with tempfile.TemporaryDirectory(prefix="survfuse-init-") as name:
        folder = Path(name)
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        for number, table in enumerate(slim):
            table.frame.to_csv(folder / _slim_name(number), index=False)
        path = folder / "cohort.yaml"
        path.write_text(probe.to_yaml(), encoding="utf-8")
        try:
            return read_cohort(path)[0]
        except InputError:
            return None


def _slim_name(number: int) -> Path:
    return Path(f".slim{number}.csv")


def _outcomes(draft: Draft) -> list[Section]:
    several = draft.items.get("outcomes")
    if isinstance(several, Section):
        return [item for item in several.items.values() if isinstance(item, Section)]
    one = draft.items.get("outcome")
    return [one] if isinstance(one, Section) else []


def _filled(section: Section, slim: Sequence[GivenTable]) -> Section:
    """Copy a section with the first answer to each blank; months where the unit is open."""
    copy = Draft(items=deepcopy(section.items))
    for place, blank in copy.blanks().items():
        if blank.choices:
            copy.fill(place, blank.choices[0])
        elif place == "unit":
            copy.fill(place, Choice("months", "unit", "months"))
    for number, table in enumerate(slim):
        item = copy.items.get("table")
        if isinstance(item, Guess) and item.value == table.value:
            copy.add("table", _slim_name(number))
    return Section(copy.items)
