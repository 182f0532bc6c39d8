"""UCSC Xena: survival and clinical tables of samples, and matrices of genes by samples."""

from __future__ import annotations

import gzip
from pathlib import Path

from survfuse._errors import ConfigError
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.endpoints import NamedEndpoint, put_clinical, put_endpoints
from survfuse.drafts.formats.layout import files_below, folder_of, one_file
from survfuse.drafts.given import Format, Given
from survfuse.drafts.ids import are_samples
from survfuse.drafts.tables import GivenTable, known, read_given

_SURVIVAL = ("*survival.tsv", "*survival.tsv.gz", "*_survival.txt", "*survival.txt.gz")
_CLINICAL = (
    "*clinicalMatrix",
    "*.clinical.tsv*",
    "*GDC_phenotype.tsv*",
    "*phenotype.tsv*",
)
_UNITS = {
    "star_counts": ("log2counts", "log2(count + 1)"),
    "htseq_counts": ("log2counts", "log2(count + 1)"),
    "star_tpm": ("log2tpm", "log2(tpm + 1)"),
    "star_fpkm": ("log2fpkm", "log2(fpkm + 1)"),
    "htseq_fpkm": ("log2fpkm", "log2(fpkm + 1)"),
    "HiSeqV2_PANCAN": ("zscore", "centred over all cancers"),
    "HiSeqV2": ("log2counts", "log2(norm_count + 1)"),
    "RSEM_gene_tpm": ("log2tpm", "log2(tpm + 0.001)"),
}
"""Unit by a part of the file's name, as Xena's pages of the datasets say it."""
_ENDPOINTS = ("OS", "DSS", "DFI", "PFI")


def draft_xena(given: Given) -> Draft:
    """Draft a cohort file from a folder of files of Xena.

    Raises
    ------
    ConfigError
        When there is no survival table, or it has no endpoint.
    """
    folder = folder_of(given, "xena", "of downloads from UCSC Xena")
    what = "the dataset phenotype, survival data, of a cohort's page"
    survival = read_given(one_file(folder, _SURVIVAL, "xena", what))
    sample = next(
        (name for name in ("sample", "sampleID") if name in survival.frame), None
    )
    endpoints = _endpoints(survival)
    if sample is None or not endpoints:
        raise ConfigError(
            f"--format xena: {survival.path}: expected columns sample, OS and OS.time (or DSS, "
            f"DFI, PFI), got {', '.join(map(str, survival.frame))[:200]}",
        )
    draft = Draft(
        name=given.name,
        title=[
            "Drafted by --format xena: rows are samples; OS and OS.time (in days), DSS, PFI."
        ],
    )
    if are_samples(survival.frame[sample]):
        evidence = (
            "patients by the first 12 characters; samples of normal tissue are left out"
        )
        draft.add("match", "tcga", evidence)
    put_endpoints(draft, survival, sample, endpoints)
    _put_clinical(draft, given, folder)
    _put_expression(draft, given, folder, survival.path)
    return draft


def _endpoints(table: GivenTable) -> list[NamedEndpoint]:
    endpoints = []
    for name in _ENDPOINTS:
        time = f"{name}.time"
        if (
            name in table.frame
            and time in table.frame
            and len(known(table.frame[name]))
        ):
            why = "the format's: days"
            endpoints.append(
                NamedEndpoint(name.lower(), (time,), "days", name, why=why)
            )
    return endpoints


def _put_clinical(draft: Draft, given: Given, folder: Path) -> None:
    file = given.clinical
    if file is None:
        file = next(iter(files_below(folder, *_CLINICAL)), None)
    if file is None:
        draft.note("no clinical table: none of " + ", ".join(_CLINICAL))
        return
    table = read_given(file)
    names = ("sampleID", "sample", "submitter_id.samples")
    sample = next(
        (name for name in names if name in table.frame), str(table.frame.columns[0])
    )
    put_clinical(draft, table, sample, {"_PATIENT", "sample_type", "_INTEGRATION"})


def _put_expression(draft: Draft, given: Given, folder: Path, survival: Path) -> None:
    file = given.expression
    if file is None:
        patterns = [
            f"*{part}{ending}"
            for part in _UNITS
            for ending in ("", ".gz", ".tsv*", ".txt*")
        ]
        found = [path for path in files_below(folder, *patterns) if path != survival]
        file = found[0] if found else None
    if file is None:
        draft.note("no expression: no file called like " + ", ".join(_UNITS))
        return
    section = draft.section("expression")
    section.add("path", file)
    section.add(
        "orientation", "genes_by_patients", "a row per gene, a column per sample"
    )
    first = _first_gene(file)
    kind = "ensembl" if first.startswith("ENSG") else "symbol"
    section.add("genes", kind, f"{first}, …")
    part = next((part for part in _UNITS if part in file.name), None)
    if part is None:
        evidence = (
            f"{file.name} is no name of Xena's whose unit is known; its page says it"
        )
        section.ask(
            "unit", "log2counts, log2tpm, log2fpkm or zscore", evidence=evidence
        )
    else:
        unit, why = _UNITS[part]
        section.add("unit", unit, f"{part}: {why}, as its page says")


def _first_gene(file: Path) -> str:
    """First cell of the second line."""
    opener = gzip.open if file.name.endswith(".gz") else open
    with opener(file, "rt", encoding="utf-8", errors="replace") as lines:
        lines.readline(2**24)
        return lines.readline(2**16).split("\t")[0].strip()


XENA = Format(
    name="xena",
    what="UCSC Xena: survival table (OS, OS.time, DSS, PFI), clinicalMatrix, genes by samples",
    needs="--outcome FOLDER [--clinical FILE] [--expression FILE]",
    draft=draft_xena,
)
