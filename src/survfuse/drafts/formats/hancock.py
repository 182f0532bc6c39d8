"""HANCOCK: the folder ``features`` of the authors' repository."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from survfuse._errors import ConfigError, listed
from survfuse.drafts.draft import Draft, Section
from survfuse.drafts.formats.endpoints import NamedEndpoint, put_endpoints
from survfuse.drafts.formats.layout import folder_of, one_file
from survfuse.drafts.given import Format, Given
from survfuse.drafts.tables import GivenTable, read_given

_TABLES = ("targets.csv", "clinical.csv", "pathological.csv")
_WHAT = "the folder features of github.com/ankilab/HANCOCK_MultimodalDataset"
_NOMINAL = (
    "sex",
    "smoking_status",
    "primarily_metastasis",
    "primary_tumor_site",
    "grading",
    "hpv_association_p16",
    "histologic_type",
    "perinodal_invasion",
    "lymphovascular_invasion_L",
    "vascular_invasion_V",
    "perineural_invasion_Pn",
    "carcinoma_in_situ",
    "resection_status",
    "resection_status_carcinoma_in_situ",
)
_NUMERIC = {
    "age_at_initial_diagnosis": "Age at diagnosis (years)",
    "number_of_positive_lymph_nodes": "Positive lymph nodes",
    "infiltration_depth_in_mm": "Depth of infiltration (mm)",
}
_ORDINAL = {
    "pT_stage": (["0", "2", "3", "4", "5", "6", "7", "8"], ["1"], "0: in situ; 1: pTX"),
    "pN_stage": (["1", "2", "3", "4", "5", "6", "7", "8", "9"], ["0"], "0: NX; 1: pN0"),
}
_LABELS: dict[str, dict[str, object]] = {
    "sex": {"label": "Sex", "labels": {"0": "men", "1": "women"}},
    "smoking_status": {"label": "Smoking", "missing": ["3"]},
}


def draft_hancock(given: Given) -> Draft:
    """Draft a cohort file from the tables of the repository.

    Raises
    ------
    ConfigError
        When a table is absent.
    """
    folder = folder_of(given, "hancock", _WHAT)
    frames = {}
    for name in (*_TABLES, "blood.csv"):
        frames[name] = read_given(one_file(folder, (name,), "hancock", _WHAT))
    table = _joined([frames[name].frame for name in _TABLES], folder)
    draft = Draft(
        name=given.name,
        title=[
            "Drafted by --format hancock: codes are the authors', numbers of sorted labels.",
            "patients.csv is targets.csv, clinical.csv and pathological.csv joined by patient_id.",
        ],
    )
    draft.tables["patients.csv"] = table.frame.to_csv(index=False, lineterminator="\n")
    put_endpoints(
        draft,
        table,
        "patient_id",
        [
            NamedEndpoint(
                "os",
                ("days_to_last_information",),
                "days",
                "survival_status",
                {"deceased": 1, "living": 0},
                why="by its name",
            ),
            NamedEndpoint(
                "rfs",
                ("days_to_rfs_event",),
                "days",
                "rfs_event",
                why="by its name",
            ),
        ],
    )
    _put_clinical(draft.section("clinical"), table)
    blood = draft.section("modalities").section("blood")
    blood.add(
        "table", frames["blood.csv"].value, f"{len(frames['blood.csv'].frame)} rows"
    )
    blood.add("patient", "patient_id")
    draft.note(
        "tiles of the tissue microarrays (tma_tile_dtr_256_*.npz) are two vectors in one row: "
        "`survfuse datasets get hancock` makes bags of them",
    )
    return draft


def _joined(frames: list[pd.DataFrame], folder: Path) -> GivenTable:
    joined = frames[0]
    for frame in frames[1:]:
        if "patient_id" not in frame or frame["patient_id"].duplicated().any():
            raise ConfigError(
                f"--format hancock: {folder}: expected a table with patient_id once, got columns "
                f"{listed(map(str, frame), 6)}",
            )
        joined = joined.merge(frame, on="patient_id", how="outer", validate="1:1")
    return GivenTable(Path("patients.csv"), joined.fillna(""))


def _put_clinical(section: Section, table: GivenTable) -> None:
    section.add("table", table.value, f"{len(table.frame)} rows")
    section.add("patient", "patient_id")
    columns = section.section("columns")
    for name, label in _NUMERIC.items():
        columns.add(name, {"kind": "numeric", "label": label})
    for name in _NOMINAL:
        columns.add(name, {"kind": "nominal", **_LABELS.get(name, {})})
    for name, (levels, missing, why) in _ORDINAL.items():
        columns.add(
            name, {"kind": "ordinal", "levels": levels, "missing": missing}, why
        )
    section.note(
        "undeclared, as they are hindsight: recurrence, survival_status, days_to_…"
    )


HANCOCK = Format(
    name="hancock",
    what="HANCOCK: the tables of its repository's folder features, OS and RFS",
    needs="--outcome FEATURES_FOLDER",
    draft=draft_hancock,
    takes=("outcome",),
)
