"""Files of gene counts of the GDC, one per sample, as one matrix."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from survfuse._errors import ConfigError, InputError, listed
from survfuse._gate import regular_file
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.layout import files_below
from survfuse.drafts.tables import read_given
from survfuse.readers.table_rows import rows_of

ENDING = ".rna_seq.augmented_star_gene_counts.tsv"
_GENE, _COUNT = "gene_id", "unstranded"
_LARGEST = 64 * 2**20
_NORMAL = ("Normal", "normal")
_COLUMNS = ("File Name", "Case ID", "Sample ID", "Sample Type")


def put_counts(draft: Draft, folder: Path) -> None:
    """Write `expression.csv` from files of counts, and name it; a note where there are none.

    One sample per case: primary tumours first, then by the sample's id; normal tissue never.

    Raises
    ------
    ConfigError
        When there are files of counts, but no sample sheet that says whose they are.
    InputError
        When a file has other columns or genes than the first.
    """
    files = {file.name: file for file in files_below(folder, f"*{ENDING}")}
    if not files:
        draft.note(f"no expression: no files *{ENDING} below {folder}")
        return
    sheets = files_below(folder, "gdc_sample_sheet*.tsv")
    if not sheets:
        raise ConfigError(
            f"--format gdc: {folder} has {len(files)} files of counts, but no gdc_sample_sheet.tsv "
            "that says whose they are: the button Sample Sheet of the portal's cart",
        )
    chosen, left_out = _chosen(sheets[0], files)
    draft.tables["expression.csv"] = _matrix(
        {case: files[name] for case, name in chosen.items()}
    )
    section = draft.section("expression")
    section.add(
        "path",
        Path("expression.csv"),
        f"written beside this file from {len(chosen)} files of counts, column {_COUNT}",
    )
    section.add("unit", "counts", "unstranded reads of STAR")
    section.add("genes", "ensembl", "gene_id")
    if left_out:
        section.note(
            f"left out, of normal tissue or a second sample: {listed(left_out, 5)}"
        )


def _chosen(sheet: Path, files: dict[str, Path]) -> tuple[dict[str, str], list[str]]:
    """File name of each case, and samples that are left out."""
    frame = read_given(sheet).frame
    absent = [name for name in _COLUMNS if name not in frame]
    if absent:
        raise ConfigError(f"--format gdc: {sheet}: no column {listed(absent)}")
    rows = frame[frame["File Name"].isin(list(files))].copy()
    for name in ("Case ID", "Sample ID"):
        rows[name] = rows[name].str.split(",").str[0].str.strip()
    rows["other"] = ~rows["Sample Type"].str.startswith("Primary")
    rows = rows.sort_values(["other", "Sample ID"], kind="stable")
    normal = rows["Sample Type"].str.contains("|".join(_NORMAL))
    first = rows[~normal].drop_duplicates("Case ID")
    left_out = sorted(rows.loc[rows.index.difference(first.index), "Sample ID"])
    pairs = zip(first["Case ID"], first["File Name"], strict=True)
    return dict(sorted(pairs)), left_out


def _matrix(files: dict[str, Path]) -> str:
    """Patients by genes, as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    genes: list[str] = []
    for case, file in files.items():
        counts = dict(_counts(file))
        if not genes:
            genes = list(counts)
            writer.writerow(["patient_id", *genes])
        if list(counts) != genes:
            raise InputError(
                f"{file}: has other genes than the files before it ({len(counts)} against "
                f"{len(genes)}); keep files of one workflow in one folder",
            )
        writer.writerow([case, *counts.values()])
    return text.getvalue()


def _counts(file: Path) -> Iterator[tuple[str, str]]:
    """Genes and their reads; summaries of the aligner (N_unmapped) are none."""
    if regular_file(file) > _LARGEST:
        raise InputError(
            f"{file}: more than {_LARGEST} bytes; a file of counts has 4 MB"
        )
    rows = rows_of(file).rows
    _, header = next(rows)
    absent = [name for name in (_GENE, _COUNT) if name not in header]
    if absent:
        raise InputError(f"{file}: no column {listed(absent)}, has {listed(header, 8)}")
    gene, count = header.index(_GENE), header.index(_COUNT)
    for _, cells in rows:
        if not cells[gene].startswith("N_"):
            yield cells[gene], cells[count]
