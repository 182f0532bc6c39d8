"""A made-up performance.json beside a made-up run, with everything the report can show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from report.described import characteristics, clinical_hazards
from survfuse.explanations.agreement_tables import WHAT, sentence, status

LOST = {"value": None, "se": None, "low": None, "high": None}
CLINICAL = "ridge:clinical"


def estimate(
    value: float | None,
    se: float = 0.03,
    note: str = "",
    n: int = 150,
) -> dict[str, Any]:
    """An estimate as the run writes it; with no value, `note` says why."""
    counts = {"n": n, "events": n // 2, "note": note, "assumptions": ""}
    if value is None:
        return {**LOST, **counts}
    return {
        "value": value,
        "se": se,
        "low": value - 1.96 * se,
        "high": value + 1.96 * se,
        **counts,
    }


def all_metrics(strength: float, horizons: tuple[float, ...]) -> dict[str, Any]:
    """Every metric of a model; `strength` shifts it from useless (0) to good (1)."""
    found = {
        "isbs": estimate(0.19 - 0.04 * strength, 0.008, "up to 60 months"),
        "integrated_ipa": estimate(0.2 * strength, 0.05),
        "log_likelihood": estimate(-2.4 + 0.2 * strength, 0.1),
        "observed_expected": estimate(1.08, 0.09),
        "calibration_slope": estimate(0.7 + 0.2 * strength, 0.14),
        "d_calibration": estimate(0.43, 0.0),
        "royston_r2": estimate(0.1 + 0.2 * strength, 0.05),
        "kent_oquigley_r2": estimate(0.1 + 0.19 * strength, 0.05),
    }
    found["d_calibration"] |= {"se": None, "low": None, "high": None}
    for i, horizon in enumerate(horizons):
        late = horizon == horizons[-1]
        for name, value, se in (
            ("auc", 0.6 + 0.12 * strength, 0.04),
            ("brier", 0.14 + 0.02 * i, 0.01),
        ):
            found[f"{name}_{horizon:g}"] = estimate(value, se)
        found[f"ipa_{horizon:g}"] = estimate(0.16 * strength, 0.05)
        for name in ("ici", "e50", "e90"):
            lost = late and name == "e90"
            note = "5 patients are followed beyond 60 months" if lost else ""
            found[f"{name}_{horizon:g}"] = estimate(
                None if lost else 0.04 + 0.01 * i,
                0.01,
                note,
            )
    return found


def explanations() -> dict[str, Any]:
    """Shares of terms, and the agreement of half models: one reproduces, one is grey."""
    shares = [("clinical", 0.71, 0.6, 0.8), ("slides", 0.31, 0.2, 0.4)]
    shares += [("clinical*slides", -0.02, -0.1, 0.06)]
    agreement = []
    for level, modality, name, value in (
        ("prediction", "", "log-risk", 0.72),
        ("term", "", "clinical", 0.88),
        ("term", "", "slides", 0.12),
        ("term", "", "clinical*slides", None),
        ("column", "clinical", "age", 0.91),
        ("top genes", "rna", "", 0.06),
        ("tiles", "slides", "", 0.03),
    ):
        expected = (
            value if value is None or level == "top genes" else min(2 * value, 0.95)
        )
        row: dict[str, Any] = {"level": level, "modality": modality, "name": name}
        row |= {"agreement": value, "low": value, "high": value, "splits": 4}
        row |= {"expected": None if level == "top genes" else expected}
        row |= {"status": status(expected), "says": sentence(expected, WHAT[level])}
        agreement.append(row)
    return {
        "shares": [
            {"term": term, "share": share, "low": low, "high": high}
            for term, share, low, high in shares
        ],
        "agreement": agreement,
        "patients": 150,
        "half": 60.0,
        "note": "",
    }


def performance(
    model: str,
    horizons: tuple[float, ...],
    sites: int = 4,
    seed: int = 3,
) -> dict[str, Any]:
    """Everything that performance.json can hold."""
    rng = np.random.default_rng(seed)
    return {
        "time_curves": _time_curves(model, horizons),
        "calibration": _calibration(model, horizons),
        "calibration_histogram": [
            {"model": name, "horizon": h, "left": k / 20, "right": (k + 1) / 20}
            | {"patients": int(60 * np.exp(-((k / 20 - 0.3) ** 2) / 0.04))}
            for name in (model, CLINICAL)
            for h in horizons
            for k in range(20)
        ],
        "decision": _decision(model, horizons),
        "subgroups": _subgroups(model, sites, rng),
        "increment": [
            _increment("slides", "network", 0.061, 0.02, 0.002, 0.008, model),
            _increment("rna", "network", 0.045, 0.022, 0.041, 0.12, model),
            _increment("slides", "late fusion", 0.012, 0.021, 0.57, 1.0, model),
            _increment(
                "a modality with a name that is much too long",
                "late fusion",
                -0.05,
                0.02,
                0.01,
                0.03,
                model,
            ),
            _increment("blood", "network", None, 0.0, None, None, model),
            _increment(
                "slides",
                "permuted at prediction",
                0.09,
                0.02,
                0.0001,
                0.0002,
                model,
            ),
        ],
        "comparisons": [
            {"model": model, "reference": CLINICAL, "p": 0.2, "p_holm": 0.4}
            | {
                "delta_uno_c": estimate(0.04, 0.031),
                "delta_isbs": estimate(-0.008, 0.006),
            },
            {"model": model, "reference": "ridge:rna", "p": 0.0004, "p_holm": 0.0008}
            | {
                "delta_uno_c": estimate(0.09, 0.025),
                "delta_isbs": estimate(None, note="no curve"),
            },
        ],
        "availability": [
            {
                "modalities": list(names),
                "patients": n,
                "events": n // 3,
                "model": model,
                "metric": metric,
            }
            | estimate(value, note="" if value is not None else "too few patients")
            for names, n, c in (
                (("clinical", "slides", "rna"), 94, 0.7),
                (("clinical", "slides"), 38, 0.62),
                (("clinical", "rna"), 18, None),
            )
            for metric, value in (("uno_c", c), ("observed_expected", c and 1.1))
        ],
        "robustness": robustness(model),
        "learning_curve": learning_curve(model),
        "sizes": [
            {"model": model, "fits": 10, "parameters": 1636.0, "effective": 14.25}
            | {"events": 64.125, "events_per_effective": 4.5, "note": ""},
            {
                "model": "network:rna",
                "fits": 10,
                "parameters": 24000.0,
                "effective": None,
            }
            | {
                "events": None,
                "events_per_effective": None,
                "note": "not computable: calibration km makes none",
            },
        ],
        "explanations": explanations(),
        "characteristics": characteristics(),
        "clinical_hazards": clinical_hazards(),
        "optimism": {
            "metric": "harrell_c",
            "honest": estimate(0.652, 0.027),
            "selected_on_test": estimate(0.701, 0.026),
        },
        "seeds": {
            "metric": "uno_c",
            "values": [0.66, 0.648, None, 0.671, 0.655],
            "sd": 0.0097,
        }
        | {"note": "same folds, other random numbers"},
        "permuted_outcome": {"uno_c": estimate(0.507, 0.034)},
        "external": {
            "cohort": {
                "name": "hillside bladder",
                "patients": 88,
                "events": 31,
                "unit": "months",
            }
            | {
                "patterns": [
                    {
                        "modalities": ["clinical"],
                        "patients": 60,
                        "events": 20,
                        "follow_up_median": 31.0,
                    },
                    {
                        "modalities": ["clinical", "rna"],
                        "patients": 28,
                        "events": 11,
                        "follow_up_median": None,
                    },
                ],
            },
            "metrics": {
                model: {
                    "uno_c": estimate(0.61, 0.05, n=88),
                    "observed_expected": estimate(1.3, 0.2, n=88),
                },
                CLINICAL: {
                    "uno_c": estimate(0.6, 0.05, n=88),
                    "brier_36": estimate(None, note="no curve"),
                },
                "missing:25": {"uno_c": estimate(0.58, 0.05, n=88)},
            },
            "characteristics": characteristics(),
            "availability": [
                {
                    "modalities": list(names),
                    "patients": n,
                    "events": n // 3,
                    "model": model,
                    "metric": "uno_c",
                }
                | estimate(0.6, 0.1)
                for names, n in ((("clinical",), 60), (("clinical", "rna"), 28))
            ],
            "robustness": robustness(model, ("missing:25",)),
        },
        "interval": "influence functions inside the test folds, widened for overlapping training sets; "
        "curves of calibration by 200 bootstrap samples of patients.",
    }


LOSSES = (
    *(
        f"{kind}:{name}"
        for kind in ("removed", "only")
        for name in ("clinical", "slides", "rna")
    ),
    *("missing:25", "missing:50", "missing:75"),
)
COSTS = {
    "removed:clinical": 0.09,
    "only:rna": 0.15,
    "missing:75": 0.07,
    "removed:slides": -0.05,
}


def robustness(model: str, losses: tuple[str, ...] = LOSSES) -> dict[str, Any]:
    """The sweep; some losses cost, one helps, and one model under a loss has no curves."""
    rows = []
    for name in (model, *losses):
        kind, _, what = ("intact", "", "") if name == model else name.partition(":")
        cost = COSTS.get(name, 0.005)
        bare = name == "removed:rna"
        found = {
            "uno_c": estimate(0.72 - cost),
            "isbs": estimate(None if bare else 0.15 + cost / 4, note="no curve"),
        }
        found |= {
            "calibration_slope": estimate(0.9, 0.1),
            "observed_expected": estimate(1.0 - 4 * cost, 0.05),
        }
        if name != model:
            found["delta_uno_c"] = estimate(-cost, 0.02)
            found["delta_isbs"] = estimate(
                None if bare else cost / 4,
                0.004,
                "no curve" if bare else "",
            )
        place = {
            "model": name,
            "kind": kind,
            "what": what,
            "nothing_left": 7 if kind == "only" else 0,
        }
        rows += [{**place, "metric": metric, **each} for metric, each in found.items()]
    left = (
        []
        if len(losses) > 1
        else ["modalities removed: there is one modality (clinical), nothing to remove"]
    )
    return {"rows": rows, "left_out": left}


def learning_curve(
    model: str,
    sizes: tuple[int, ...] = (20, 50, 100, 120),
    gain: float = 0.02,
) -> list[dict[str, Any]]:
    """A model and its clinical baseline on more and more patients; the first size is left out."""
    rows: list[dict[str, Any]] = []
    for name, best in ((model, 0.72), (CLINICAL, 0.66)):
        for i, size in enumerate(sizes):
            whole, tried = size == sizes[-1], i > 0
            place = {"model": name, "patients": size, "events": size * 0.41}
            place["subsamples"] = 1 if whole else 10 * tried
            found = {
                "uno_c": estimate(
                    best - 0.3 / size**0.5 if tried else None, note="8 events"
                ),
                "isbs": estimate(0.17 if tried else None, note="8 events"),
            }
            if i > 1:
                found |= {
                    "delta_uno_c": estimate(gain, 0.008),
                    "delta_isbs": estimate(0.0),
                }
            for metric, row in found.items():
                kept = {key: row[key] for key in ("value", "low", "high", "note")}
                rows.append({**place, "metric": metric, **kept})
    return rows


def add_performance(
    out: Path,
    horizons: tuple[float, ...] = (12.0, 36.0, 60.0),
    **options: Any,
) -> Path:
    """Write performance.json and the further metrics into a run made by `build_run`."""
    model = json.loads((out / "run.json").read_text())["model"]
    told = performance(model, horizons, **options)
    (out / "performance.json").write_text(json.dumps(told), encoding="utf-8")
    metrics = json.loads((out / "metrics.json").read_text())
    for i, name in enumerate(metrics):
        metrics[name] |= all_metrics(1 - 0.4 * min(i, 2), horizons)
    lost = [row for row in told["robustness"]["rows"] if row["kind"] != "intact"]
    for row in lost:
        if not row["metric"].startswith("delta"):
            metrics.setdefault(row["model"], {})[row["metric"]] = {
                key: row[key] for key in estimate(0)
            }
    (out / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return out


def _time_curves(model: str, horizons: tuple[float, ...]) -> list[dict[str, Any]]:
    last = horizons[-1] if horizons else 60.0
    rows = []
    for time in np.linspace(last / 20, last, 20):
        spread = 0.05 + 0.04 * abs(time / last - 0.4)
        for name, auc, brier in (
            (model, 0.74, 0.15),
            (CLINICAL, 0.68, 0.17),
            ("km", None, 0.19),
        ):
            value = 4 * brier * (time / last) * (1.25 - time / last) * 0.8
            rows.append(
                {"model": name, "metric": "brier", "time": float(time), "value": value},
            )
            rows[-1] |= {"low": max(0.0, value - 0.02), "high": value + 0.02}
            if auc is not None:
                lost = time < last / 15
                middle = auc - 0.05 * time / last
                rows.append({"model": name, "metric": "auc", "time": float(time)})
                rows[-1] |= (
                    dict.fromkeys(("value", "low", "high"))
                    if lost
                    else {"value": middle}
                )
                rows[-1] |= (
                    {}
                    if lost
                    else {"low": middle - spread, "high": min(1.0, middle + spread)}
                )
    return rows


def _calibration(model: str, horizons: tuple[float, ...]) -> list[dict[str, Any]]:
    rows = []
    for name, bend in ((model, 0.85), (CLINICAL, 1.25)):
        for i, horizon in enumerate(horizons):
            for p in np.linspace(0.05, 0.4 + 0.2 * i, 30):
                observed, spread = float(p**bend), 0.03 + 0.25 * abs(p - 0.3) ** 1.5
                rows.append(
                    {
                        "model": name,
                        "horizon": horizon,
                        "predicted": float(p),
                        "observed": observed,
                    },
                )
                rows[-1] |= {
                    "low": max(0.0, observed - spread),
                    "high": min(1.0, observed + spread),
                }
    return rows


def _decision(model: str, horizons: tuple[float, ...]) -> list[dict[str, Any]]:
    rows = []
    for horizon in horizons:
        share = 0.25 + horizon / 300
        for t in np.linspace(0.01, 0.8, 40):
            everyone = share - (1 - share) * t / (1 - t)
            for name, value, spread in (
                (model, max(everyone, share * (1 - t) ** 2.0), 0.03),
                (CLINICAL, max(everyone, share * (1 - t) ** 2.6), 0.03),
                ("treat all", everyone, None),
                ("treat none", 0.0, None),
            ):
                rows.append(
                    {
                        "strategy": name,
                        "horizon": horizon,
                        "threshold": float(t),
                        "value": float(value),
                    },
                )
                ends = (
                    (None, None)
                    if spread is None
                    else (float(value - spread), float(value + spread))
                )
                rows[-1] |= dict(zip(("low", "high"), ends, strict=True))
    return rows


def _subgroups(
    model: str,
    sites: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    levels = [("everyone", "everyone", 150, 75)]
    levels += [
        ("site", f"Hospital {i + 1}", max(3, 60 - i), max(0, 28 - i))
        for i in range(sites)
    ]
    levels += [("sex", "female", 61, 30), ("sex", "male", 89, 45)]
    levels += [
        ("stage at diagnosis", name, 50, 25)
        for name in ("I–II", "III", "IV", "unknown")
    ]
    rows: list[dict[str, Any]] = []
    for group, level, patients, events in levels:
        for name in (model, CLINICAL):
            for metric, middle, width in (
                ("uno_c", 0.65, 0.35),
                ("observed_expected", 1.05, 1.2),
            ):
                value = float(middle + rng.normal(scale=0.05))
                se = width / np.sqrt(max(events, 1))
                row = {
                    "group": group,
                    "level": level,
                    "patients": patients,
                    "events": events,
                    "model": name,
                }
                row |= {"metric": metric, "value": value, "note": ""}
                row |= {
                    "low": float(value - 1.96 * se),
                    "high": float(value + 1.96 * se),
                }
                if metric == "observed_expected":
                    row |= {
                        "low": float(value * np.exp(-1.96 * se)),
                        "high": float(value * np.exp(1.96 * se)),
                    }
                if events < 5:
                    row |= {"value": None, "low": None, "high": None}
                    row["note"] = f"{events} events are too few"
                rows.append(row)
    return rows


def _increment(
    modality: str,
    kind: str,
    delta: float | None,
    se: float,
    p: float | None,
    holm: float | None,
    model: str,
) -> dict[str, Any]:
    note = "" if delta is not None else "the network without it was not trained"
    brier = None if delta is None else -0.2 * delta
    return {
        "modality": modality,
        "kind": kind,
        "with": model,
        "without": f"{model} without {modality}",
        "p": p,
        "p_holm": holm,
        "delta_uno_c": estimate(delta, se, note),
        "delta_isbs": estimate(brier, 0.005, note),
    }
