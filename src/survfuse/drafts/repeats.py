"""Rows of one patient and columns of one gene that stand several times: a person says the rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from survfuse._errors import listed
from survfuse.cohort.patient_ids import is_normal
from survfuse.drafts.draft import Section
from survfuse.drafts.guess import Choice, Guess
from survfuse.drafts.ids import participant
from survfuse.drafts.tables import GivenTable
from survfuse.readers.genes import plain_name

_ROWS = (
    Choice("the mean of the rows", "rows", "mean"),
    Choice("the first row", "rows", "first"),
)


def ask_rows(
    section: Section,
    table: GivenTable,
    patient: str,
) -> None:
    """Ask what becomes of patients whose rows differ in the columns that are used.

    Parameters
    ----------
    section : Section
        With its `columns`.
    table : GivenTable
    patient : str
        Column of patient ids.
    """
    used = []
    for name, item in section.section("columns").items.items():
        spec = item.value if isinstance(item, Guess) else None
        if isinstance(spec, dict) and spec.get("use", True):
            used.append(name)
    if not used:
        return
    rows = table.frame[used].groupby(table.frame[patient].map(participant))
    differ = [
        str(one) for one, count in rows.nunique().max(axis=1).items() if count > 1
    ]
    if differ:
        evidence = f"rows of {len(differ)} patients differ, such as {listed(differ, 2)}"
        section.ask("rows", "mean or first", *_ROWS, evidence=evidence)


def ask_samples(section: Section, patients: Sequence[str]) -> None:
    """Ask what becomes of patients of whom a matrix has several samples, normal tissue aside."""
    tumours = [one for one in patients if not is_normal(one)]
    counts = Counter(map(participant, tumours))
    several = [one for one, count in counts.items() if count > 1]
    if several:
        evidence = f"{len(several)} patients have several samples, such as {listed(several, 2)}"
        section.ask("rows", "mean or first", *_ROWS, evidence=evidence)


def ask_duplicates(section: Section, genes: Sequence[str], kind: str) -> None:
    """Ask what becomes of genes that stand in several columns."""
    counts = Counter(plain_name(gene, kind) for gene in genes)
    twice = [gene for gene, count in counts.items() if count > 1]
    if twice:
        rules = ("mean", "max", "sum", "first")
        section.ask(
            "duplicates",
            "mean, max, sum or first",
            *(
                Choice(f"the {rule} of its columns", "duplicates", rule)
                for rule in rules
            ),
            evidence=f"{len(twice)} genes stand several times: {listed(twice, 3)}",
        )
