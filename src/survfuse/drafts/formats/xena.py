"""UCSC Xena: survival and clinical tables of samples, and matrices of genes by samples."""

from __future__ import annotations

from pathlib import Path

from survfuse._errors import ConfigError
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.formats.endpoints import (
    NamedEndpoint,
    put_clinical,
    put_endpoints,
    put_samples,
)
from survfuse.drafts.formats.layout import files_below, folder_of, one_file
from survfuse.drafts.given import Format, Given
from survfuse.drafts.header import column_names
from survfuse.drafts.ids import are_samples
from survfuse.drafts.leaks import put_leaks
from survfuse.drafts.tables import GivenTable, known, read_given
from survfuse.readers.table_rows import rows_of

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
    "HiSeqV2": ("log2counts", "log2(norm_count + 1)"),
}
"""Unit by the end of the file's name, as Xena's pages of the datasets say it."""
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
    put_leaks(draft)
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
    if "match" in draft.items and "clinical" in draft.items:
        put_samples(draft.section("clinical"), list(table.frame[sample]))


def _put_expression(draft: Draft, given: Given, folder: Path, survival: Path) -> None:
    file = given.expression or _matrix_of(folder, survival)
    if file is None:
        draft.note("no expression: no file called like " + ", ".join(_UNITS))
        return
    section = draft.section("expression")
    section.add("path", file)
    section.add(
        "orientation", "genes_by_patients", "a row per gene, a column per sample"
    )
    if "match" in draft.items:
        put_samples(section, column_names(file)[1:])
    first = _first_gene(file)
    kind = "ensembl" if first.startswith("ENSG") else "symbol"
    section.add("genes", kind, f"{first}, …")
    _put_unit(section, file.name)


def _matrix_of(folder: Path, survival: Path) -> Path | None:
    """First matrix below a folder whose name says its unit."""
    for path in files_below(folder, "*"):
        if path != survival and _part(path.name):
            return path
    return None


def _part(name: str) -> str:
    """Part of a file's name that says its unit; empty where none does."""
    plain = name.removesuffix(".gz").removesuffix(".tsv").removesuffix(".txt")
    return next((part for part in _UNITS if plain.endswith(part)), "")


def _put_unit(section: Section, name: str) -> None:
    part = _part(name)
    if part:
        unit, why = _UNITS[part]
        section.add("unit", unit, f"{part}: {why}, as its page says")
        return
    evidence = f"{name} is no name of Xena's whose unit is known; its page says it"
    section.ask("unit", "log2counts, log2tpm, log2fpkm or zscore", evidence=evidence)


def _first_gene(file: Path) -> str:
    """First cell below the header."""
    rows = rows_of(file).rows
    next(rows)
    _, cells = next(rows, (0, [""]))
    return cells[0]


XENA = Format(
    name="xena",
    what="UCSC Xena: survival table (OS, OS.time, DSS, PFI), clinicalMatrix, genes by samples",
    needs="--outcome FOLDER [--clinical FILE] [--expression FILE]",
    draft=draft_xena,
    takes=("outcome", "clinical", "expression"),
)
