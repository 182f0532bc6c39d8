"""A simulated cohort as the CHIMERA challenge releases its training data, task 3: files by patient.

Of each patient, ``data/<ID>/`` has ``<ID>_CD.json`` (clinical data, with the labels),
``<ID>_RNA.json``, and where slides are painted ``<ID>_HE.tif`` and ``<ID>_HE_mask.tif``; otherwise
``features/features/<ID>_HE.pt`` has the features of the tiles and
``features/coordinates/<ID>_HE.npy`` a structured array of their corners.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from survfuse._errors import ConfigError
from survfuse._storage import write_json
from survfuse._types import AnyArray
from survfuse.datasets.simulated_tissue import TILE_PIXELS
from survfuse.datasets.simulation_plan import Plan
from survfuse.readers.bags import BagStore

DATA, FEATURES, COORDINATES = "data", "features/features", "features/coordinates"
LABELS = {"event": "progression", "time": "Time_to_prog_or_FUend"}
"""Columns of the simulation, and what the challenge calls them."""

_CORNERS = np.dtype([("x", "<i8"), ("y", "<i8"), ("tile_size_lv0", "<i8")])
_NUMBERS = {"age": int, "no_instillations": float, "progression": int}


def check_chimera(plan: Plan) -> None:
    """Refuse what the challenge's files cannot say.

    Raises
    ------
    ConfigError
        Names the parameter and the value that it needs.
    """
    wanted = {"slides": 1, "sites": 0, "unit": "months"}
    for name, value in wanted.items():
        if getattr(plan, name) != value:
            raise ConfigError(
                f"{name}: must be {value} with the layout chimera, got {getattr(plan, name)}; "
                "leave it out, or leave out the layout",
            )


def rewrite_as_chimera(folder: Path) -> None:
    """Turn the folder of a simulated cohort into the challenge's layout, in place.

    ``truth.csv`` and what is known of the slides stay; tables and the cohort file go.

    Parameters
    ----------
    folder : path
        As :func:`survfuse.datasets.simulate` fills it, with one slide per patient.
    """
    (folder / DATA).mkdir()
    for patient, fields in _clinical(folder).items():
        own = folder / DATA / patient
        own.mkdir()
        write_json(own / f"{patient}_CD.json", fields)
    _write_expression(folder)
    if (folder / "slides.csv").exists():
        _move_images(folder)
    else:
        _write_features(folder)
    for name in ("cohort.yaml", "clinical.csv", "patients.csv", "expression.parquet"):
        (folder / name).unlink(missing_ok=True)


def _clinical(folder: Path) -> dict[str, dict[str, Any]]:
    """Fields of every patient's ``_CD.json``; new patients have no labels."""
    fields: dict[str, dict[str, Any]] = {}
    for name in ("clinical.csv", "patients.csv"):
        if not (folder / name).exists():
            continue
        table = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        for row in table.rename(columns=LABELS).to_dict("records"):
            own = fields.setdefault(row.pop("patient_id"), {})
            for key, text in row.items():
                number = _NUMBERS.get(str(key))
                own[str(key)] = number(text) if number else text
            if LABELS["time"] in own:
                own[LABELS["time"]] = float(own[LABELS["time"]])
    return fields


def _write_expression(folder: Path) -> None:
    table = pq.read_table(folder / "expression.parquet").to_pandas()
    genes = list(table.columns[1:])
    for patient, values in zip(
        table["patient_id"],
        table[genes].to_numpy(np.float64).round(4),
        strict=True,
    ):
        own = folder / DATA / patient
        own.mkdir(exist_ok=True)
        write_json(
            own / f"{patient}_RNA.json",
            dict(zip(genes, values.tolist(), strict=True)),
        )


def _write_features(folder: Path) -> None:
    """Write one tensor and one array of corners per slide; the packed store goes."""
    import torch

    for name in (FEATURES, COORDINATES):
        (folder / name).mkdir(parents=True)
    store = BagStore.open(folder / "slides.bags")
    for patient in store.patients:
        (rows,) = store.rows(patient)
        features = torch.from_numpy(np.array(store.features[rows]))
        torch.save(features, folder / FEATURES / f"{patient}_HE.pt")
        corners = _corners(store.coords(patient))
        np.save(folder / COORDINATES / f"{patient}_HE.npy", corners)
    del store  # the files are mapped
    shutil.rmtree(folder / "slides.bags")


def _corners(coords: AnyArray) -> AnyArray:
    corners = np.zeros(len(coords), _CORNERS)
    corners["x"], corners["y"] = coords[:, 0], coords[:, 1]
    corners["tile_size_lv0"] = TILE_PIXELS
    return corners


def _move_images(folder: Path) -> None:
    table = pd.read_csv(folder / "slides.csv", dtype=str, keep_default_na=False)
    for slide, patient in zip(table["slide_id"], table["patient_id"], strict=True):
        own = folder / DATA / patient
        own.mkdir(exist_ok=True)
        (folder / "slides" / f"{slide}.tif").rename(own / f"{patient}_HE.tif")
        (folder / "masks" / f"{slide}.tif").rename(own / f"{patient}_HE_mask.tif")
    (folder / "slides.csv").unlink()
    for name in ("slides", "masks"):
        (folder / name).rmdir()
