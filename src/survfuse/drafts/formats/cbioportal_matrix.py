"""Expression of a study of cBioPortal: a row per gene under Hugo symbols, a column per sample."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from survfuse._errors import ConfigError, listed
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.formats.endpoints import put_samples
from survfuse.readers.cell_text import is_number
from survfuse.readers.table_rows import rows_of
from survfuse.readers.units import LINEAR

UNITS = {
    "data_mrna_seq_v2_rsem": ("counts", "RSEM's expected counts, normalised"),
    "data_mrna_seq_rsem": ("counts", "RSEM's expected counts"),
    "data_mrna_seq_read_counts": ("counts", "read counts"),
    "data_mrna_seq_tpm": ("tpm", "TPM"),
    "data_mrna_seq_fpkm": ("fpkm", "FPKM"),
    "data_mrna_seq_rpkm": ("fpkm", "RPKM"),
    "data_mrna_seq_v2_rsem_zscores_ref_all_samples": ("zscore", "z-scores"),
    "data_mrna_seq_v2_rsem_zscores_ref_diploid_samples": ("zscore", "z-scores"),
}
"""Unit of each file that cBioPortal names, in the order in which they are preferred."""
_ENTREZ, _HUGO = "Entrez_Gene_Id", "Hugo_Symbol"
_LOOKED_AT = 20  # samples, for negative values
MADE = Path("expression.csv")


@dataclass(frozen=True)
class _Scan:
    """What a matrix holds, without its numbers.

    Attributes
    ----------
    header : list of str
    genes : list of str
        Hugo symbols; empty where a row has none.
    negative : float
        Share of negative values among the first samples.
    """

    header: list[str]
    genes: list[str]
    negative: float

    @property
    def samples(self) -> list[str]:
        """Columns that are samples."""
        return [name for name in self.header if name not in (_HUGO, _ENTREZ)]


def put_matrix(
    draft: Draft,
    file: Path,
    patient_of: Mapping[str, str] | None,
) -> None:
    """Write the section `expression`.

    Where rows have no symbol, or samples are called otherwise than patients, a matrix is written
    beside the cohort file: the rows with a symbol, and of each patient the first sample.

    Parameters
    ----------
    draft : Draft
    file : path
    patient_of : mapping of str to str or None
        Patient of each sample; None where the cohort file takes patients from barcodes.
    """
    scan = _scan(file)
    owners = _owners(scan.samples, patient_of)
    reasons = []
    if "" in scan.genes:
        reasons.append(f"{scan.genes.count('')} rows have no symbol")
    if patient_of is not None and any(one != owners[one] for one in owners):
        reasons.append(
            "samples are called otherwise than patients; the first of each is taken"
        )
    section = draft.section("expression")
    if reasons:
        draft.tables[MADE.name] = _written(file, scan.header, owners)
        section.add("path", MADE, f"written beside this file: {'; '.join(reasons)}")
    else:
        section.add(
            "path", file, f"{len(scan.genes)} genes, {len(scan.samples)} samples"
        )
    section.add("orientation", "genes_by_patients", "a row per gene")
    section.add("patient", _HUGO, "column of gene ids; Entrez_Gene_Id is left out")
    section.add("genes", "symbol")
    _put_unit(section, file.name.partition(".")[0], scan.negative)
    _put_duplicates(section, [gene for gene in scan.genes if gene])
    if patient_of is None:
        put_samples(section, scan.samples)


def _owners(
    samples: Sequence[str], patient_of: Mapping[str, str] | None
) -> dict[str, str]:
    """Patient of each sample; samples of none are left out."""
    if patient_of is None:
        return {sample: sample for sample in samples}
    return {sample: patient_of[sample] for sample in samples if sample in patient_of}


def _scan(file: Path) -> _Scan:
    rows = rows_of(file).rows
    _, header = next(rows)
    if _HUGO not in header:
        raise ConfigError(
            f"--format cbioportal: {file}: no column {_HUGO}; expected a matrix of genes by "
            f"samples, got {listed(header, 6)}",
        )
    place = header.index(_HUGO)
    some = [at for at, name in enumerate(header) if name not in (_HUGO, _ENTREZ)][
        :_LOOKED_AT
    ]
    genes, negative = [], []
    for _, cells in rows:
        genes.append(cells[place].strip())
        values = [cells[at] for at in some]
        negative.append(np.mean([is_number(one) and float(one) < 0 for one in values]))
    return _Scan(header, genes, float(np.mean(negative)) if negative else 0.0)


def _written(file: Path, header: Sequence[str], owners: Mapping[str, str]) -> str:
    """Write genes by patients, as text."""
    first: dict[str, int] = {}
    for sample, patient in owners.items():
        first.setdefault(patient, header.index(sample))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_HUGO, *first])
    rows = rows_of(file).rows
    next(rows)
    place = header.index(_HUGO)
    for _, cells in rows:
        if cells[place].strip():
            writer.writerow([cells[place], *(cells[at] for at in first.values())])
    return text.getvalue()


def _put_unit(section: Section, stem: str, negative: float) -> None:
    """Write the unit of cBioPortal's file name, unless negative values contradict it."""
    unit, why = UNITS.get(stem, ("", ""))
    if unit and (unit == "zscore" or negative < 0.001):
        section.add("unit", unit, f"{why}, by the name of the file")
        return
    evidence = f"{stem}: no unit is known of a file of this name"
    if unit:
        evidence = f"{stem} holds negative values: batch-corrected, or on a log scale?"
    section.ask("unit", "log2tpm, log2counts, log2fpkm or zscore", evidence=evidence)


def _put_duplicates(section: Section, genes: Sequence[str]) -> None:
    """Add up the reads of symbols that stand twice; of other units take the mean."""
    repeated = sorted(gene for gene, count in Counter(genes).items() if count > 1)
    if repeated:
        unit = getattr(section.items["unit"], "value", "")
        rule = "sum" if unit in LINEAR else "mean"
        evidence = f"{len(repeated)} symbols stand twice or more: {listed(repeated, 3)}"
        section.add("duplicates", rule, evidence, certain=False)
