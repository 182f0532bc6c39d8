"""The tables and the cohort file of a simulated cohort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from survfuse._types import FloatArray
from survfuse.datasets import outcomes
from survfuse.datasets.population import FACTORS, GeneWorld, Patients
from survfuse.datasets.simulated_tissue import CLASSES
from survfuse.datasets.simulation_plan import Plan
from survfuse.datasets.writing import write_csv, yaml_columns

if TYPE_CHECKING:
    from survfuse.datasets.slide_folder import Planted

_COLUMNS = {
    "age": "{kind: numeric, label: Age (years)}",
    "sex": "{kind: nominal, label: Sex, labels: {Male: men, Female: women}}",
    "smoking": "{kind: nominal, label: Smokes}",
    "tumor": "{kind: nominal, label: Tumour}",
    "stage": "{kind: ordinal, levels: [TaHG, T1HG, T2HG], label: Stage}",
    "substage": "{kind: nominal, label: Substage}",
    "grade": "{kind: ordinal, levels: [G2, G3], label: Grade}",
    "reTUR": "{kind: nominal, label: Second resection}",
    "LVI": "{kind: nominal, label: Lymphovascular invasion}",
    "variant": "{kind: nominal, label: Histology}",
    "EORTC": (
        "{kind: ordinal, levels: [Intermediate risk, High risk, Highest risk], "
        "label: EORTC risk}"
    ),
    "BRS": "{kind: nominal, label: BCG response subtype}",
}
_LEAK = (
    "{kind: numeric, known: followup}   "
    "# doses received during follow-up: who relapses early gets fewer"
)
_SLIDES = """\
slides:
  table: slides.csv
  images: slides/         # pixels; `survfuse extract` reads them
  masks: masks/           # tissue, one small image per slide
  features: features/     # what `survfuse extract` writes
  encoder: stain_texture
"""


def write_tables(
    folder: Path,
    plan: Plan,
    patients: Patients,
    seen: pd.DataFrame,
    present: pd.DataFrame,
    *,
    with_outcome: bool,
) -> None:
    """Write ``clinical.csv``, and ``patients.csv`` where there is an outcome or a site to tell.

    Parameters
    ----------
    folder : path
    plan : Plan
    patients : Patients
    seen : DataFrame
        Columns `time`, `event` and, where the plan has a leak, `no_instillations`; one row a
        patient.
    present : DataFrame of bool, (patients, modalities)
    with_outcome : bool
    """
    clinical = patients.clinical.copy()
    if plan.leak:
        clinical["no_instillations"] = seen["no_instillations"]
    clinical.insert(0, "patient_id", list(patients.ids))
    write_csv(folder / "clinical.csv", clinical[present["clinical"].to_numpy()])
    table = pd.DataFrame({"patient_id": list(patients.ids)})
    if with_outcome:
        table["time"], table["event"] = seen["time"], seen["event"]
    if plan.sites:
        table["site"] = [f"site{number + 1}" for number in patients.site]
    if with_outcome or plan.sites:
        write_csv(folder / "patients.csv", table)


def truth(
    plan: Plan,
    patients: Patients,
    risk: FloatArray,
    site_effect: FloatArray,
    seen: pd.DataFrame,
    shares: FloatArray,
) -> pd.DataFrame:
    """Give everything that is true of the patients, one row each.

    Parameters
    ----------
    plan : Plan
    patients : Patients
    risk, site_effect : ndarray, (patients,)
        True log-risk, and what a hospital adds to it.
    seen : DataFrame
        Columns `time` and `event`.
    shares : ndarray, (patients, classes)
        Of each class in all tiles of a patient; told where the signal is `composition`.
    """
    frame = pd.DataFrame(
        {"patient_id": patients.ids, "log_risk": risk, "site_effect": site_effect},
    )
    frame["time"], frame["event"] = seen["time"], seen["event"]
    for k in range(FACTORS):
        frame[f"slide_factor_{k + 1}"] = patients.slide_factor[:, k]
        frame[f"rna_factor_{k + 1}"] = patients.rna_factor[:, k]
        frame[f"slide_sign_{k + 1}"] = patients.slide_sign[:, k].astype(int)
        frame[f"rna_sign_{k + 1}"] = patients.rna_sign[:, k].astype(int)
    if plan.signal == "composition":
        for name in (outcomes.PROTECTS, outcomes.HARMS):
            frame[f"{name}_share"] = shares[:, CLASSES.index(name)]
    return frame


def cohort_yaml(plan: Plan, *, with_outcome: bool) -> str:
    """Write the cohort file's text."""
    parts = [
        f"# Simulated by survfuse (signal: {plan.signal}, seed: {plan.seed}); nobody's data.\n"
        "# What was planted stands in truth.csv and simulation.json, which no loader reads.\n"
        f"name: simulated-{plan.signal}{'' if with_outcome else '-new'}\n",
    ]
    if with_outcome:
        parts.append(
            "outcome:\n"
            "  table: patients.csv\n"
            "  patient: patient_id\n"
            f"  time: time\n  unit: {plan.unit}\n"
            "  event: event          # 1 = progression, 0 = censored\n"
            "  endpoint: progression\n",
        )
    else:
        parts.append("# No outcome: these patients are to be predicted.\n")
    columns = {**_COLUMNS, **({"no_instillations": _LEAK} if plan.leak else {})}
    parts.append(
        "clinical:\n"
        "  table: clinical.csv\n"
        "  patient: patient_id\n"
        '  missing: ["", "NA", "-1"]   '
        '# -1 is "not known" in every column, also where numbers stand\n'
        "  columns:\n" + yaml_columns(columns) + "\n",
    )
    parts.append(
        "expression:\n"
        "  path: expression.parquet\n"
        "  patient: patient_id\n"
        "  unit: vst               # variance-stabilised; 3.7 is the floor of unexpressed genes\n"
        "  genes: symbol\n",
    )
    parts.append(_SLIDES if plan.images else "slides:\n  packed: slides.bags\n")
    if plan.sites:
        parts.append(
            "groups:\n  site: {table: patients.csv, column: site, patient: patient_id}\n",
        )
    return "\n".join(parts)


def describe_truth(
    plan: Plan,
    genes: GeneWorld,
    site_log_hazard: FloatArray,
    scale: float,
    planted: list[Planted],
) -> dict[str, Any]:
    """Give what was asked for and what was planted, as ``simulation.json`` holds it.

    Parameters
    ----------
    plan : Plan
    genes : GeneWorld
    site_log_hazard : ndarray, (sites,)
    scale : float, months
        Of the Weibull distribution.
    planted : list of Planted
        What is true of painted slides; empty for bags.
    """
    names = np.array(genes.names)
    rows = "in the row order of slides.bags/features.npy"
    if plan.layout == "chimera":
        rows = "in the row order of features/features/*.pt, patients sorted by id"
    tissue: dict[str, Any] = {"tissue_of_tile": f"truth_tissue.npy, {rows}"}
    if plan.images:
        from survfuse.datasets.slide_folder import describe

        tissue = {
            "tissue_of_pixel": "truth_tissue/<slide_id>.png, one pixel per 4 µm, "
            "values are tissue_classes",
            "planted": describe(planted),
        }
    composition: dict[str, Any] = {}
    if plan.signal == "composition":
        composition["composition"] = {
            "protects": outcomes.PROTECTS,
            "harms": outcomes.HARMS,
            "log_risk_per_share": outcomes.risk_per_share(plan.strength),
            "shares": "truth.csv, of all tiles of a patient (bags) or of the tissue (pixels)",
        }
    return {
        "format": "survfuse-simulation",
        "version": 1,
        "asked": {name: getattr(plan, name) for name in plan.__dataclass_fields__},
        "weibull": {"shape": outcomes.SHAPE, "scale_months": scale},
        "censoring": {
            "administrative_months": outcomes.FOLLOW_UP,
            "dropout_per_month": outcomes.DROPOUT,
        },
        "rna_factor_genes": {
            str(k + 1): names[genes.module == k].tolist() for k in range(FACTORS)
        },
        "tissue_classes": CLASSES,
        **tissue,
        **composition,
        "site_log_hazard": site_log_hazard if plan.sites else [],
    }
