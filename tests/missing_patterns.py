"""A small cohort whose risk can be learned, with every pattern of missing modalities."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from running import loaded, small
from survfuse.cohort import Cohort


def partly_missing(root: Path) -> Cohort:
    """Make 60 patients, of whom some lack one modality and some two; risk depends on all three."""
    files = small(root, 60)
    assert files.expression is not None
    assert files.slides is not None
    rng = np.random.default_rng(11)
    age = (files.patients["age"].to_numpy() - 62) / 12
    gene, tile = files.expression["GENE1"].to_numpy() - 6, rng.normal(size=60)
    files.expression[["GENE2", "GENE3"]] += 2 * gene[:, None]
    for slide, bag in files.bags.items():
        bag[:, 0] += 4 * tile[int(slide.split("_")[0]) - 1]
    risk = 1.5 * age + 2 * gene + 2.5 * tile + gene * tile
    spread = rng.exponential(size=60) ** 0.2
    files.patients["os_days"] = np.round(1500 * np.exp(-risk) * spread + 20).astype(int)
    files.patients["os_event"] = (np.arange(60) % 4 > 0).astype(int)
    files.set("004", "age", "")
    lost = {"expression": ("005", "021", "033"), "slides": ("007", "021", "030")}
    files.expression = files.expression.drop(index=list(lost["expression"]))
    files.slides = files.slides[~files.slides["patient_id"].isin(lost["slides"])]
    files.bags = {slide: files.bags[slide] for slide in files.slides["slide_id"]}
    table = files.patients[["patient_id", "age", "stage", "sex"]]
    files.tables["clinical.csv"] = table[
        ~table["patient_id"].isin(["008", "030", "033"])
    ]
    files.spec["clinical"]["table"] = "clinical.csv"
    return loaded(files)
