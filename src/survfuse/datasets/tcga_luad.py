"""TCGA lung adenocarcinoma: 422 patients, expression z-scores and one small bag each.

Expression as distributed with PORPOISE (TCGA, open access); slide features are the
human-interpretable histology features (HIF) of Diao et al., Nat Commun 2021;12:1613.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd

from survfuse._storage import write_text
from survfuse._types import Float32Array
from survfuse.datasets.download import RemoteFile, locate
from survfuse.datasets.writing import (
    new_folder,
    try_new_folder,
    write_bags,
    write_csv,
    write_expression,
)

FILES = (
    RemoteFile(
        "patients.csv",
        "adecc594516ceb663c2d56600e247a76bda366bbcdef5a03f510133e47e2b5ad",
    ),
    RemoteFile(
        "omics_z.csv.gz",
        "c8de913a88e7dd8d4f5267743034b70cfe95f5ea64a4cd2352b441eb884b050b",
    ),
    RemoteFile(
        "wsi_hif607_per_slide.csv.gz",
        "bd799d86189ae38d652ca4d73ff53e161e26cbe9cc78b1cf198f8f21a7f547fb",
    ),
)
_RNA = "_rnaseq"

_YAML = Template("""\
# TCGA lung adenocarcinoma. Expression: TCGA open access as distributed with PORPOISE.
# Slide features: CC BY-NC-SA 4.0, Path-AI/hif2gene @a45219b, Diao et al., Nat Commun 2021;12:1613.
name: tcga-luad-os

outcome:
  table: patients.csv
  patient: case_id
  time: os_days
  unit: days
  event: os_event
  endpoint: overall survival

clinical:
  table: patients.csv
  patient: case_id
  missing: ["", "[Not Available]", "[Not Evaluated]", "[Discrepancy]", "[Unknown]"]
  columns:
    age:    {kind: numeric}
    gender: {kind: nominal}
    # Sub-stages (IA, IB, ...) are folded into their stage; stage_detail keeps them.
    stage:  {kind: ordinal, levels: [Stage I, Stage II, Stage III, Stage IV]}

expression:
  path: expression.parquet
  patient: patient_id
  # Published z-scores, made before any split (a mild leak between folds) and not quite of mean 0
  # and
  # deviation 1 in these patients: one gene, DEFA5, reaches 7378.
  unit: zscore
  genes: symbol

slides:
  # One row per slide, 1 to 8 slides per patient. $defined of $all features: the other $dropped are
  # undefined for some slide and left out; slide_features.csv names both.
  packed: slides.bags

folds: {table: patients.csv, column: fold, patient: case_id}

# The hospital, read off the barcode. It crosses the given folds; take one of the two.
# groups: {site: site}
""")


def tcga_luad(
    out: Path | str,
    source: Path | str | None = None,
) -> Path:
    """Write the TCGA-LUAD cohort folder from a local copy.

    A patient's bag has one row per slide. Features that are undefined for any slide
    (ratios whose denominator is a region that the slide does not have) are left out
    of the bags, by name, without looking at any outcome: a feature that a new slide
    may lack is no tile feature. They are listed in ``slide_features.csv``.

    Parameters
    ----------
    out : path
        A new or empty folder.
    source : path, optional
        A folder with ``patients.csv``, ``omics_z.csv.gz`` and ``wsi_hif607_per_slide.csv.gz``;
        ``$SURVFUSE_DATA/tcga_luad`` where not given.

    Returns
    -------
    Path
        ``out/cohort.yaml``.

    Raises
    ------
    InputError
        When files are absent or changed, or `out` holds something.
    """
    try_new_folder(out)
    root = locate("tcga_luad", FILES, None, source=source)
    with new_folder(out) as folder:
        _write_patients(root, folder)
        _write_expression(root, folder)
        defined, dropped = _write_bags(root, folder)
        write_text(
            folder / "cohort.yaml",
            _YAML.substitute(
                defined=defined,
                all=defined + dropped,
                dropped=dropped,
            ),
        )
    return Path(out) / "cohort.yaml"


def _write_patients(root: Path, folder: Path) -> None:
    """Copy the table; `stage` loses its sub-stage, `site` is read off the barcode."""
    table = pd.read_csv(
        root / "patients.csv",
        dtype=str,
        keep_default_na=False,
    )
    detail = table["stage"]
    table["stage_detail"] = detail
    table["stage"] = detail.where(
        ~detail.str.startswith("Stage "),
        detail.str.replace(r"[ABC]$", "", regex=True),
    )
    table["site"] = table["case_id"].str.split("-").str[1]
    write_csv(folder / "patients.csv", table)


def _write_expression(root: Path, folder: Path) -> None:
    table = pd.read_csv(root / "omics_z.csv.gz", dtype={"case_id": str})
    columns = [name for name in table.columns if name.endswith(_RNA)]
    genes = tuple(name.removesuffix(_RNA) for name in columns)
    values = table[columns].to_numpy(dtype=np.float32)
    write_expression(
        folder / "expression.parquet",
        values,
        genes,
        table["case_id"].tolist(),
    )


def _write_bags(root: Path, folder: Path) -> tuple[int, int]:
    table = pd.read_csv(
        root / "wsi_hif607_per_slide.csv.gz",
        dtype={"case_id": str, "slide": str},
    )
    table = table.sort_values(["case_id", "slide"], kind="stable")
    features = table.drop(columns=["case_id", "slide"])
    undefined = features.isna().sum()
    defined = undefined.index[undefined == 0]
    position = {name: str(index) for index, name in enumerate(defined)}
    write_csv(
        folder / "slide_features.csv",
        pd.DataFrame(
            {
                "index": [position.get(name, "") for name in features.columns],
                "feature": features.columns,
                "slides_undefined": undefined.to_numpy(),
            },
        ),
    )
    values = features[defined].to_numpy(dtype=np.float32)
    cases, slides = table["case_id"].tolist(), table["slide"].tolist()

    def bags() -> Iterator[tuple[str, str, Float32Array, None]]:
        for row, (case, slide) in enumerate(zip(cases, slides, strict=True)):
            yield slide, case, values[row : row + 1], None

    write_bags(bags(), folder / "slides.bags", encoder=f"hif{len(defined)}")
    return len(defined), len(features.columns) - len(defined)
