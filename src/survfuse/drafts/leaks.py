"""Columns of a draft that are the outcome by their content: written out, with the reason."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

from survfuse._errors import InputError
from survfuse.cohort.cohort import read_cohort
from survfuse.cohort.leakage import Leak
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.guess import Choice, Guess


def put_leaks(draft: Draft) -> None:
    """Mark the columns of tables that give the outcome away as `use: false`.

    Parameters
    ----------
    draft : Draft
        Blanks whose answers are listed are filled with the first one for the search: a column
        that parts the patients by their status does so whichever status is the event.
    """
    tables = _tables(draft)
    for leak in _find(draft, tables):
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


def _find(draft: Draft, tables: Mapping[str, Section]) -> list[Leak]:
    """Leaks of the tables for each endpoint; none where they cannot be read yet."""
    if not tables:
        return []
    leaks: list[Leak] = []
    for outcome in _outcomes(draft):
        probe = Draft(name="probe")
        if "match" in draft.items:
            probe.items["match"] = draft.items["match"]
        probe.items["outcome"] = _filled(outcome)
        for name, section in tables.items():
            place = probe if name == "clinical" else probe.section("modalities")
            place.items[name] = _filled(section)
        if not probe.blanks():
            leaks += _leaks_of(probe)
    return leaks


def _leaks_of(probe: Draft) -> tuple[Leak, ...]:
    with tempfile.TemporaryDirectory(prefix="survfuse-init-") as folder:
        path = Path(folder) / "cohort.yaml"
        path.write_text(probe.to_yaml(), encoding="utf-8")
        try:
            cohort, _ = read_cohort(path)
        except InputError:
            return ()
    return () if cohort is None else cohort.leaks


def _outcomes(draft: Draft) -> list[Section]:
    several = draft.items.get("outcomes")
    if isinstance(several, Section):
        return [item for item in several.items.values() if isinstance(item, Section)]
    one = draft.items.get("outcome")
    return [one] if isinstance(one, Section) else []


def _filled(section: Section) -> Section:
    """Copy a section with the first answer to each blank; months where the unit is open."""
    copy = Draft(items=deepcopy(section.items))
    for place, blank in copy.blanks().items():
        if blank.choices:
            copy.fill(place, blank.choices[0])
        elif place == "unit":
            copy.fill(place, Choice("months", "unit", "months"))
    return Section(copy.items)
