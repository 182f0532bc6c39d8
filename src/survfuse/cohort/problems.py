"""What is wrong or doubtful with a cohort, collected instead of stopping at the first."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
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
    quoted = [
        name if name.isidentifier() else json.dumps(name, ensure_ascii=False)
        for name in names
    ]
    given = f"model.inputs.allow_followup=[{','.join(quoted)}]"
    return (
        f"--set {shlex.quote(given) if {' ', chr(34), chr(39)} & set(given) else given}"
    )


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
        place = [
            self.where,
            f"file {self.file}" if self.file else "",
            f"column {self.column!r}" if self.column else "",
            f"patient {self.patient}" if self.patient else "",
        ]
        tail = f" ({self.hint})" if self.hint else ""
        return f"{', '.join(part for part in place if part)}: {self.message}{tail}"


class Problems:
    """Collects problems while a cohort is read."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def error(
        self,
        where: str,
        message: str,
        *,
        patients: Iterable[str] = (),
        file: Path | str = "",
        column: str = "",
        hint: str = "",
    ) -> None:
        """Add something that must change before the cohort can be used."""
        self._found.append(
            Problem("error", where, message, listed(patients), str(file), column, hint),
        )

    def warning(
        self,
        where: str,
        message: str,
        *,
        patients: Iterable[str] = (),
        file: Path | str = "",
        column: str = "",
        hint: str = "",
    ) -> None:
        """Add something that a person should look at."""
        self._found.append(
            Problem(
                "warning",
                where,
                message,
                listed(patients),
                str(file),
                column,
                hint,
            ),
        )

    def add(self, problems: Iterable[Problem]) -> None:
        """Add problems that are already described."""
        self._found.extend(problems)

    @contextmanager
    def catch(self, where: str) -> Iterator[None]:
        """Turn a passing :class:`InputError` into an error problem and go on after the block."""
        try:
            yield
        except InputError as error:
            self.error(where, str(error))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Those that stop the cohort from being used."""
        return tuple(problem for problem in self._found if problem.severity == "error")

    def all(self) -> tuple[Problem, ...]:
        """Everything found, errors first, otherwise in the order found."""
        return tuple(
            sorted(self._found, key=lambda problem: problem.severity != "error"),
        )

    def raise_errors(self, cohort_file: Path | str) -> None:
        """Raise one error that lists every error found.

        Raises
        ------
        CohortError
            When there is at least one error.
        """
        if not self.errors:
            return
        count = len(self.errors)
        lines = "\n".join(f"  - {problem}" for problem in self.errors)
        raise CohortError(
            f"{cohort_file}: {count} problem{'s' if count > 1 else ''}\n{lines}",
        )


def problems_frame(problems: Iterable[Problem]) -> pd.DataFrame:
    """Tabulate problems, one row each, with the fields of :class:`Problem` as columns."""
    columns = ["severity", "where", "patient", "file", "column", "message", "hint"]
    return pd.DataFrame([asdict(problem) for problem in problems], columns=columns)
