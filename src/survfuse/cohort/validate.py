"""Look at a cohort before using it: every problem at once, and what is there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import astuple, dataclass
from pathlib import Path

import pandas as pd

from survfuse._errors import ConfigError
from survfuse._notebook import html_table
from survfuse.cohort.cohort import read_cohort
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.labels import label_problems
from survfuse.cohort.leakage import leak_problems
from survfuse.cohort.problems import Problem, Problems, problems_frame

SHOWN = 8
"""Problems and doubts that a notebook shows."""
__all__ = ["Inspection", "Problem", "inspect", "inspect_cohort"]


@dataclass(frozen=True, repr=False)
class Inspection:
    """A cohort and its problems.

    Attributes
    ----------
    cohort : Cohort or None
        None when there are errors.
    problems : tuple of Problem
        Errors first, then warnings.
    tables : mapping of name to DataFrame
        `modalities` (modality, kind, patients, features, missing_share, note),
        `patterns` (modalities, patients, events, follow_up_median), `flow` (step, patients, events,
        note) and `problems`; as far as the data could be read.
    """

    cohort: Cohort | None
    problems: tuple[Problem, ...]
    tables: dict[str, pd.DataFrame]

    def __repr__(self) -> str:
        return "\n".join([f"Inspection: {self._headline}", *self._doubts])

    def _repr_html_(self) -> str:
        columns, rows = ["modality", "kind", "patients", "features"], []
        if "modalities" in self.tables:
            rows = self.tables["modalities"][columns].to_numpy(object).tolist()
        return html_table(f"Inspection: {self._headline}", columns, rows, self._doubts)

    @property
    def _headline(self) -> str:
        """Whether the cohort can be used, and how many problems there are."""
        severities = [problem.severity for problem in self.problems]
        counts = f"{severities.count('error')} errors, {severities.count('warning')} warnings"
        if self.cohort is None:
            return f"cannot be used; {counts}"
        return f"{len(self.cohort)} patients, {self.cohort.events} events; {counts}"

    @property
    def _doubts(self) -> list[str]:
        """The first problems, and the checks that doubt the data."""
        lines = [f"{one.severity}: {one}" for one in self.problems]
        if "checks" in self.tables:
            for row in self.tables["checks"].to_dict("records"):
                if row["status"] in {"failed", "warning"}:
                    lines.append(f"{row['id']} {row['status']}: {row['evidence']}")
        if len(lines) > SHOWN:
            lines[SHOWN:] = [
                f"and {len(lines) - SHOWN} more: .tables['problems'], ['checks']"
            ]
        return lines

    @property
    def ok(self) -> bool:
        """Whether the cohort can be used."""
        return self.cohort is not None


def inspect(
    path: Path | str,
    *,
    need_outcome: bool = True,
    allow_followup: Collection[str] = (),
    verify: bool = False,
    priors: Collection[Path | str] = (),
    endpoint: str | None = None,
) -> Inspection:
    """Read a cohort and collect every problem instead of stopping at the first.

    Parameters
    ----------
    path : path
        The cohort file.
    need_outcome : bool
        As in :func:`~survfuse.cohort.load_cohort`.
    allow_followup : collection of str
        Columns known only during follow-up, declared or by their content, that will be allowed as
        inputs; any other is an error.
    verify : bool
        Whether to hash every file of features, and every slide of a packed store, again.
    priors, endpoint
        As in :func:`~survfuse.cohort.load_cohort`.

    Returns
    -------
    Inspection
        Also when the cohort file itself is wrong: then that is the one problem.
    """
    try:
        cohort, problems = read_cohort(
            path,
            need_outcome=need_outcome,
            allow_followup=allow_followup,
            refuse_followup=True,
            verify=verify,
            priors=priors,
            endpoint=endpoint,
        )
    except ConfigError as error:
        problem = Problem("error", "cohort file", str(error), file=str(path))
        return Inspection(None, (problem,), {"problems": problems_frame([problem])})
    if cohort is not None and need_outcome:
        problems.add(leak_problems(cohort, allow_followup))
    if cohort is not None:
        problems.add(label_problems(cohort))
    return _inspection(cohort, problems)


def inspect_cohort(
    cohort: Cohort,
    allow_followup: Collection[str] = (),
) -> Inspection:
    """Inspect a cohort that is in memory, as :func:`inspect` does a file."""
    problems = Problems()
    problems.add(cohort.problems)
    if cohort.outcome is not None:
        problems.add(leak_problems(cohort, allow_followup))
    problems.add(label_problems(cohort))
    return _inspection(cohort, problems)


def _inspection(
    cohort: Cohort | None,
    problems: Problems,
) -> Inspection:
    """The tables of a cohort beside its problems."""
    tables = {"problems": problems_frame(problems.all())}
    if cohort is not None:
        tables["modalities"] = cohort.summary()
        tables["patterns"] = cohort.patterns()
        columns = ["step", "patients", "events", "note"]
        flow = map(astuple, cohort.flow)
        tables["flow"] = pd.DataFrame(flow, columns=columns)
    return Inspection(None if problems.errors else cohort, problems.all(), tables)
