"""The table of MCAT, PORPOISE and SurvPath: a row per slide, with genes as columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from survfuse._errors import ConfigError, listed
from survfuse.drafts.draft import Draft
from survfuse.drafts.expression import put_expression
from survfuse.drafts.formats.clam import ENDINGS, FOLDERS
from survfuse.drafts.formats.endpoints import NamedEndpoint, put_clinical, put_endpoints
from survfuse.drafts.formats.layout import files_below, folder_of_features
from survfuse.drafts.given import Format, Given
from survfuse.drafts.guess import Guess
from survfuse.drafts.ids import are_samples
from survfuse.drafts.leaks import put_leaks
from survfuse.drafts.tables import GivenTable, known, numbers, read_given

_ENDPOINTS = {"": "os", "_dss": "dss", "_pfi": "pfi", "_dfi": "dfi"}
_SUFFIXES = {"_rnaseq": "expression", "_cnv": "cnv", "_mut": "mut"}
_TABLES = "a table of MCAT, PORPOISE (tcga_<cancer>_all_clean.csv.zip) or SurvPath (metadata/*.csv)"


def draft_mcat(given: Given) -> Draft:
    """Draft a cohort file from a table with a row per slide, and a folder of features.

    Raises
    ------
    ConfigError
        When there is no such table, or it lacks a column.
    """
    whole = _table(given)
    genes = [name for name in whole.names if name.endswith((*_SUFFIXES,))]
    table = whole.without(genes)
    draft = Draft(
        name=given.name,
        title=[
            "Drafted by --format mcat: a row per slide; censorship 1 = censored, in months."
        ],
    )
    taken = put_endpoints(draft, table, "case_id", _endpoints(table))
    own = [*taken, "slide_id", "train", "site", "Unnamed: 0", "row.names"]
    others = [
        name
        for name in map(str, table.frame)
        if name.startswith(("survival_months", "censorship"))
    ]
    put_clinical(draft, table, "case_id", {*own, *others})
    if "site" in table.frame:
        draft.section("groups").add("site", "site", "tissue source site of the barcode")
    _put_genes(draft, whole)
    if given.expression is not None:
        _put_matrix(draft, given.expression, list(table.frame["case_id"]))
    _put_slides(draft, given, table)
    put_leaks(draft, [table])
    return draft


def _table(given: Given) -> GivenTable:
    """Read the table that was named, or the one below the folder that was."""
    if given.outcome is None:
        raise ConfigError(
            f"--format mcat: expected --outcome FILE_OR_FOLDER, {_TABLES}"
        )
    files = [given.outcome]
    if given.outcome.is_dir():
        files = files_below(given.outcome, "*.csv", "*.csv.zip")
    needed = {"case_id", "slide_id"}
    for file in files:
        table = read_given(file)
        if needed <= set(table.frame) and _endpoints(table):
            return table
    raise ConfigError(
        f"--format mcat: {given.outcome}: no {_TABLES} with columns case_id, slide_id, "
        f"survival_months and censorship (or both with _dss, _pfi); looked at "
        f"{listed((file.name for file in files), 5) or 'nothing'}",
    )


def _endpoints(table: GivenTable) -> list[NamedEndpoint]:
    endpoints = []
    for suffix, key in _ENDPOINTS.items():
        time, status = f"survival_months{suffix}", f"censorship{suffix}"
        if time in table.frame and status in table.frame:
            why = "the format's: survival_months"
            endpoints.append(
                NamedEndpoint(key, (time,), "months", status, censored=True, why=why)
            )
    return endpoints


def _put_genes(draft: Draft, table: GivenTable) -> None:
    for suffix, name in _SUFFIXES.items():
        columns = [
            column for column in map(str, table.frame) if column.endswith(suffix)
        ]
        if not columns:
            continue
        if suffix != "_rnaseq":
            section = draft.section("modalities").section(name)
            section.add("table", table.value, f"{len(columns)} columns *{suffix}")
            section.add("patient", "case_id")
            section.add("columns", {"match": f"*{suffix}"})
            continue
        section = draft.section(name)
        section.add("path", table.value, f"{len(columns)} columns *{suffix}")
        section.add("patient", "case_id")
        section.add("gene_suffix", suffix)
        section.add("genes", "symbol")
        values = np.concatenate(
            [numbers(known(table.frame[column])) for column in columns[:200]]
        )
        share = float((values < 0).mean())
        if share > 0.2:
            section.add("unit", "zscore", f"{share:.0%} of the values are negative")
        else:
            section.ask(
                "unit",
                "log2tpm, log2counts, log2fpkm, counts, tpm or fpkm",
                evidence=f"{share:.0%} of the values are negative, so they are no z-scores",
            )


def _put_matrix(draft: Draft, file: Path, ids: list[str]) -> None:
    """Write a matrix of its own in place of columns of the table, as SurvPath ships it."""
    draft.items.pop("expression", None)
    if are_samples(put_expression(draft.section("expression"), file, ids)):
        match: Guess[object] = Guess("tcga", "ids are TCGA barcodes, not all plain")
        draft.items = {"match": match, **draft.items}


def _put_slides(draft: Draft, given: Given, table: GivenTable) -> None:
    roots = [given.features, given.outcome]
    for root in roots:
        folder = None
        if root is not None and root.is_dir():
            folder = folder_of_features(root, FOLDERS, ENDINGS)
        if folder is None and root is not None and root == given.features:
            folder = root
        if folder is not None:
            section = draft.section("slides")
            section.add(
                "table", table.value, "the same table: slide_id with its ending"
            )
            section.add("slide", "slide_id")
            section.add("patient", "case_id")
            section.add("features", folder, "of CLAM")
            return
    draft.note(
        "no features: name their folder (pt_files or h5_files of CLAM) by --features"
    )


MCAT = Format(
    name="mcat",
    what="MCAT, PORPOISE and SurvPath: a row per slide, censorship, *_rnaseq, *_cnv, *_mut",
    needs="--outcome TABLE (or the folder that holds it) [--features FOLDER] [--expression FILE]",
    draft=draft_mcat,
    takes=("outcome", "expression", "features"),
)
