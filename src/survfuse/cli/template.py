"""What `init` writes: a commented cohort file, its toy cohort, a run configuration."""

from __future__ import annotations

from pathlib import Path

COHORT = """\
# yaml-language-server: $schema=cohort.schema.json
# A cohort: what each patient has, where it lies, what it means. Paths are relative to this file.
name: my-study

outcome:
  table: patients.csv
  patient: patient_id          # ids are text: 007 stays 007
  time: months                 # must be > 0
  unit: months                 # days, months or years
  event: relapse               # 1 = the event happened; or say `censored: COLUMN`. Never guessed.
  # event_values: {Dead: 1, Alive: 0}   # every value of that column, where it is not 0 and 1
  endpoint: recurrence-free survival
  # horizons: [12, 36, 60]     # times at which survival is told; 1, 3 and 5 years if left out
  # exclude_invalid: true      # leave out, and list, patients without a usable time or event

clinical:
  table: patients.csv
  columns:                     # only declared columns are used
    age:   {kind: numeric, label: Age (years)}    # `label`: what tables and figures call it
    stage: {kind: ordinal, levels: [Ta, T1, T2], label: Stage}
    sex:   {kind: nominal, label: Sex, labels: {Female: women, Male: men}}   # words for values
    # doses: {kind: numeric, known: followup, use: false}   # after baseline: refused
  missing: ["", "NA", "-1"]

expression:
  path: expression.csv         # or .tsv, .gz, .parquet, .h5ad, or a folder of JSON files
  unit: log2tpm                # counts, tpm, log2tpm, log2counts, vst, zscore, fpkm, log2fpkm
  genes: symbol                # symbol, ensembl or entrez
  # label: RNA-seq             # every modality can have one

slides:
  table: slides.csv            # slide_id, patient_id; several slides per patient
  features: features           # of CLAM, TRIDENT, STAMP, wsidata, slideflow, .pt, .npy, .npz
  encoder: toy

# modalities:                  # any further vector or bag modality
#   blood: {table: blood.csv}
# groups: {site: site}
# folds: {table: patients.csv, column: fold}
# exclude: []
"""


def write_template(folder: Path) -> list[Path]:
    """Write the template into a folder: all of its files or none.

    Raises
    ------
    InputError
        When one of its files is already there (nothing is overwritten), or nothing can be written.
    """
    from survfuse.drafts.writing import write_study

    toy = ("patients.csv", "expression.csv", "slides.csv", "features")
    return write_study(folder, {"cohort.yaml": COHORT}, _write_toy, toy)


def _write_toy(
    folder: Path,
    patients: int = 60,
    genes: int = 40,
    dim: int = 16,
) -> None:
    """Write patients whose hazard depends on age and on one gene module; slides carry nothing."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)
    ids = [f"P{number:03d}" for number in range(1, patients + 1)]
    age, module = (
        rng.normal(68, 9, patients).round().astype(int),
        rng.normal(size=patients),
    )
    relapse = rng.exponential(30 * np.exp(-0.06 * (age - 68) - 0.6 * module))
    follow_up = rng.uniform(12, 72, patients)
    table = pd.DataFrame(
        {
            "patient_id": ids,
            "months": np.minimum(relapse, follow_up).clip(0.1).round(1),
            "relapse": (relapse <= follow_up).astype(int),
            "age": age,
            "stage": rng.choice(["Ta", "T1", "T2"], patients),
            "sex": rng.choice(["Female", "Male"], patients),
        },
    )
    weights = np.where(np.arange(genes) < 8, 1.0, 0.0)
    values = np.maximum(
        0,
        5 + module[:, None] * weights + rng.normal(0, 0.7, (patients, genes)),
    ).round(3)
    expression = pd.DataFrame(
        values,
        columns=[f"GENE{number}" for number in range(1, genes + 1)],
    )
    expression.insert(0, "patient_id", ids)
    table.to_csv(folder / "patients.csv", index=False)
    expression.to_csv(folder / "expression.csv", index=False)
    pd.DataFrame({"slide_id": [f"{i}-A" for i in ids], "patient_id": ids}).to_csv(
        folder / "slides.csv",
        index=False,
    )
    (folder / "features").mkdir()
    for patient in ids:
        tiles = rng.normal(size=(int(rng.integers(10, 40)), dim)).astype(np.float16)
        np.save(folder / "features" / f"{patient}-A.npy", tiles)
