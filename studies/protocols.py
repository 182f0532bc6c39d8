"""What the paper's protocol makes of nothing: validation set = test set, against ours, on null cohorts.

176 simulated patients whose outcome depends on none of their data, cut into 148 and 28 as in
arXiv 2605.13897. `theirs` trains its network on the 148 for 50 epochs and reports the best
C of any epoch on the 28. `ours` cross-validates the same network: the epoch is chosen on
training patients, everyone is tested once, and the interval is the report's. The network is
the paper's with narrower layers and larger batches, so that a hundred cohorts can be had.

    python studies/protocols.py --cohorts 100 -o protocols.json
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import survfuse as sf
from survfuse._storage import write_json
from survfuse.cohort.splits import holdout
from survfuse.config import FitConfig
from survfuse.datasets.simulate import simulate
from survfuse.estimators import FoldContext
from survfuse.evaluation import crossval
from survfuse.evaluation.candidates import SELECTED_ON_TEST, Candidate
from survfuse.metrics import Estimate, harrell_c

PATIENTS, TESTED = 176, 28
DATA = {
    "patients": PATIENTS,
    "tiles": 40,
    "tile_dim": 64,
    "genes": 300,
    "signal": "none",
}
NARROW = {
    "bag_width": 32,
    "attention_width": 16,
    "vector_hidden": (64, 32),
    "epochs": 50,
    "min_epochs": 50,
}
NARROW |= {"batch": 16, "learning_rate": 1e-3, "weight_decay": 1e-4}


def one(seed: int, config: FitConfig) -> list[dict[str, Any]]:
    """Both protocols on one cohort."""
    with tempfile.TemporaryDirectory() as folder:
        cohort = sf.load_cohort(simulate(Path(folder) / "cohort", seed=seed, **DATA))
        assert cohort.outcome is not None
        event = cohort.outcome["event"].to_numpy(bool)
        tested = holdout(event, TESTED / PATIENTS, seed)
        ids = np.array(cohort.patients, dtype=object)
        test = sorted(ids[tested])
        fold = FoldContext.of(cohort, sorted(ids[~tested]))
        control = Candidate(SELECTED_ON_TEST, config, "control")
        found = control.fit_predict(fold, test)
        outcome = cohort.outcome.loc[test]
        theirs = harrell_c(outcome["time"], outcome["event"], found.prediction.log_risk)
        last = found.summary["last_harrell_c"]
        crossval.comparators = (
            lambda *_, **__: []
        )  # the baselines are not what is asked
        result = sf.cross_validate(
            sf.SurvivalFusion.from_config(config),
            cohort,
            networks=False,
            controls=False,
            bootstrap=0,
            name="ours",
        )
        ours = result.estimates["ours"]["harrell_c"]
    return [
        _row(seed, "theirs: best of 50 epochs on the test set", theirs),
        {**_row(seed, "theirs: last epoch", theirs), "c": last, "claims": None},
        _row(seed, "ours", ours),
    ]


def _row(seed: int, protocol: str, estimate: Estimate) -> dict[str, Any]:
    claims = estimate.low is not None and estimate.low > 0.5
    return {
        "seed": seed,
        "protocol": protocol,
        "c": estimate.value,
        "low": estimate.low,
        "claims": claims,
    }


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cohorts", type=int, default=100)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    config = FitConfig.of("paper", **NARROW)
    rows: list[dict[str, Any]] = []
    for seed in range(options.cohorts):
        rows += one(seed, config)
        if seed % 10 == 9:
            print(f"{seed + 1} cohorts", flush=True)
    table = pd.DataFrame(rows)
    print(
        table.groupby("protocol")["c"]
        .agg(["mean", "std", "min", "max"])
        .round(3)
        .to_string(),
    )
    claims = (
        table.dropna(subset=["claims"])
        .groupby("protocol")["claims"]
        .agg(["sum", "count"])
    )
    print("claims to be better than chance (95 % interval above .5):")
    print(claims.to_string())
    if options.out is not None:
        write_json(options.out, rows)


if __name__ == "__main__":
    main()
