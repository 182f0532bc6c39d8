"""A study of cBioPortal: clinical tables under ``#`` lines, and an expression matrix."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from survfuse._errors import ConfigError, listed
from survfuse.cohort.status_column import says_event
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.formats.endpoints import NamedEndpoint, put_clinical, put_endpoints
from survfuse.drafts.formats.layout import files_below, folder_of, one_file
from survfuse.drafts.given import Format, Given
from survfuse.drafts.ids import are_samples
from survfuse.drafts.tables import GivenTable, known, numbers, read_given
from survfuse.readers.cell_text import whole

_UNITS = {
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


def draft_cbioportal(given: Given) -> Draft:
    """Draft a cohort file from the folder of a study.

    Raises
    ------
    ConfigError
        When a table is not there, or the study has no endpoint with times and status.
    """
    folder = folder_of(given, "cbioportal", "a study's folder")
    patients = read_given(
        one_file(
            folder,
            ("data_clinical_patient.txt", "data_bcr_clinical_data_patient.txt"),
            "cbioportal",
            "the study's clinical table of patients; download the study as .tar.gz and unpack it",
        ),
    )
    draft = Draft(
        name=given.name,
        title=[
            "Drafted by --format cbioportal: X_MONTHS, X_STATUS with 1: before the event."
        ],
    )
    endpoints = _endpoints(patients)
    if not endpoints:
        raise ConfigError(
            f"--format cbioportal: {patients.path}: no pair of columns X_MONTHS and X_STATUS (OS, "
            "DSS, PFS, DFS), so the study has no outcome",
        )
    samples = _sample_table(folder)
    is_tcga = samples is not None and are_samples(samples["SAMPLE_ID"])
    if is_tcga:
        draft.add(
            "match", "tcga", "patients by the first 12 characters of each barcode"
        )
    taken = put_endpoints(draft, patients, "PATIENT_ID", endpoints)
    others = [
        name
        for name in map(str, patients.frame)
        if name.endswith(("_STATUS", "_MONTHS"))
    ]
    put_clinical(draft, patients, "PATIENT_ID", [*taken, *others, "OTHER_PATIENT_ID"])
    _put_expression(draft, given, folder, samples, is_tcga=is_tcga)
    return draft


def _endpoints(table: GivenTable) -> list[NamedEndpoint]:
    endpoints = []
    for status in map(str, table.frame):
        key = status.removesuffix("_STATUS")
        time = f"{key}_MONTHS"
        if key == status or time not in table.frame:
            continue
        cells = known(table.frame[status])
        values = {text: _happened(text) for text in sorted({*map(whole, cells)})}
        if not values or None in values.values() or not len(known(table.frame[time])):
            continue
        bits = {text: int(bool(happened)) for text, happened in values.items()}
        why = "the format's: X_MONTHS"
        endpoints.append(
            NamedEndpoint(key.lower(), (time,), "months", status, bits, why=why)
        )
    return sorted(endpoints, key=lambda one: one.key != "os")


def _happened(text: str) -> bool | None:
    """Whether a status is the event: 1 before the colon, or its words; None where neither says."""
    if text[:2] in ("0:", "1:"):
        return text[0] == "1"
    return says_event(text)


def _sample_table(folder: Path) -> pd.DataFrame | None:
    """Table of samples and patients; None where the study has none."""
    files = files_below(
        folder, "data_clinical_sample.txt", "data_bcr_clinical_data_sample.txt"
    )
    if not files:
        return None
    frame = read_given(files[0]).frame
    if not {"PATIENT_ID", "SAMPLE_ID"} <= set(frame):
        raise ConfigError(
            f"--format cbioportal: {files[0]}: expected columns PATIENT_ID and SAMPLE_ID, got "
            f"{listed(map(str, frame), 8)}",
        )
    return frame


def _put_expression(
    draft: Draft,
    given: Given,
    folder: Path,
    samples: pd.DataFrame | None,
    *,
    is_tcga: bool,
) -> None:
    file, stem = given.expression, ""
    if file is None:
        for stem in _UNITS:
            found = files_below(folder, f"{stem}.txt", f"{stem}.txt.gz")
            if found:
                file = found[0]
                break
    if file is None:
        draft.note(
            f"no expression: none of {', '.join(f'{name}.txt' for name in _UNITS)}"
        )
        return
    stem = file.name.partition(".")[0]
    matrix = read_given(file).frame
    ids = [name for name in map(str, matrix) if name not in (_HUGO, _ENTREZ)]
    section = draft.section("expression")
    own = _written(draft, matrix, ids, samples, is_tcga=is_tcga)
    if own:
        section.add("path", Path("expression.csv"), f"written beside this file: {own}")
    else:
        section.add("path", file, f"{len(matrix)} genes, {len(ids)} samples")
        section.add("orientation", "genes_by_patients", "a row per gene")
        section.add("patient", _HUGO, "column of gene ids; Entrez_Gene_Id is left out")
        _put_duplicates(section, matrix[_HUGO])
    section.add("genes", "symbol")
    _put_unit(section, stem, matrix[ids[:20]])


def _put_unit(section: Section, stem: str, some: pd.DataFrame) -> None:
    """Write the unit of cBioPortal's file name, unless negative values contradict it."""
    unit, why = _UNITS.get(stem, ("", ""))
    negative = any(float((numbers(some[name]) < 0).mean()) > 0.001 for name in some)
    if unit and (unit == "zscore" or not negative):
        section.add("unit", unit, f"{why}, by the name of the file")
        return
    evidence = f"{stem}: no unit is known of a file of this name"
    if unit:
        evidence = f"{stem} holds negative values: batch-corrected, or on a log scale?"
    section.ask("unit", "log2tpm, log2counts, log2fpkm or zscore", evidence=evidence)


def _put_duplicates(section: Section, genes: pd.Series[str]) -> None:
    repeated = sorted(set(genes[genes.duplicated()]))
    if repeated:
        evidence = f"{len(repeated)} symbols stand twice or more: {listed(repeated, 3)}"
        section.add("duplicates", "sum", evidence, certain=False)


def _written(
    draft: Draft,
    matrix: pd.DataFrame,
    ids: list[str],
    samples: pd.DataFrame | None,
    *,
    is_tcga: bool,
) -> str:
    """Write a matrix of patients where cBioPortal's cannot be read as it stands; say why.

    A patient's first sample in the order of the sample table is taken.
    """
    nameless = int((matrix[_HUGO] == "").sum())
    patient_of = {one: one for one in ids}
    if samples is not None and not is_tcga:
        patient_of = dict(zip(samples["SAMPLE_ID"], samples["PATIENT_ID"], strict=True))
    owners = {one: patient_of[one] for one in patient_of if one in set(ids)}
    renamed = any(sample != patient for sample, patient in owners.items())
    if not nameless and not renamed:
        return ""
    first: dict[str, str] = {}
    for sample, patient in owners.items():
        first.setdefault(patient, sample)
    named = matrix[matrix[_HUGO] != ""]
    values = named[list(first.values())].set_axis(list(first), axis=1)
    values.index = pd.Index(named[_HUGO], name="patient_id")
    draft.tables["expression.csv"] = _numbers_of(values.T)
    reasons = []
    if nameless:
        reasons.append(f"{nameless} rows have no symbol")
    if renamed:
        reasons.append(
            "samples are called otherwise than patients; the first of each is taken"
        )
    return "; ".join(reasons)


def _numbers_of(values: pd.DataFrame) -> str:
    """Write patients by genes; of genes that stand twice, the sum."""
    plain = values.apply(pd.to_numeric, errors="coerce")
    summed = plain.T.groupby(level=0, sort=False).sum(min_count=1).T
    text: str = summed.rename_axis("patient_id").to_csv(lineterminator="\n")
    return text


CBIOPORTAL = Format(
    name="cbioportal",
    what='cBioPortal: data_clinical_patient.txt with # lines, OS_STATUS "1:DECEASED", RSEM matrix',
    needs="--outcome STUDY_FOLDER [--expression FILE]",
    draft=draft_cbioportal,
)
