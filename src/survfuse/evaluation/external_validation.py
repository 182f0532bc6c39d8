"""Every model of a cross-validation, fitted on all patients and tested on another cohort."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.evaluation.cells import Cells, Grid, Watcher
from survfuse.evaluation.characteristics import characteristics
from survfuse.evaluation.crossval_plan import CrossvalPlan
from survfuse.evaluation.description import describe, patterns
from survfuse.evaluation.missing_inputs import Losses
from survfuse.evaluation.performance import by_pattern
from survfuse.evaluation.protocol import subgroups
from survfuse.evaluation.robustness import with_losses
from survfuse.evaluation.scoring import judge_models
from survfuse.results.schema import External


def external_validation(
    plan: CrossvalPlan,
    inside: Cells,
    test: Cohort | None,
    watcher: Watcher,
) -> tuple[External | None, pd.DataFrame | None, list[str]]:
    """Fit every model on all patients and score it on the other cohort.

    Returns
    -------
    record, predictions, notes
    """
    if test is None:
        return None, None, []
    assert test.outcome is not None
    known = test.outcome.index[test.outcome["time"].notna()]
    split = Split(0, 0, tuple(inside.cohort.patients), tuple(sorted(map(str, known))))
    candidates = plan.main_candidates
    cells = Cells(inside.out, inside.cohort, inside.horizons, test, inside.executor)
    grid: Grid = cells.all([(candidate, (split,)) for candidate in candidates], watcher)
    name, lost = candidates[0].name, set(Losses.on(test, plan.used).names)
    scores = judge_models(
        {model: folds for model, folds in grid.folds.items() if model not in lost},
        name,
        plan.clinical,
        plan.scale,
        groups=subgroups(test),
    )
    losses, sweep = with_losses(plan, grid, scores.estimates, test)
    metrics: Any = {}
    for model, estimates in {**scores.estimates, **losses}.items():
        metrics[model] = dict(
            zip(estimates, map(asdict, estimates.values()), strict=True),
        )
    record: Any = {
        "cohort": describe(test, plan.scale.horizons, plan.scale.tau),
        "metrics": metrics,
        "characteristics": characteristics(test),
        "availability": by_pattern(name, grid.folds[name], patterns(test), plan.scale),
        "robustness": sweep,
    }
    for key in ("calibration", "time_curves", "subgroups", "comparisons"):
        record[key] = scores.performance[key]
    tables = [table.assign(model=model) for model, table in grid.tables.items()]
    return record, pd.concat(tables, ignore_index=True), grid.notes
