"""HANCOCK: 763 patients with head and neck cancer, as a cohort of three modalities.

Doerrich et al., Nat Commun 2025;16:7163. Read is the feature folder of the authors'
repository: tables of integer codes (scikit-learn label encodings of sorted labels),
16 blood values, and tile bags of eight stains (Deep Texture Representations, 256 wide).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Literal

import numpy as np
import pandas as pd

from survfuse._errors import ConfigError, FeatureFileError, InputError
from survfuse._storage import write_text
from survfuse._types import Float32Array
from survfuse.datasets.download import RemoteFile, locate
from survfuse.datasets.writing import (
    new_folder,
    try_new_folder,
    write_bags,
    write_csv,
    yaml_columns,
)

BASE_URL = "https://raw.githubusercontent.com/ankilab/HANCOCK_MultimodalDataset/521b99b"
DIM = 256
_TILES = 2  # per patient and stain; a patient with one has it padded left and right

_TABLES = {
    "targets.csv": "c6e8674cb304b1c90d3ea55570359e79ac2353b64ec201e1501726f558c08503",
    "clinical.csv": "81ddccb94bf161b0eec808dd2531f0209b7b17b1b95187c957cda0ec9b553c09",
    "pathological.csv": "543c1630feccdbf4bf98a6d9fba43c54dc94023ef58bbaedc2cbc95b59bc9137",
    "blood.csv": "254dad6aa4c5f4683c089a85a4dd406d96f8ec35be7849abf50166daca4987ca",
    "icd_codes.csv": "fc48eb70df81cc7ef6d4ee1c37b577cf64475d4bc67db0b4804eac094e0aaba7",
    "tma_cell_density.csv": "fb2468d284e29a067d5d08793de5e52c48978410a0145671cd81381466d48b99",
}
_BAGS = {
    "HE": "eb618943c06bff997eafa099b7c231ec52abffee7795adbd25cad244a43a4253",
    "CD3": "5bce7f344f33709f176b1ebac5f26d11659df33dd5b083670e7fcee8024b44c2",
    "CD8": "e5dfe66485da34ad4f0b5d93afbc38583a34167ba0d5d8bd4f0b1f29292976aa",
    "CD56": "aa912f157b961b938fbd978632e7f598db897322ee29a96f1c3ae625b15aff8b",
    "CD68": "3eeea4486a07de079b6f822466863435a308a3d7eef6ef7ce5361034d31ac7e2",
    "CD163": "b4bf185299acad0303aeb7746a992a51b99437f5714dcbfed901fd52074a61e4",
    "MHC1": "d3fbe4dcbdd2003be29efcdc64d3e63e1f189295448a401774923f95d7c137bb",
    "PDL1": "2cd8f09c71e12372f0456d5bb75d74914ccfd10996aaa9195a5e057ecd6588be",
}
STAINS = tuple(_BAGS)
FILES = (
    *(RemoteFile(f"features/{name}", sha256) for name, sha256 in _TABLES.items()),
    *(
        RemoteFile(f"features/tma_tile_dtr_256_{stain}.npz", sha256)
        for stain, sha256 in _BAGS.items()
    ),
)

Endpoint = Literal["os", "rfs"]

# Codes that mean "not known" are declared per column; all others are kept as published.
_COLUMNS = {
    "age_at_initial_diagnosis": "{kind: numeric, label: Age at diagnosis (years)}",
    "sex": "{kind: nominal, label: Sex, labels: {0: men, 1: women}}",
    "smoking_status": (
        '{kind: nominal, label: Smoking, missing: ["3"]}'
        "   # label encoding puts empty cells last: 3"
    ),
    "primarily_metastasis": "{kind: nominal, label: Metastasis at diagnosis}",
    "primary_tumor_site": "{kind: nominal, label: Site of the tumour}",
    "grading": (
        "{kind: nominal, label: Grade, "
        "labels: {0: G1, 1: G2, 2: G3, 3: not graded (HPV-associated)}}"
    ),
    "hpv_association_p16": (
        "{kind: nominal, label: p16, labels: {0: negative, 1: not tested, 2: positive}}"
    ),
    "histologic_type": "{kind: nominal, label: Histologic type}",
    "pT_stage": (
        '{kind: ordinal, levels: ["0", "2", "3", "4", "5", "6", "7", "8"], missing: ["1"], '
        "label: pT}"
        "   # 0: in situ; 1: pTX"
    ),
    "pN_stage": (
        '{kind: ordinal, levels: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], missing: ["0"], '
        "label: pN}"
        "   # 0: NX (no count of nodes either); 1: pN0"
    ),
    "number_of_positive_lymph_nodes": "{kind: numeric, label: Positive lymph nodes}",
    "infiltration_depth_in_mm": "{kind: numeric, label: Depth of infiltration (mm)}",
    "perinodal_invasion": "{kind: nominal, label: Perinodal invasion}",
    "lymphovascular_invasion_L": "{kind: nominal, label: Lymphovascular invasion (L)}",
    "vascular_invasion_V": "{kind: nominal, label: Vascular invasion (V)}",
    "perineural_invasion_Pn": "{kind: nominal, label: Perineural invasion (Pn)}",
    "carcinoma_in_situ": "{kind: nominal, label: Carcinoma in situ}",
    "resection_status": "{kind: nominal, label: Resection margin}",
    "resection_status_carcinoma_in_situ": (
        "{kind: nominal, label: Resection margin (carcinoma in situ)}"
    ),
}

_OUTCOMES = {
    "os": (
        "  time: days_to_last_information\n"
        "  event: survival_status\n"
        "  event_values: {deceased: 1, living: 0}\n"
        "  endpoint: overall survival\n"
    ),
    "rfs": (
        "  time: days_to_rfs_event\n"
        "  event: rfs_event\n"
        "  endpoint: recurrence-free survival\n"
        "  exclude_invalid: true   # 12 patients have a time of 0 days or less: left out and "
        "listed\n"
    ),
}

_YAML = Template("""\
# HANCOCK (Doerrich et al., Nat Commun 2025;16:7163).
# Features: github.com/ankilab/HANCOCK_MultimodalDataset @521b99b, Apache-2.0.
# Codes are the authors': numbers given to sorted labels. Columns of hindsight (recurrence,
# survival_status, days_to_...) stand in patients.csv, but undeclared, so that no model sees them.
name: hancock-$endpoint

outcome:
  table: patients.csv
  patient: patient_id
  unit: days
$outcome
clinical:
  table: patients.csv
  patient: patient_id
  columns:
$columns

modalities:
  # 16 numbers measured at diagnosis; gaps were filled by the authors with the mode of the
  # patient's sex.
  blood: {table: blood.csv, patient: patient_id}
  # Densities of T cells in tumour centre and invasion front; take the # away to use them.
  # cell_density: {table: cell_density.csv, patient: patient_id}

slides:
  # Tissue-microarray tiles, one slide per stain (eight), no coordinates. $blank tiles of glass (one
  # vector, the same in all patients and stains) are left out.
  packed: slides.bags
""")

_FOLDS = """
folds: {table: patients.csv, column: fold, patient: patient_id}
"""


def hancock(
    out: Path | str,
    endpoint: Endpoint = "os",
    source: Path | str | None = None,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Write HANCOCK as a cohort folder, downloading it where there is no local copy.

    Modalities: `clinical` (clinical and pathological columns), `blood` (16 values,
    71 patients have none) and `slides` (bags of up to 16 tiles, one slide per stain;
    3 patients have none). Tiles of glass, without tissue, are left out and counted in
    the file. Cell densities are written, too, and can be switched on there. Nothing
    is imputed, scaled or clipped.

    Parameters
    ----------
    out : path
        A new or empty folder.
    endpoint : {"os", "rfs"}
        Overall or recurrence-free survival, in days.
    source : path, optional
        A folder with ``features/`` as in the authors' repository, and ``patients.csv``
        with columns `patient_id` and `fold` where folds are given.
    progress : callable, optional
        Told of each download; see :func:`survfuse.datasets.download.fetch`.

    Returns
    -------
    Path
        ``out/cohort.yaml``.

    Raises
    ------
    ConfigError
        For another endpoint.
    InputError
        When files are absent, changed or cannot be fetched, or `out` holds something.
    """
    if endpoint not in _OUTCOMES:
        raise ConfigError(f"endpoint: expected os or rfs, got {endpoint!r}")
    try_new_folder(out)
    root = locate(
        "hancock",
        FILES,
        BASE_URL,
        source=source,
        progress=progress,
    )
    with new_folder(out) as folder:
        folds = _write_patients(root, folder)
        blood = _read(root, "blood.csv")
        write_csv(folder / "blood.csv", blood)
        write_csv(folder / "cell_density.csv", _read(root, "tma_cell_density.csv"))
        slides, blank = _without_blanks(_read_bags(root))
        write_bags(
            (
                (f"{patient}_{STAINS[n]}", patient, tiles, None)
                for (patient, n), tiles in slides.items()
            ),
            folder / "slides.bags",
            encoder="dtr256",
        )
        write_text(
            folder / "cohort.yaml",
            _cohort_yaml(
                endpoint,
                folds=folds,
                blank=blank,
            ),
        )
    return Path(out) / "cohort.yaml"


def _read(root: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(
        root / "features" / name,
        dtype=str,
        keep_default_na=False,
    )


def _write_patients(root: Path, folder: Path) -> bool:
    """Join targets, clinical and pathological columns; tell whether folds were given."""
    table = _read(root, "targets.csv")
    for name in ("clinical.csv", "pathological.csv"):
        table = table.merge(
            _read(root, name),
            on="patient_id",
            how="outer",
            validate="1:1",
        )
    given = root / "patients.csv"
    folds = given.is_file()
    if folds:
        fold = pd.read_csv(
            given,
            dtype=str,
            keep_default_na=False,
        )
        if not {"patient_id", "fold"} <= set(fold.columns):
            raise InputError(
                f"{given}: expected columns patient_id and fold, got "
                f"{', '.join(fold.columns[:6])}…",
            )
        table = table.merge(
            fold[["patient_id", "fold"]],
            on="patient_id",
            how="left",
            validate="1:1",
        )
    write_csv(folder / "patients.csv", table)
    return folds


def _read_bags(root: Path) -> dict[tuple[str, int], Float32Array]:
    """Read the tiles of each patient and stain (by its number)."""
    slides: dict[tuple[str, int], Float32Array] = {}
    for number, stain in enumerate(STAINS):
        path = root / "features" / f"tma_tile_dtr_256_{stain}.npz"
        # Plain arrays, one per patient: nothing here needs (or is allowed) unpickling.
        with np.load(path, allow_pickle=False) as archive:
            for patient in archive.files:
                slides[patient, number] = _tiles(
                    archive[patient],
                    f"{path}: patient {patient}",
                )
    return dict(sorted(slides.items()))


def _without_blanks(
    slides: dict[tuple[str, int], Float32Array],
) -> tuple[dict[tuple[str, int], Float32Array], int]:
    """Leave out tiles that several patients share to the last bit, and count them.

    Such a vector, the same in all stains, is that of glass without tissue. A slide
    with no other tile is left out whole.
    """
    owners: dict[bytes, set[str]] = {}
    for (patient, _), tiles in slides.items():
        for tile in tiles:
            owners.setdefault(tile.tobytes(), set()).add(patient)
    blank = 0
    tissue = {}
    for key, tiles in slides.items():
        unique = [len(owners[tile.tobytes()]) == 1 for tile in tiles]
        blank += len(tiles) - sum(unique)
        if any(unique):
            tissue[key] = tiles[unique]
    return tissue, blank


def _tiles(vector: Float32Array, where: str) -> Float32Array:
    """Cut a vector of two concatenated tiles, (512,), into (tiles, 256).

    Where a patient has one tile, the authors pad it with 128 zeros on either side.
    """
    if vector.shape != (_TILES * DIM,) or vector.dtype != np.float32:
        raise FeatureFileError(
            f"{where}: expected 512 float32 numbers, got {vector.dtype} {vector.shape}",
        )
    quarter = DIM // 2
    if not vector[:quarter].any() and not vector[-quarter:].any():
        return vector[quarter:-quarter].reshape(1, DIM)
    return vector.reshape(_TILES, DIM)


def _cohort_yaml(
    endpoint: Endpoint,
    *,
    folds: bool,
    blank: int,
) -> str:
    text = _YAML.substitute(
        endpoint=endpoint,
        outcome=_OUTCOMES[endpoint],
        columns=yaml_columns(_COLUMNS),
        blank=blank,
    )
    return text + (_FOLDS if folds else "")
