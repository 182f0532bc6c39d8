"""A tournament of rules that weigh the terms of a stack, on eleven endpoints and simulated cohorts.

Fixed before any run. A rule gets the out-of-fold log-risks of the terms (a ridge Cox of each modality) and gives
each a weight. Every cohort is divided by its own five folds, and three times into 50, 100 and 200 training patients
(stratified by event) and the rest. The CRITERION is, over cohorts of equal weight and within a size,

1. the mean of Uno's C (to the 0.9 quantile of event times) less that of the best simple model of the cohort (best on average over its divisions:
   each modality alone, the sum of z-scores of all vectors, of clinical and expression or blood, of all modalities);
2. the worst cohort of the same; 3. the integrated Brier score (to the 0.9 quantile of event times) less that of
   the sum of z-scores of vectors; 4. the calibration slope (median over divisions); 5. harm: C lost by adding a
   modality of 20 columns of noise.

A rule is chosen by leaving one cohort out: largest mean of (1) + worst of (1) / 4 over the other cohorts, sizes
pooled. Its own score comes from the cohorts that it was not chosen on.

    python studies/stacking.py risks -o runs/stacking          # cross-fitted risks, about an hour on two cores
    python studies/stacking.py rules -o runs/stacking          # every rule on them, some minutes
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.optimize import minimize

import survfuse as sf
from survfuse._errors import NotComputableError
from survfuse.cohort import Cohort
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.splits import inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.datasets import card
from survfuse.datasets.simulate import simulate
from survfuse.estimators.linear_cox import LinearCox
from survfuse.metrics import calibration_slope, integrated_brier, uno_c
from survfuse.survival.calibration import centred_in_folds, fit_calibrator
from survfuse.survival.stacking import fit_weights, gains

CANCERS = ("brca", "coadread", "gbmlgg", "hnsc", "kirp", "lusc", "paad", "skcm")
OTHERS = {
    "hancock-os": ("hancock", {"endpoint": "os"}),
    "hancock-rfs": ("hancock", {"endpoint": "rfs"}),
    "luad": ("tcga_luad", {}),
}
SIMULATED: dict[str, dict[str, Any]] = {
    "sim-all": {"signal": "additive", "patients": 300},
    "sim-weak": {"signal": "additive", "strength": 0.5, "patients": 300},
    "sim-missing": {
        "signal": "additive",
        "patients": 300,
        "missing": {"clinical": 0.3, "expression": 0.3, "slides": 0.3},
    },
    "sim-none": {"signal": "none", "patients": 300},
}
SMALL = {"tiles": 60, "tile_dim": 64, "genes": 600}
SIZES, REPEATS, DEALS = (50, 100, 200), 3, 2
NOISE, NOISE_COLUMNS, FLAT = "noise", 20, 0.01
Case = dict[str, Any]
"""One division: names, risks (deals, train, terms), inner, fitted, test, time, event, test_time, test_event."""
Rule = Callable[[Case], np.ndarray]


def prepare(name: str, out: Path) -> Cohort:
    """Cohort of a name; its files are made once."""
    folder = out / "cohorts" / name
    if not (folder / "cohort.yaml").exists():
        if name in SIMULATED:
            simulate(folder, seed=1, **SMALL, **SIMULATED[name])
        elif name in OTHERS:
            dataset, options = OTHERS[name]
            card(dataset).convert(folder, **options)
        else:
            write_omics(name, folder)
    return sf.load_cohort(folder / "cohort.yaml")


def write_omics(cancer: str, folder: Path) -> None:
    """Cohort file of one of the eight cancers: age and sex, expression, copy number, mutations."""
    source = Path(os.environ["SURVFUSE_DATA"]).resolve() / "tcga_omics" / cancer
    table = str(source / "patients.csv")
    columns = {"age": {"kind": "numeric"}, "is_female": {"kind": "nominal"}}
    files = {one: source / f"{one}.parquet" for one in ("cnv", "mut")}
    spec = {
        "name": f"tcga-{cancer}",
        "outcome": {
            "table": table,
            "patient": "case_id",
            "time": "os_months",
            "unit": "months",
            "event": "os_event",
            "endpoint": "overall survival",
            "exclude_invalid": True,
        },
        "clinical": {"table": table, "columns": columns},
        "expression": {"path": str(source / "rna_z.parquet"), "unit": "zscore"},
        "modalities": {k: {"table": str(v)} for k, v in files.items() if v.exists()},
        "folds": {"table": table, "column": "fold"},
    }
    folder.mkdir(parents=True)
    (folder / "cohort.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))


def divisions(cohort: Cohort) -> Iterator[tuple[int, int, list[str]]]:
    """Size (0: all but a fold), repeat and training patients of each division."""
    ids, event = (
        np.array(cohort.patients, object),
        cohort.outcome["event"].to_numpy(bool),
    )
    folds = cohort.folds
    if folds is None:
        folds = pd.Series(inner_folds(event, 5, 0), cohort.patients)
    for number, fold in enumerate(sorted(folds.unique())):
        yield 0, number, list(ids[(folds != fold).to_numpy()])
    for size in SIZES:
        for repeat in range(REPEATS if size < 0.7 * len(ids) else 0):
            rng = np.random.default_rng(1000 * size + repeat)
            with_event = max(5, round(size * event.mean()))
            rows = rng.permutation(np.flatnonzero(event))[:with_event]
            others = rng.permutation(np.flatnonzero(~event))[: size - with_event]
            yield size, repeat, sorted(ids[np.r_[rows, others]])


def noise(cohort: Cohort, patients: Sequence[str]) -> np.ndarray:
    """Columns that say nothing, of every patient the same ones each time."""
    rows = np.random.default_rng(0).normal(size=(len(cohort), NOISE_COLUMNS))
    places = pd.Index(cohort.patients).get_indexer(pd.Index(patients))
    return rows[places]


def fitted(cohort: Cohort, train: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Log-risk of each modality, and of noise, by ridge Cox regressions of `train`; (others, terms)."""
    config = FitConfig.of()
    transforms = Transforms.fit(cohort, train, config)
    outcome = cohort.outcome.loc[list(train)]
    time, event = outcome["time"].to_numpy(float), outcome["event"].to_numpy(bool)
    here = BatchSource(cohort, transforms, train).blocks()
    there = BatchSource(cohort, transforms, others).blocks()
    here[NOISE] = noise(cohort, train), np.ones(len(train), bool)
    there[NOISE] = noise(cohort, others), np.ones(len(others), bool)
    columns = []
    for name, block in here.items():
        own = {name: block}
        missing = {name: transforms.blanks.get(name, {})}
        try:
            cox = LinearCox.fit(
                own, time, event, bags=transforms.bag_scaler, missing=missing
            )
        except NotComputableError as error:
            cox = LinearCox.constant(own, str(error))
        columns.append(cox.risk(there))
    return np.stack(columns, axis=1)


def divide(cohort: Cohort, train: list[str]) -> Case:
    """Cross-fitted and fitted risks of one division."""
    test = [patient for patient in cohort.patients if patient not in set(train)]
    case: Case = {"names": np.array([*cohort.modalities, NOISE])}
    case["bags"] = np.array(
        [data.kind == "bag" for data in cohort.modalities.values()] + [False]
    )
    for prefix, ids in (("", train), ("test_", test)):
        outcome = cohort.outcome.loc[ids]
        case[f"{prefix}time"] = outcome["time"].to_numpy(float)
        case[f"{prefix}event"] = outcome["event"].to_numpy(bool)
    both = fitted(cohort, train, [*train, *test])
    case["fitted"], case["test"] = both[: len(train)], both[len(train) :]
    ids = np.array(train, object)
    case["inner"] = np.stack(
        [inner_folds(case["event"], 5, deal) for deal in range(DEALS)]
    )
    case["risks"] = np.zeros((DEALS, *case["fitted"].shape))
    for deal, inner in enumerate(case["inner"]):
        for number in np.unique(inner):
            held = inner == number
            case["risks"][deal, held] = fitted(
                cohort, list(ids[~held]), list(ids[held])
            )
    return case


def write_risks(name: str, out: Path) -> str:
    """Compute and store every division of a cohort that is not stored yet."""
    cohort = prepare(name, out)
    for size, repeat, train in divisions(cohort):
        file = out / "risks" / f"{name}-{size}-{repeat}.npz"
        if file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        case = divide(cohort, train)
        temporary = file.with_suffix(".part")
        with temporary.open("wb") as stream:
            np.savez(stream, **case)
        temporary.rename(file)
    return name


def without(case: Case, term: str) -> Case:
    """A division without one of its terms."""
    keep = case["names"] != term
    parts = {
        key: case[key][..., keep]
        for key in ("names", "bags", "risks", "fitted", "test")
    }
    return {**case, **parts}


def weigh(case: Case, included: np.ndarray, start: np.ndarray, penalty: float) -> Any:
    """Weights of the included terms on all deals at once."""
    deals, patients, _ = case["risks"].shape
    return fit_weights(
        case["risks"][:, :, included].reshape(deals * patients, -1),
        np.tile(case["time"], deals),
        np.tile(case["event"], deals),
        start=start[included],
        penalty=penalty,
        fold=(case["inner"] + 100 * np.arange(deals)[:, None]).ravel(),
        repeats=deals,
    )


def shrink(
    case: Case,
    penalty: float = 20.0,
    start: float = 1.0,
    bags: bool = True,
    exclude: bool = False,
) -> np.ndarray:
    """Weights that shrink towards `start`; bags must add 1.92 to the log-likelihood."""
    count = len(case["names"])
    included, first = np.ones(count, bool), np.full(count, start)
    if exclude:
        for deal, inner in enumerate(case["inner"]):
            gain = gains(case["risks"][deal], case["time"], case["event"], fold=inner)
            included &= (gain > 0) | (deal > 0)
    if not included.any():
        return np.zeros(count)
    fit = weigh(case, included, first, penalty)
    for bag in np.flatnonzero(case["bags"] & included) if bags else ():
        rest = included.copy()
        rest[bag] = False
        if not rest.any():
            continue
        other = weigh(case, rest, first, penalty)
        if fit.log_likelihood - other.log_likelihood < 1.92:
            fit, included = other, rest
    weights = np.zeros(count)
    weights[included] = fit.weights
    return weights


def evened(case: Case, power: float, penalty: float = 80.0) -> np.ndarray:
    """As `shrink`, of risks whose deviations are brought to (`power` 1) or towards a common one."""
    deviation = case["risks"].std(axis=(0, 1))
    vary = deviation > FLAT
    factor = np.ones(len(deviation))
    if vary.any():
        common = np.exp(np.log(deviation[vary]).mean())
        factor[vary] = (common / deviation[vary]) ** power
    return shrink({**case, "risks": case["risks"] * factor}, penalty) * factor


def averaged(case: Case) -> np.ndarray:
    """Mean over all choices of included terms, each with its out-of-fold likelihood as weight."""
    count = len(case["names"])
    likelihoods, candidates = [], []
    for size in range(1, count + 1):
        for terms in combinations(range(count), size):
            included = np.isin(np.arange(count), terms)
            fit = weigh(case, included, np.ones(count), 20.0)
            weights = np.zeros(count)
            weights[included] = fit.weights
            likelihoods.append(fit.log_likelihood)
            candidates.append(weights)
    share = np.exp(np.array(likelihoods) - max(likelihoods))
    return np.asarray(share / share.sum() @ np.array(candidates))


def z_sum(case: Case, bags: bool = False) -> np.ndarray:
    """Each risk at deviation 1."""
    deviation = case["risks"].std(axis=(0, 1))
    weights = np.where(deviation > FLAT, 1 / np.maximum(deviation, FLAT), 0.0)
    return weights * (bags | ~case["bags"])


def brier(case: Case) -> np.ndarray:
    """Weights >= 0 of least IPCW Brier score at the median event time, of all deals."""
    time, event = case["time"], case["event"]
    horizon = np.median(time[event])
    order = np.argsort(time)
    at_risk = len(time) - np.arange(len(time))
    steps = np.where(event[order], 1.0, 1 - 1 / at_risk)
    censoring = np.cumprod(np.r_[1.0, steps[:-1]])[np.argsort(order)]
    before = event & (time <= horizon)
    late = censoring[time > horizon].max(initial=1e-3)
    ipcw = np.where(
        before, 1 / np.maximum(censoring, 1e-3), np.where(time > horizon, 1 / late, 0)
    )

    def loss(values: np.ndarray) -> float:
        risks = np.einsum("dpt,t->dp", case["risks"], values[1:])
        failed = 1 - np.exp(-np.exp(np.clip(values[0] + risks, -20, 5)))
        return float((ipcw * (before - failed) ** 2).mean())

    count = len(case["names"])
    first = np.r_[-0.5, np.full(count, 0.5)]
    bounds = [(None, None)] + [(0.0, 5.0)] * count
    return np.asarray(minimize(loss, first, bounds=bounds, method="L-BFGS-B").x[1:])


RULES: dict[str, Rule] = {
    "excluding (before)": partial(shrink, exclude=True),
    "shrink, bags must add": shrink,
    "shrink, all included": partial(shrink, bags=False),
    "shrink 5, bags must add": partial(shrink, penalty=5.0),
    "shrink 80, bags must add": partial(shrink, penalty=80.0),
    "weights of 1, bags must add": partial(shrink, penalty=1e6),
    "half evened, shrink 80": partial(evened, power=0.5),
    "evened, shrink 80": partial(evened, power=1.0),
    "averaged over inclusion": averaged,
    "non-negative, likelihood": partial(shrink, penalty=0.1, start=0.0, bags=False),
    "non-negative, Brier": brier,
    "sum of z-scores, vectors": z_sum,
}


def simple_models(case: Case) -> dict[str, np.ndarray]:
    """Weights of the simple models: each modality alone, and sums of z-scores."""
    names, deviation = case["names"], case["fitted"].std(axis=0)
    scale = np.where(deviation > FLAT, 1 / np.maximum(deviation, FLAT), 0.0)
    models = {f"only {name}": scale * (names == name) for name in names}
    models["z-sum vectors"] = scale * ~case["bags"]
    models["z-sum two"] = scale * np.isin(names, ["clinical", "expression", "blood"])
    models["z-sum all"] = scale
    return models


def out_of_fold(case: Case, rule: Rule) -> np.ndarray:
    """Log-risk of each training patient with weights of the other inner folds; (patients,)."""
    totals = []
    for deal, inner in enumerate(case["inner"]):
        total = np.zeros(len(inner))
        for number in np.unique(inner):
            held = inner == number
            rest = {**case, "risks": case["risks"][deal : deal + 1, ~held]}
            rest |= {"inner": inner[None, ~held], "time": case["time"][~held]}
            rest["event"] = case["event"][~held]
            total[held] = case["risks"][deal, held] @ rule(rest)
        totals.append(centred_in_folds(total, inner, len(inner)))
    return np.asarray(np.mean(totals, axis=0))


def score(
    case: Case, weights: np.ndarray, held_out: np.ndarray | None
) -> dict[str, float]:
    """Uno's C; with out-of-fold risks, integrated Brier score and slope of the calibrated model."""
    risk = case["test"] @ weights
    time, event = case["test_time"], case["test_event"]
    tau = float(np.quantile(case["time"][case["event"]], 0.9))
    row = {
        "c": uno_c(
            time, event, risk, tau=tau, train=(case["time"], case["event"])
        ).value
    }
    if held_out is None:
        return row
    calibrator = fit_calibrator(
        "breslow_oof",
        case["time"],
        case["event"],
        case["fitted"] @ weights,
        out_of_fold=held_out,
        fold=np.zeros(len(held_out), int),
    )
    times = np.linspace(0, np.quantile(time[event], 0.9), 31)[1:]
    survival = calibrator.curves(risk).at(times)
    row["ibs"] = integrated_brier(time, event, survival, times).value
    hazard = -np.log(np.clip(survival, 1e-12, 1))
    late = np.log(np.maximum(hazard[:, -1], 1e-12))
    row["slope"] = calibration_slope(time, event, late).value
    return row


def measure(file: Path) -> list[dict[str, Any]]:
    """Every rule and simple model on one division."""
    with np.load(file, allow_pickle=False) as stored:
        whole = dict(stored)
    case = without(whole, NOISE)
    cohort, size, repeat = file.stem.rsplit("-", 2)
    about = {"cohort": cohort, "size": int(size), "repeat": int(repeat)}
    rows = []
    for name, rule in RULES.items():
        row = score(case, rule(case), out_of_fold(case, rule))
        row["harm"] = row["c"] - score(whole, rule(whole), None)["c"]
        rows.append({**about, "model": name, "simple": False, **row})
    for name, weights in simple_models(case).items():
        rows.append(
            {**about, "model": name, "simple": True, **score(case, weights, None)}
        )
    return rows


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Criteria of each rule in each cohort and size."""
    means = table.groupby(["cohort", "size", "model", "simple"]).mean(numeric_only=True)
    means["slope"] = table.groupby(["cohort", "size", "model", "simple"])[
        "slope"
    ].median()
    means = means.reset_index()
    rows = []
    for (cohort, size), part in means.groupby(["cohort", "size"]):
        best = part[part["simple"]]["c"].max()
        clinical = part[part["model"] == "only clinical"]["c"].max()
        late = part[part["model"] == "sum of z-scores, vectors"]["ibs"].max()
        for row in part[~part["simple"]].itertuples():
            values = (
                row.c - best,
                row.c - clinical,
                row.ibs - late,
                row.slope,
                row.harm,
            )
            rows.append((cohort, size, row.model, row.c, *values))
    names = [
        "cohort",
        "size",
        "rule",
        "c",
        "best simple",
        "clinical",
        "ibs",
        "slope",
        "harm",
    ]
    return pd.DataFrame(rows, columns=names)


def criterion(frame: pd.DataFrame) -> pd.Series:
    """Mean over cohorts of C less the best simple model's, and a quarter of the worst; by rule."""
    by_cohort = frame.groupby(["rule", "cohort"])["best simple"].mean()
    by_rule = by_cohort.groupby("rule")
    return by_rule.mean() + by_rule.min() / 4


def judge(table: pd.DataFrame) -> None:
    """Print every rule, and what leaving one cohort out chooses and reaches."""
    frame = differences(table)
    real = frame[~frame["cohort"].isin(SIMULATED)]
    shown = real.groupby(["size", "rule"]).agg(
        c=("c", "mean"),
        best_simple=("best simple", "mean"),
        worst=("best simple", "min"),
        clinical_worst=("clinical", "min"),
        ibs=("ibs", "mean"),
        slope=("slope", "median"),
        harm=("harm", "mean"),
    )
    print(shown.round(4).to_string())
    rows = []
    for cohort in real["cohort"].unique():
        rule = criterion(real[real["cohort"] != cohort]).idxmax()
        own = real[(real["cohort"] == cohort) & (real["rule"] == rule)]
        rows.append(own)
    chosen = pd.concat(rows)
    print(criterion(real).sort_values().round(4).to_string())
    print("\nchosen by leaving one cohort out")
    print(chosen.groupby(["cohort", "rule"])["best simple"].mean().round(4).to_string())
    columns = ["best simple", "clinical", "ibs", "slope", "harm"]
    print(
        chosen.groupby("size")[columns].agg(["mean", "min", "max"]).round(4).to_string()
    )
    simulated = frame[frame["cohort"].isin(SIMULATED)]
    print(simulated.pivot_table("c", ["cohort", "size"], "rule").round(3).T.to_string())


def main() -> None:
    """Compute risks, or judge the rules on them."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", choices=["risks", "rules"])
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--cohorts", nargs="+", default=[*CANCERS, *OTHERS, *SIMULATED])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers) as pool:
        if options.step == "risks":
            for name in pool.map(
                partial(write_risks, out=options.out), options.cohorts
            ):
                print(name, flush=True)
            return
        files = sorted((options.out / "risks").glob("*.npz"))
        table = pd.DataFrame([row for rows in pool.map(measure, files) for row in rows])
    table.to_csv(options.out / "rules.csv", index=False)
    judge(table)


if __name__ == "__main__":
    main()
