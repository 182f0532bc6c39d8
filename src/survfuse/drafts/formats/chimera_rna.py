"""The challenge's ``<ID>_RNA.json``, one object of genes per patient, as one table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from survfuse._errors import InputError
from survfuse._storage import read_json
from survfuse.drafts.draft import Draft
from survfuse.drafts.formats.layout import files_below

ENDING = "_RNA.json"
FLOOR = 3.7
"""Value of genes that are not expressed, after the variance-stabilising transformation."""


def put_expression(draft: Draft, folder: Path) -> None:
    """Write `expression.csv` from the patients' files, and name it; a note where there are none.

    Raises
    ------
    InputError
        When a file is no object of numbers.
    """
    files = {
        file.name.removesuffix(ENDING): file
        for file in files_below(folder, f"*{ENDING}")
    }
    if not files:
        draft.note("no expression: no <ID>_RNA.json")
        return
    section = draft.section("expression")
    folders = {file.parent for file in files.values()}
    only = len(folders) == 1 and len(list(folder.glob("*.json"))) == len(files)
    if only:
        section.add("path", folders.pop(), f"{len(files)} files {ENDING}")
    else:
        draft.tables["expression.csv"] = _table(files)
        evidence = f"written beside this file from {len(files)} files <ID>{ENDING}"
        section.add("path", Path("expression.csv"), evidence)
    section.add(
        "unit", "vst", f"the challenge's; {FLOOR:g} is the floor of unexpressed genes"
    )
    section.add("genes", "symbol", "HGNC symbols")


def _table(files: dict[str, Path]) -> str:
    """Patients by genes, as text; a gene that a patient lacks is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows: dict[str, dict[str, object]] = {}
    genes: dict[str, None] = {}
    for patient, file in sorted(files.items()):
        content = read_json(file)
        if not isinstance(content, dict) or not content:
            raise InputError(f"{file}: expected an object {{gene: value}}")
        rows[patient] = content
        genes.update(dict.fromkeys(content))
    writer.writerow(["patient_id", *genes])
    for patient, content in rows.items():
        writer.writerow([patient, *map(content.get, genes)])
    return text.getvalue()
