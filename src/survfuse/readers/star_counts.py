"""A folder of gene counts as the Genomic Data Commons (GDC) gives them: one file per sample.

Each file lists, for every gene, its id, symbol and type, reads by strand, TPM and FPKM. Files lie
in the folder or, as `gdc-client` downloads them, each in a folder of its own. Their names are no
samples; the GDC's sample sheet beside them says which sample each is.

References
----------
https://docs.gdc.cancer.gov/Data/Bioinformatics_Pipelines/Expression_mRNA_Pipeline/
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from survfuse._errors import InputError, listed
from survfuse._gate import refuse_claim
from survfuse.readers.matrices import NamedMatrix, TextChoices, text_matrix
from survfuse.readers.table_files import read_table
from survfuse.readers.table_rows import rows_of

COLUMNS = {
    "counts": "unstranded",
    "tpm": "tpm_unstranded",
    "fpkm": "fpkm_unstranded",
}
"""The column that holds the values of a unit."""
_NAMES = {"ensembl": "gene_id", "symbol": "gene_name"}
_ENDINGS = (".tsv", ".tsv.gz")
_SHEET = "gdc_sample_sheet"


def star_files(folder: Path) -> list[Path]:
    """List the files of counts in a folder; none where it is no folder or holds JSON files."""
    if not folder.is_dir() or any(folder.glob("*.json")):
        return []
    files = [*folder.glob("*.tsv*"), *folder.glob("*/*.tsv*")]
    return sorted(
        file
        for file in files
        if file.name.endswith(_ENDINGS) and not file.name.startswith((_SHEET, "."))
    )


def read_star_counts(
    folder: Path,
    unit: str,
    genes: str,
    missing: Collection[str],
) -> NamedMatrix:
    """Read one column of each file: samples in rows, genes in columns.

    Samples are named by the column `Sample ID` of the sample sheet (``gdc_sample_sheet*.tsv`` in
    the folder), and without one by the name of their file up to the first dot.

    Parameters
    ----------
    folder : Path
    unit : {"counts", "tpm", "fpkm"}
    genes : {"ensembl", "symbol"}
    missing : collection of str
        Cells that mean "not known".

    Raises
    ------
    InputError
        On another unit or kind of ids, a file that is none of the GDC's or lists other genes than
        the first, or one that the sample sheet does not name.
    """
    if unit not in COLUMNS or genes not in _NAMES:
        raise InputError(
            f"{folder}: files of the GDC hold counts, tpm and fpkm of ensembl ids and symbols, not "
            f"{unit} of {genes}; correct `unit` or `genes`",
        )
    files = star_files(folder)
    samples = _samples(folder, files)
    columns: list[str] = []
    values = np.empty((0, 0))
    for place, file in enumerate(files):
        matrix = _read(file, COLUMNS[unit], _NAMES[genes], missing)
        if not columns:
            columns = matrix.rows
            refuse_claim(folder, len(files) * len(columns) * 8)
            values = np.empty((len(files), len(columns)))
        if matrix.rows != columns:
            raise InputError(
                f"{file}: lists other genes than {files[0].name}; give files of one release",
            )
        values[place] = matrix.values[:, 0]
    # summaries of reads (N_unmapped) have no symbol
    named = [place for place, gene in enumerate(columns) if gene]
    return NamedMatrix(samples, [columns[place] for place in named], values[:, named])


def _read(
    file: Path,
    column: str,
    names: str,
    missing: Collection[str],
) -> NamedMatrix:
    """Read one column of one file; it has rows without a symbol, which sum reads up."""
    choices = TextChoices(
        names,
        frozenset(missing) | {""},
        suffix=column,
        unnamed=True,
    )
    matrix = text_matrix(file, rows_of(file), choices)
    if column not in matrix.columns:
        raise InputError(
            f"{file}: no column {column!r}, as files of the GDC (STAR - Counts) have; it has "
            f"{listed(map(repr, matrix.columns), 10)}",
        )
    place = matrix.columns.index(column)
    return NamedMatrix(matrix.rows, [column], matrix.values[:, [place]])


def _samples(folder: Path, files: list[Path]) -> list[str]:
    sheets = sorted(folder.glob(f"{_SHEET}*.tsv"))
    if not sheets:
        return [file.name.split(".")[0] for file in files]
    if len(sheets) > 1:
        raise InputError(
            f"{folder}: has several sample sheets ({listed(sheet.name for sheet in sheets)}); keep "
            "one",
        )
    table = read_table(sheets[0], id_column="File Name")
    if "Sample ID" not in table:
        raise InputError(
            f"{sheets[0]}: no column 'Sample ID'; it has {listed(map(repr, table), 20)}",
        )
    known = dict(zip(table["File Name"], table["Sample ID"].str.strip(), strict=True))
    absent = [file.name for file in files if file.name.removesuffix(".gz") not in known]
    absent = [name for name in absent if name not in known]
    if absent:
        raise InputError(
            f"{sheets[0]}: names no sample for {listed(absent)}; get the sheet of these files",
        )
    return [
        known.get(file.name) or known[file.name.removesuffix(".gz")] for file in files
    ]
