"""Fit the prior that comes with the package, `tcga_pancancer`, on nine TCGA cancers.

    SURVFUSE_DATA=../shared/data python studies/shipped_prior.py [-o FOLDER]

Expression z-scores and outcomes are open-access TCGA values as tabulated by PORPOISE
(Chen et al., Cancer Cell 2022). The offset of each cancer is age and sex.
The seconds of the fit and what each cancer says when it is left out are printed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from survfuse.cohort import Cohort, load_cohort
from survfuse.datasets.download import local_folder
from survfuse.priors import fit_prior
from survfuse.readers.priors import SHIPPED, Prior, write_prior

NAME = "tcga_pancancer"
CANCERS = ("brca", "coadread", "gbmlgg", "hnsc", "kirp", "lusc", "paad", "skcm")
ABOUT = {
    "provenance": "TCGA open-access expression and overall survival, as tabulated by PORPOISE "
    "(mahmoodlab/PORPOISE @3390dc4); z-scores that were made over whole cohorts",
    "citation": "Chen RJ et al. Pan-cancer integrative histology-genomic analysis via multimodal "
    "deep learning. Cancer Cell 2022;40:865-878.",
    "licence": "weights: Apache-2.0, as the package; source values: TCGA open access",
    "not_for": [
        "patients of TCGA: many are among those it was fitted on (refused by barcode)",
        "endpoints other than death of any cause, without thought",
        "conclusions on single genes: the weights of correlated genes are shared out",
        "effects of treatment",
        "cohorts that measure few of its genes: see the coverage that is noted",
    ],
}


def cohorts(data: Path, folder: Path) -> list[Cohort]:
    """Write the cohort files of the nine cancers and load them."""
    loaded = []
    for cancer in CANCERS:
        source = data / "tcga_omics" / cancer
        expression = {"path": str(source / "rna_z.parquet"), "unit": "zscore"}
        loaded.append(
            _cohort(folder, cancer, source, "os_months", "is_female", expression)
        )
    source = data / "tcga_luad"
    expression = {
        "path": str(source / "omics_z.csv.gz"),
        "patient": "case_id",
        "unit": "zscore",
        "gene_suffix": "_rnaseq",
    }
    loaded.append(_cohort(folder, "luad", source, "os_days", "gender", expression))
    return loaded


def _cohort(
    folder: Path, cancer: str, source: Path, time: str, sex: str, expression: dict
) -> Cohort:
    table = str(source / "patients.csv")
    spec = {
        "name": f"tcga_{cancer}",
        "outcome": {
            "table": table,
            "patient": "case_id",
            "time": time,
            "unit": time.removeprefix("os_"),
            "event": "os_event",
            "endpoint": "overall survival",
            "exclude_invalid": True,
        },
        "clinical": {
            "table": table,
            "patient": "case_id",
            "columns": {"age": {"kind": "numeric"}, sex: {"kind": "nominal"}},
        },
        "expression": {"genes": "symbol", **expression},
    }
    file = folder / f"{cancer}.yaml"
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    return load_cohort(file)


def fit(data: Path) -> Prior:
    """Fit the prior; weights in single precision, which is more than their errors leave."""
    with tempfile.TemporaryDirectory() as folder:
        prior = fit_prior(cohorts(data, Path(folder)), name=NAME)
    return replace(
        prior,
        weights=prior.weights.astype(np.float32),
        errors=None if prior.errors is None else prior.errors.astype(np.float32),
        card={**prior.card, **ABOUT},
    )


def main() -> None:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=SHIPPED / NAME)
    out = parser.parse_args().out
    data = local_folder("")
    if data is None:
        raise SystemExit("point SURVFUSE_DATA at the data")
    start = time.monotonic()
    prior = fit(Path(data))
    print(f"{time.monotonic() - start:.0f} s")
    for row in prior.card["held_out"]:
        print({key: round(v, 3) if type(v) is float else v for key, v in row.items()})
    print(
        f"slope {prior.slope:.3f} ± {prior.slope_spread:.3f}; {len(prior.genes)} genes"
    )
    print(f"wrote {write_prior(prior, out)}")


if __name__ == "__main__":
    main()
