"""Cross-validation: every model on the same splits, judged together.

Where another cohort is given, every model is also fitted on all patients and tested there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

from survfuse._errors import InputError, listed
from survfuse._places import held
from survfuse._yaml import read_yaml
from survfuse.cohort.cohort import Cohort
from survfuse.config import RunConfig, build, to_yaml
from survfuse.evaluation.cell import OTHER
from survfuse.evaluation.cells import Cells, Grid, Watcher
from survfuse.evaluation.characteristics import characteristics
from survfuse.evaluation.checks import Evidence, run_checks
from survfuse.evaluation.clinical_hazards import clinical_hazards
from survfuse.evaluation.compared_models import ComparedModels
from survfuse.evaluation.crossval_plan import CrossvalPlan
from survfuse.evaluation.description import describe, patterns
from survfuse.evaluation.explanations import HalvesPlan, explanations, terms_table
from survfuse.evaluation.external_validation import external_validation
from survfuse.evaluation.fold_weights import term_weights
from survfuse.evaluation.learning_curve import learning_curve
from survfuse.evaluation.model_sizes import sizes
from survfuse.evaluation.performance import by_pattern
from survfuse.evaluation.progress import watch_cells
from survfuse.evaluation.protocol import controls, subgroups, wanted_increments
from survfuse.evaluation.robustness import with_losses
from survfuse.evaluation.scoring import Judged, judge_models
from survfuse.evaluation.versions import versions
from survfuse.executors import Executor, InlineExecutor, Threads
from survfuse.results import Result
from survfuse.results.folder import begun_record, try_run_folder
from survfuse.results.schema import RunRecord
from survfuse.survival.estimate import Estimate
from survfuse.tuning.search import describe_searches

T = TypeVar("T")


def cross_validate(
    model: Any,
    cohort: Cohort,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    given_folds: bool = True,
    quick: bool = False,
    networks: bool | None = None,
    controls: bool | None = None,
    horizons: Sequence[float] | None = None,
    tau: float | None = None,
    test: Cohort | None = None,
    out: Path | str | None = None,
    watcher: Watcher | None = None,
    name: str | None = None,
    executor: Executor | None = None,
    progress: bool | None = None,
    **crossval: Any,
) -> Result:
    """Cross-validate a model and its baselines on the same folds.

    Parameters
    ----------
    model : SurvivalFusion, or a sequence or a mapping of names to models
        Unfitted or fitted; only its configuration is used. Of several, the first
        `SurvivalFusion` is the model in question, and the others run on the same folds: further
        ones, and any estimator with ``fit(X, y)`` and ``predict(X)``, such as those of
        scikit-survival (:class:`survfuse.OtherModel` says what it reads).
    cohort : Cohort
    folds, repeats, seed : int
        Splits by patient, stratified on the event.
    given_folds : bool
        Use the folds of the cohort file, where it names some, as the first repeat.
    quick : bool
        A first look: the model, the clinical baseline and the late fusion alone.
    networks : bool, optional
        Also run the model's network on each modality alone and without each (ridge Cox
        baselines run always); by default yes, unless `quick`.
    controls : bool, optional
        Also run the model on permuted outcomes, with the epoch chosen on the scored fold,
        and from other seeds; by default yes, unless `quick`.
    horizons : sequence of float, optional
        Times at which survival is told; the cohort file's, or 1, 3 and 5 years.
    tau : float, optional
        Truncation time of Uno's C and end of integrated scores; the last horizon by default.
    test : Cohort, optional
        Another cohort that every model, fitted on all patients of `cohort`, is tested on.
    out : path, optional
        Folder for the run's files; needed for resuming and for the report.
    watcher : Watcher, optional
        Hears of cells and epochs.
    name : str, optional
        What the model is called in tables; its name in a mapping, or preset and fusion.
    executor : Executor, optional
        Who computes (:func:`survfuse.executors.make_executor`); this process by default. The
        numbers are the same whoever does, with as many threads.
    progress : bool, optional
        Whether to show a bar with the time left; by default on terminals and in notebooks, where
        no watcher is given.
    **crossval
        Further fields of :class:`survfuse.config.CrossvalConfig`, such as
        ``split="leave_one_site_out"`` or ``learning_curve=True``.

    Raises
    ------
    CohortError
        Without outcome, or with too few events for the folds.
    InputError
        When `out` holds another run.
    LeakageError
        When an input of any model is declared as known only during follow-up, accrues during
        follow-up (SRV008), or has the outcome, or nearly so, as its content, and `allow_followup`
        does not name it.
    CrashError
        When a worker died twice on the same fit; finished fits are kept.
    """
    compared = ComparedModels.of(model, name)
    fields: dict[str, Any] = {
        "model": compared.config,
        "crossval": {
            "folds": folds,
            "repeats": repeats,
            "seed": seed,
            "given_folds": given_folds,
            "quick": quick,
            **crossval,
        },
        "horizons": None if horizons is None else tuple(horizons),
        "tau": tau,
    }
    for field, wanted in (("networks", networks), ("controls", controls)):
        if wanted is not None:
            fields["crossval"][field] = wanted
    config = build(RunConfig, fields, where="cross_validate")
    if not isinstance(cohort, Cohort):
        raise InputError(
            f"cohort: expected a Cohort, got {type(cohort).__name__}; a file is read by "
            "survfuse.load_cohort(path)",
        )
    with watch_cells(False if watcher is not None else progress) as shown:
        return run(
            config,
            cohort,
            test=test,
            out=out,
            watcher=watcher or shown,
            executor=executor,
            compared=compared,
        )


def run(
    config: RunConfig,
    cohort: Cohort,
    *,
    test: Cohort | None = None,
    out: Path | str | None = None,
    watcher: Watcher | None = None,
    name: str | None = None,
    executor: Executor | None = None,
    command: str = "",
    compared: ComparedModels | None = None,
) -> Result:
    """Cross-validate as `config` says (see :func:`cross_validate`)."""
    started = datetime.now(UTC)
    test = None if test is None else test.with_priors_of(cohort)
    place = None if out is None else try_run_folder(out)
    if compared is None:
        compared = ComparedModels(
            name or f"{config.model.preset}:{config.model.fusion}", config.model
        )
    name = compared.name
    plan = CrossvalPlan.of(config, cohort, test, compared)
    if place is not None:
        refuse_other_model(place, plan.config)
    executor = executor or InlineExecutor()
    record: RunRecord = {
        "model": name,
        "clinical": plan.clinical,
        "started": started.isoformat(timespec="seconds"),
        "versions": versions(),
        "seeds": {"splits": config.crossval.seed, "model": config.model.training.seed},
        "command": command,
        "executor": executor.name,
        "threads": asdict(Threads.of(executor.threads)),
    }
    if cohort.spec.chosen is not None:
        record["endpoint"] = cohort.spec.chosen
    watcher = watcher or Watcher()
    cells = Cells(place, cohort, plan.scale.horizons, executor=executor)
    with ExitStack() as files:
        if place is not None:
            files.enter_context(held(place))
            files.enter_context(begun_record(place, record))
        grid = cells.all(plan.fits, watcher)
        scores = judge_models(
            _select(grid.folds, plan.names(grid)),
            name,
            plan.clinical,
            plan.scale,
            wanted=wanted_increments(plan.candidates, name, cohort),
            groups=subgroups(cohort),
        )
        result = _result(plan, cells, grid, scores, test, watcher, record, started)
        if place is not None:
            result.write(place)
    return result


def refuse_other_model(out: Path, config: RunConfig) -> None:
    """Refuse a folder that holds a finished run of a model with another configuration.

    Raises
    ------
    InputError
        Names the fields that differ.
    """
    path = out / "config.yaml"
    if not path.is_file():
        return
    written, wanted = read_yaml(path), yaml.safe_load(to_yaml(config))
    before = written.get("model") if isinstance(written, dict) else None
    if not isinstance(before, dict):
        return
    fields = [
        f"model.{section}"
        for section, value in wanted["model"].items()
        if section in before and before[section] != value
    ]
    if fields:
        raise InputError(
            f"{path}: {listed(fields)}: {OTHER}",
        )


def _result(
    plan: CrossvalPlan,
    cells: Cells,
    grid: Grid,
    scores: Judged,
    test: Cohort | None,
    watcher: Watcher,
    record: RunRecord,
    started: datetime,
) -> Result:
    """Add the other cohort, controls and checks to the scores of a run."""
    cohort, name, scale = cells.cohort, record["model"], plan.scale
    names = plan.names(grid)
    losses, sweep = with_losses(plan, grid, scores.estimates, cohort)
    control_records = controls(grid.folds, name, scale, plan.candidates)
    external, predictions, notes = external_validation(plan, cells, test, watcher)
    terms = terms_table(plan.splits, grid.terms[name])
    explained = explanations(
        HalvesPlan.of(plan.config),
        plan.config,
        cohort,
        terms,
        watcher.on_half,
    )
    curve = None
    if plan.curve is not None:
        curve, more = learning_curve(plan.curve, cells, grid, scale, watcher)
        notes += more
    finished = datetime.now(UTC)
    record |= {
        "finished": finished.isoformat(timespec="seconds"),
        "seconds": round((finished - started).total_seconds(), 1),
        "hashes": {"cohort": cells.fingerprint},
        "notes": [*plan.notes, *grid.notes, *notes],
    }
    searches = [fit["search"] for fit in grid.summaries[name] if "search" in fit]
    if searches:
        record["search"] = describe_searches(searches)
    performance: Any = {
        **scores.performance,
        "availability": by_pattern(name, grid.folds[name], patterns(cohort), scale),
        "robustness": sweep,
        "learning_curve": curve,
        "explanations": explained,
        **control_records,
        "characteristics": characteristics(cohort),
        "clinical_hazards": clinical_hazards(cohort),
        "external": external,
        "sizes": sizes(grid.summaries, names),
    }
    shuffled = control_records["permuted_outcome"] or {}
    evidence = Evidence(
        cohort=cohort,
        name=name,
        models=_select(grid.tables, names),
        metrics=scores.estimates,
        clinical=plan.clinical,
        summaries=grid.summaries,
        splits=plan.splits,
        selection=plan.config.model.chosen_by,
        external=test,
        permuted={key: Estimate(**value) for key, value in shuffled.items()} or None,
        config=plan.config.model,
        explanations=explained,
    )
    checks: Any = run_checks(evidence)
    return Result(
        name=name,
        models=_select(grid.tables, [*names, *losses]),
        folds=_select(grid.folds, [*names, *losses]),
        estimates={**scores.estimates, **losses},
        checks=checks,
        cohort=describe(cohort, scale.horizons, scale.tau),
        config=plan.config,
        record=record,
        performance=performance,
        external=predictions,
        terms=terms,
        weights=term_weights(plan.splits, grid.summaries[name], plan.used),
        out=cells.out,
    )


def _select(
    values: Mapping[str, T],
    names: Iterable[str],
) -> dict[str, T]:
    return {name: values[name] for name in names}
