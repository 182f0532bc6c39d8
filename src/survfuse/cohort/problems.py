"""What is wrong or doubtful with a cohort, collected instead of stopping at the first."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import pandas as pd

from survfuse._errors import CohortError, InputError, listed

Severity = Literal["error", "warning"]


def allowing(names: Iterable[str]) -> str:
    """Option of train and crossval that lets inputs in by name, to be copied into a shell.

    Parameters
    ----------
    names : iterable of str
        Columns, genes or modalities.
    """
    quoted = []
    for name in names:
        plain = name.isidentifier()
        quoted.append(name if plain else json.dumps(name, ensure_ascii=False))
    option = f"model.inputs.allow_followup=[{','.join(quoted)}]"
    needs_quotes = re.search(r"[ \"']", option)
    return f"--set {shlex.quote(option) if needs_quotes else option}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong (error) or doubtful (warning).

    Attributes
    ----------
    severity : "error" or "warning"
        An error stops :func:`~survfuse.cohort.load_cohort`; a warning is kept.
    where : str
        The section of the cohort file it belongs to ("outcome", "clinical", ...).
    message : str
        What was expected and what came.
    patient, file, column : str
        Where exactly; empty when it concerns no single one. Several patients are
        named as "P1, P2 and 3 more".
    hint : str
        What to do about it.
    """

    severity: Severity
    where: str
    message: str
    patient: str = ""
    file: str = ""
    column: str = ""
    hint: str = ""

    def __str__(self) -> str:
        text = self.where
        if self.file:
            text += f", file {self.file}"
        if self.column:
            text += f", column {self.column!r}"
        if self.patient:
            text += f", patient {self.patient}"
        hint = f" ({self.hint})" if self.hint else ""
        return f"{text.removeprefix(', ')}: {self.message}{hint}"


class Problems:
    """Collects problems while a cohort is read."""

    def __init__(self) -> None:
        self._all: list[Problem] = []

    def at(
        self,
        where: str,
        file: os.PathLike[str] | str = "",
        column: str = "",
    ) -> Place:
        """Where a problem is: a section of the cohort file, and perhaps its file and column."""
        return Place(self, where, str(file), column)

    def add(self, problems: Iterable[Problem]) -> None:
        """Add problems that are already described."""
        self._all.extend(problems)

    @contextmanager
    def catch(self, where: str) -> Iterator[None]:
        """Turn a passing :class:`InputError` into an error problem and go on after the block."""
        try:
            yield
        except InputError as error:
            self.at(where).error(str(error))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Those that stop the cohort from being used."""
        return tuple(problem for problem in self._all if problem.severity == "error")

    def all(self) -> tuple[Problem, ...]:
        """All problems, errors first, otherwise in the order in which they were added."""
        return tuple(sorted(self._all, key=lambda problem: problem.severity != "error"))

    def raise_errors(self, cohort_file: os.PathLike[str] | str) -> None:
        """Raise one error that lists all errors.

        Raises
        ------
        CohortError
            When there is at least one error.
        """
        errors = self.errors
        if errors:
            plural = "s" if len(errors) > 1 else ""
            lines = "\n".join(f"  - {problem}" for problem in errors)
            raise CohortError(f"{cohort_file}: {len(errors)} problem{plural}\n{lines}")


@dataclass(frozen=True)
class Place:
    """A section of the cohort file, a file and a column of which problems are reported."""

    problems: Problems
    where: str
    file: str = ""
    column: str = ""

    def error(
        self,
        message: str,
        *,
        patients: Iterable[str] = (),
        hint: str = "",
    ) -> None:
        """Add something that must change before the cohort can be used."""
        self.report(
            "error",
            message,
            patients=patients,
            hint=hint,
        )

    def warning(
        self,
        message: str,
        *,
        patients: Iterable[str] = (),
        hint: str = "",
    ) -> None:
        """Add something that a person should look at."""
        self.report(
            "warning",
            message,
            patients=patients,
            hint=hint,
        )

    def report(
        self,
        severity: Severity,
        message: str,
        *,
        patients: Iterable[str] = (),
        hint: str = "",
    ) -> None:
        """Add a problem of this place; `patients` are those that it concerns."""
        names = listed(patients)
        problem = Problem(
            severity,
            self.where,
            message,
            names,
            self.file,
            self.column,
            hint,
        )
        self.problems.add([problem])


def problems_frame(problems: Iterable[Problem]) -> pd.DataFrame:
    """Tabulate problems, one row each, with the fields of :class:`Problem` as columns."""
    columns = ["severity", "where", "patient", "file", "column", "message", "hint"]
    return pd.DataFrame([asdict(problem) for problem in problems], columns=columns)
