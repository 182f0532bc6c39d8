"""Cross-validation: every model on the same splits, judged together.

Where another cohort is given, every model is also fitted on all patients and tested there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from survfuse._errors import CohortError, ConfigError, LeakageError, context, listed
from survfuse._places import held
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.leakage import refuse_leaks
from survfuse.cohort.split_files import read_splits
from survfuse.cohort.splits import (
    Split,
    given_folds,
    leave_one_group_out,
    make_folds,
    splits_from_folds,
)
from survfuse.cohort.transforms import check_followup
from survfuse.config import CrossvalConfig, RunConfig, build
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.candidates import Candidate, comparators, modalities_used
from survfuse.evaluation.cells import Cells, Grid, Watcher, stem
from survfuse.evaluation.characteristics import characteristics
from survfuse.evaluation.checks import Evidence, refuse_later_knowledge, run_checks
from survfuse.evaluation.clinical_hazards import clinical_hazards
from survfuse.evaluation.combine import Interval
from survfuse.evaluation.compared_models import ComparedModels
from survfuse.evaluation.default_horizons import resolve_horizons
from survfuse.evaluation.description import describe, patterns
from survfuse.evaluation.explanations import HalvesPlan, explanations, terms_table
from survfuse.evaluation.fold_weights import term_weights
from survfuse.evaluation.learning_curve import learning_curve
from survfuse.evaluation.learning_curve_plan import CurvePlan
from survfuse.evaluation.missing_inputs import Losses
from survfuse.evaluation.model_sizes import sizes
from survfuse.evaluation.performance import by_pattern
from survfuse.evaluation.progress import watch_cells
from survfuse.evaluation.protocol import controls, subgroups, wanted_increments
from survfuse.evaluation.robustness import robustness, scored
from survfuse.evaluation.scoring import Estimates, Judged, judge_models
from survfuse.evaluation.versions import versions
from survfuse.executors import Executor, InlineExecutor, Threads
from survfuse.results import Result
from survfuse.results.folder import begun_record, try_run_folder
from survfuse.results.schema import External, Robustness, RunRecord
from survfuse.survival.estimate import Estimate
from survfuse.tuning.search import describe_searches

T = TypeVar("T")
ON_ALL_REPEATS = {"model", "baseline", "increment", "other"}
QUICK_NOTE = (
    "a quick look (crossval.quick): the model, the clinical baseline and the late fusion alone, on "
    "the same folds. Left out, unless asked for by name: the other baselines, fusions and networks "
    "with and without each modality, the controls against chance, predictions with less, the "
    "learning curve, and whether explanations reproduce; run without --quick before you report"
)
"""What a reader of a quick run must know."""


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
    with watch_cells(False if watcher is not None else progress) as shown:
        return run(
            config,
            cohort,
            test=test,
            out=out,
            watcher=watcher or shown,
            name=compared.name,
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
    name = name or f"{config.model.preset}:{config.model.fusion}"
    compared = compared or ComparedModels(name, config.model)
    plan = _plan(config, cohort, test, compared)
    for data in (cohort,) if test is None else (cohort, test):
        refuse_leaks(data, config.model.inputs.allow_followup)
    for candidate in plan.candidates:
        if candidate.role in {"model", "other"}:
            refuse_later_knowledge(cohort, candidate.config)
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


def _result(
    plan: _Plan,
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
    losses, sweep = _robustness(plan, grid, scores.estimates, cohort)
    control_records = controls(grid.folds, name, scale, plan.candidates)
    external, predictions, notes = _external(plan, cells, test, watcher)
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


@dataclass(frozen=True)
class _Plan:
    """What is fitted on which splits, fixed before anything is fitted.

    Attributes
    ----------
    candidates : list of Candidate
        The model itself first.
    clinical : str or None
        The clinical-only baseline.
    used : tuple of str
        Modalities that the model reads, as its transforms order them.
    curve : CurvePlan or None
        Of the learning curve, where one is asked for.
    """

    config: RunConfig
    scale: Scale
    splits: tuple[Split, ...]
    candidates: list[Candidate]
    clinical: str | None
    notes: list[str]
    used: tuple[str, ...]
    curve: CurvePlan | None

    @property
    def main_candidates(self) -> list[Candidate]:
        """Candidates on all repeats: neither controls nor other seeds."""
        return [
            candidate
            for candidate in self.candidates
            if candidate.role in ON_ALL_REPEATS
        ]

    def names(self, grid: Grid) -> list[str]:
        """Models in the main tables: those on all repeats, then with a modality permuted."""
        main = [candidate.name for candidate in self.main_candidates]
        return main + [name for name in grid.folds if name.startswith("permuted:")]

    @property
    def fits(self) -> list[tuple[Candidate, Sequence[Split]]]:
        """Every candidate with its splits: controls and seeds on the first repeat alone."""
        first = [
            split for split in self.splits if split.repeat == self.splits[0].repeat
        ]
        main = self.main_candidates
        return [(one, self.splits if one in main else first) for one in self.candidates]


def _plan(
    config: RunConfig,
    cohort: Cohort,
    test: Cohort | None,
    compared: ComparedModels,
) -> _Plan:
    if cohort.outcome is None:
        raise CohortError(
            f"cohort {cohort.name!r} has no outcome; cross-validation needs one",
        )
    clinical = [
        one for one, data in cohort.modalities.items() if data.kind == "clinical"
    ]
    check_followup(
        cohort,
        config.model,
        {*modalities_used(cohort, config.model), *clinical},
    )
    for other in compared.candidates():
        with context(other.name):
            check_followup(cohort, other.config)
    horizons, notes = resolve_horizons(config.horizons, cohort)
    if config.crossval.quick:
        notes.insert(0, QUICK_NOTE)
    notes += _test_notes(cohort, test)
    config = config.model_copy(
        update={"horizons": horizons, "tau": config.tau or horizons[-1]},
    )
    settings, model = config.crossval, config.model
    splits, split_notes = splits_of(cohort, settings)
    candidates = _candidates(config, cohort, compared)
    notes += compared.notes()
    if model.calibration.conformal is not None:
        notes.append(
            "model.calibration.conformal: cross-validation does not judge lower bounds; "
            "train makes them",
        )
    interval = Interval(
        settings.interval,
        5 * settings.bootstrap or 1000,
        settings.seed,
    )
    ridges = {f"ridge:{one}" for one in clinical[:1]}.intersection(
        one.name for one in candidates
    )
    baseline = next(iter(ridges), None)
    modalities = (
        cohort.modalities
        if model.inputs.modalities is None
        else model.inputs.modalities
    )
    return _Plan(
        config=config,
        scale=Scale(
            horizons,
            float(config.tau or horizons[-1]),
            interval,
            settings.bootstrap,
        ),
        splits=splits,
        candidates=candidates,
        clinical=baseline,
        notes=[*notes, *split_notes],
        used=tuple(filter(modalities.__contains__, cohort.modalities)),
        curve=CurvePlan.of(settings, splits, candidates, baseline, cohort),
    )


def _candidates(
    config: RunConfig,
    cohort: Cohort,
    compared: ComparedModels,
) -> list[Candidate]:
    """The model, its baselines, and what else it is compared with."""
    settings, model = config.crossval, config.model
    baselines = comparators(
        cohort,
        model,
        networks=settings.networks,
        controls=settings.controls,
        seeds=settings.seeds - 1 if settings.controls else 0,
        quick=settings.quick,
    )
    taken = {stem(other.name) for other in baselines}
    for name in (compared.name, *compared.others):
        if stem(name) in taken:
            raise ConfigError(
                f"the model cannot be called {name!r}: a baseline is; choose another name",
            )
        taken.add(stem(name))
    own = Candidate(
        compared.name,
        model,
        permute=True,
        lose=settings.robustness,
        explain=True,
    )
    return [own, *baselines, *compared.candidates()]


def _robustness(
    plan: _Plan,
    grid: Grid,
    estimates: Estimates,
    tested: Cohort,
) -> tuple[Estimates, Robustness | None]:
    """Metrics of the model under each loss and their table; nothing where it is switched off."""
    if not plan.config.crossval.robustness:
        return {}, None
    losses = Losses.on(tested, plan.used)
    scores = scored(grid.folds, losses, plan.scale)
    table = robustness(
        grid.folds,
        plan.candidates[0].name,
        {**estimates, **scores},
        losses,
        tested,
        plan.used,
        plan.scale,
        plan.config.model.training.seed,
    )
    return scores, table


def splits_of(
    cohort: Cohort,
    crossval: CrossvalConfig,
) -> tuple[tuple[Split, ...], list[str]]:
    """Splits of every repeat, and what a reader should know of them.

    A splits file comes first. Otherwise the folds that the cohort file names make the
    first repeat, unless sites decide; further repeats are drawn.

    Raises
    ------
    CohortError
        When there are too few events or sites for the folds.
    """
    if crossval.splits_file is not None:
        fixed = read_splits(crossval.splits_file, cohort)
        return fixed.splits, list(fixed.notes)
    if crossval.split == "leave_one_site_out":
        table = leave_one_group_out(cohort, crossval.site)
        left_out = table.drop_duplicates("fold").sort_values("fold")["group"]
        return splits_from_folds(table), [
            f"{crossval.site} left out in each fold: {listed(left_out, 100)}",
        ]
    sites = crossval.site if crossval.split == "whole_sites" else None
    use_given = crossval.given_folds and cohort.folds is not None and sites is None
    tables = [given_folds(cohort)] if use_given else []
    given, drawn = len(tables), crossval.repeats - len(tables)
    if drawn > 0:
        folds = make_folds(
            cohort,
            folds=crossval.folds,
            repeats=drawn,
            seed=crossval.seed,
            groups=sites,
        )
        tables.append(folds.assign(repeat=folds["repeat"] + given))
    table = pd.concat(tables, ignore_index=True)
    return splits_from_folds(
        table.sort_values(["repeat", "fold", "patient_id"], ignore_index=True),
    ), []


def _test_notes(
    cohort: Cohort,
    test: Cohort | None,
) -> list[str]:
    """Refuse a test cohort that shares patients or counts time otherwise; note another endpoint."""
    if test is None:
        return []
    if test.outcome is None:
        raise CohortError(
            f"test cohort {test.name!r} has no outcome; nothing can be scored there",
        )
    if test.unit != cohort.unit:
        raise CohortError(
            f"test cohort {test.name!r} counts time in {test.unit}, the training cohort in "
            f"{cohort.unit}; declare one unit for both",
        )
    shared = sorted(set(cohort.patients) & set(test.patients))
    if shared:
        raise LeakageError(
            f"test cohort {test.name!r} shares {len(shared)} patient ids with the training "
            f"cohort: {listed(shared)}; exclude them there, or give different patients "
            "different ids",
        )
    if test.endpoint == cohort.endpoint:
        return []
    return [
        f"trained on {cohort.endpoint!r}, tested on {test.endpoint!r} of {test.name}",
    ]


def _external(
    plan: _Plan,
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
    losses, sweep = _robustness(plan, grid, scores.estimates, test)
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
