"""The tables and the cohort file of a simulated cohort."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from survfuse._types import FloatArray
from survfuse.datasets.population import FACTORS, Patients
from survfuse.datasets.simulation_plan import Plan
from survfuse.datasets.writing import write_csv, yaml_columns

_COLUMNS = {
    "age": "{kind: numeric}",
    "sex": "{kind: nominal}",
    "smoking": "{kind: nominal}",
    "tumor": "{kind: nominal}",
    "stage": "{kind: ordinal, levels: [TaHG, T1HG, T2HG]}",
    "substage": "{kind: nominal}",
    "grade": "{kind: ordinal, levels: [G2, G3]}",
    "reTUR": "{kind: nominal}",
    "LVI": "{kind: nominal}",
    "variant": "{kind: nominal}",
    "EORTC": "{kind: ordinal, levels: [Intermediate risk, High risk, Highest risk]}",
    "BRS": "{kind: nominal}",
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
    patients: Patients,
    risk: FloatArray,
    site_effect: FloatArray,
    seen: pd.DataFrame,
    shares: Mapping[str, FloatArray],
) -> pd.DataFrame:
    """Give everything that is true of the patients, one row each.

    Parameters
    ----------
    patients : Patients
    risk, site_effect : ndarray, (patients,)
        True log-risk, and what a hospital adds to it.
    seen : DataFrame
        Columns `time` and `event`.
    shares : mapping of class to ndarray, (patients,)
        Of the classes of tiles that change the risk, in all tiles of a patient.
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
    for name, share in shares.items():
        frame[f"{name}_share"] = share
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
