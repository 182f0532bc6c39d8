"""Tables of a cohort that lie in memory, read in place of files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._storage import sha256_array, sha256_text
from survfuse.cohort.problems import Problems
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import ExpressionSpec, Match
from survfuse.cohort.table_file import TableFile
from survfuse.readers.cell_text import only_difference
from survfuse.readers.expression import Expression, expression_of
from survfuse.readers.matrices import NamedMatrix


@dataclass
class Memory:
    """What a cohort in memory is made from, by the name that stands for its file.

    Attributes
    ----------
    tables : dict of str to DataFrame of str
        Cells as :func:`~survfuse.cohort.frame_texts.text_table` writes them.
    matrices : dict of str to NamedMatrix
        Of expression.
    stores : dict of str to Path
        Packed stores of bags, which lie in temporary folders.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    matrices: dict[str, NamedMatrix] = field(default_factory=dict)
    stores: dict[str, Path] = field(default_factory=dict)


class MemorySources(Sources):
    """Gives tables in memory where :class:`~survfuse.cohort.sources.Sources` reads files.

    Parameters
    ----------
    memory : Memory
    problems : Problems
        Where problems go.
    match : str, optional
        Form of the ids.
    """

    def __init__(
        self,
        memory: Memory,
        problems: Problems,
        match: Match | None = None,
    ) -> None:
        super().__init__(Path(), problems, match=match)
        self.memory = memory

    def path(self, relative: Path | TableFile) -> Path:
        """Where a packed store lies, or a file that is named beside the tables (a prior)."""
        return self.memory.stores.get(str(relative)) or super().path(relative)

    def read(self, file: TableFile, id_column: str) -> pd.DataFrame:
        """Give a table.

        Raises
        ------
        InputError
            When it lacks the column of ids.
        """
        table = self.memory.tables[str(file)]
        if id_column not in table:
            names = list(table.columns)
            near = only_difference([id_column], names)
            raise InputError(
                f"{file}: no column {id_column!r}; it has {listed(map(repr, names), 20)}"
                f"{'; ' if near else ''}{near}",
            )
        return table

    def expression(self, spec: ExpressionSpec) -> Expression:
        """Check a matrix as one of a file is checked."""
        matrix = self.memory.matrices[str(spec.path)]
        names = sha256_text("\n".join([*matrix.rows, *matrix.columns]))
        return expression_of(
            matrix,
            str(spec.path),
            unit=spec.unit,
            genes=spec.genes,
            sha256=sha256_text(names + sha256_array(matrix.values)),
            orientation=spec.orientation,
            duplicates=spec.duplicates,
            repeated_patients=True,
        )
