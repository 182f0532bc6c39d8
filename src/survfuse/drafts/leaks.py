"""Columns of a draft that are the outcome by their content: written out, with the reason."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path

from survfuse._errors import InputError
from survfuse.cohort.cohort import read_cohort
from survfuse.cohort.leakage import Leak
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.guess import Blank, Choice, Guess


def put_leaks(draft: Draft) -> None:
    """Mark the columns of clinical tables that give the outcome away as `use: false`.

    Parameters
    ----------
    draft : Draft
        Blanks whose answers are listed are filled with the first one for the search: a column
        that parts the patients by their status does so whichever status is the event.
    """
    if "clinical" not in draft.items:
        return
    columns = draft.section("clinical").section("columns")
    for leak in _find(draft):
        item = columns.items.get(leak.column)
        if leak.modality != "clinical" or not isinstance(item, Guess):
            continue
        if leak.grade == "possible" or not isinstance(item.value, dict):
            continue
        value = {**item.value, "known": "followup", "use": False}
        reason = f"the outcome under another name: it {leak.evidence}"
        columns.add(leak.column, value, reason, certain=leak.grade == "certain")


def _find(draft: Draft) -> tuple[Leak, ...]:
    """Leaks of the clinical columns for each endpoint; none where the draft cannot be read yet."""
    leaks: list[Leak] = []
    for outcome in _outcomes(draft):
        probe = Draft(name="probe")
        if "match" in draft.items:
            probe.items["match"] = draft.items["match"]
        probe.items["outcome"] = _filled(outcome)
        probe.items["clinical"] = draft.items["clinical"]
        if probe.blanks():
            continue
        with tempfile.TemporaryDirectory(prefix="survfuse-init-") as folder:
            path = Path(folder) / "cohort.yaml"
            path.write_text(probe.to_yaml(), encoding="utf-8")
            try:
                cohort, _ = read_cohort(path)
            except InputError:
                continue
        leaks += [] if cohort is None else cohort.leaks
    return tuple(leaks)


def _outcomes(draft: Draft) -> list[Section]:
    several = draft.items.get("outcomes")
    if isinstance(several, Section):
        return [item for item in several.items.values() if isinstance(item, Section)]
    one = draft.items.get("outcome")
    return [one] if isinstance(one, Section) else []


def _filled(outcome: Section) -> Section:
    """Copy an outcome with the first answer to each blank; months where the unit is open."""
    copy = Draft(items=deepcopy(outcome.items))
    for place, blank in copy.blanks().items():
        if blank.choices:
            copy.fill(place, blank.choices[0])
        elif place == "unit":
            copy.fill(place, Choice("months", "unit", "months"))
    return Section(copy.items)


def open_blanks(draft: Draft) -> dict[str, Blank]:
    """Blanks that have a few answers, by their place."""
    return {place: blank for place, blank in draft.blanks().items() if blank.choices}
