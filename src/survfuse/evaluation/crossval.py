"""Cross-validation: every model on the same splits, judged together.

Where another cohort is given, every model is also fitted on all patients and tested there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse._errors import CohortError, ConfigError, LeakageError, listed
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
from survfuse.estimator import SurvivalFusion
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.candidates import Candidate, comparators, modalities_used
from survfuse.evaluation.cells import Cells, Grid, Watcher, stem
from survfuse.evaluation.checks import Evidence, refuse_later_knowledge, run_checks
from survfuse.evaluation.combine import Interval
from survfuse.evaluation.default_horizons import resolve_horizons
from survfuse.evaluation.description import describe, patterns
from survfuse.evaluation.folds import Folds
from survfuse.evaluation.missing_inputs import Losses
from survfuse.evaluation.model_sizes import sizes
from survfuse.evaluation.performance import by_pattern
from survfuse.evaluation.protocol import controls, subgroups, wanted_increments
from survfuse.evaluation.result import Result, begun_record, try_run_folder
from survfuse.evaluation.robustness import robustness, scored
from survfuse.evaluation.scoring import Estimates, judge_models
from survfuse.evaluation.versions import versions
from survfuse.executors import Executor, InlineExecutor, Threads
from survfuse.survival.estimate import Estimate
from survfuse.tuning.search import describe_searches

ON_ALL_REPEATS = {"model", "baseline", "increment"}


def cross_validate(
    model: SurvivalFusion,
    cohort: Cohort,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    given_folds: bool = True,
    networks: bool = True,
    controls: bool = True,
    horizons: Sequence[float] | None = None,
    tau: float | None = None,
    test: Cohort | None = None,
    out: Path | str | None = None,
    watcher: Watcher | None = None,
    name: str | None = None,
    executor: Executor | None = None,
    **crossval: Any,
) -> Result:
    """Cross-validate a model and its baselines on the same folds.

    Parameters
    ----------
    model : SurvivalFusion
        Unfitted or fitted; only its configuration is used.
    cohort : Cohort
    folds, repeats, seed : int
        Splits by patient, stratified on the event.
    given_folds : bool
        Use the folds of the cohort file, where it names some, as the first repeat.
    networks : bool
        Also run the model's network on each modality alone and without each (ridge Cox
        baselines run always).
    controls : bool
        Also run the model on permuted outcomes, with the epoch chosen on the scored fold,
        and from other seeds.
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
        What the model is called in tables; preset and fusion by default.
    executor : Executor, optional
        Who computes (:func:`survfuse.executors.make_executor`); this process by default. The
        numbers are the same whoever does, with as many threads.
    **crossval
        Further fields of :class:`survfuse.config.CrossvalConfig`, such as
        ``split="leave_one_site_out"``.

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
    splits = {
        "folds": folds,
        "repeats": repeats,
        "seed": seed,
        "given_folds": given_folds,
        **crossval,
    }
    told = {"horizons": None if horizons is None else tuple(horizons), "tau": tau}
    fields = {
        "model": model.config,
        "crossval": {**splits, "networks": networks, "controls": controls},
        **told,
    }
    config = build(RunConfig, fields, where="cross_validate")
    return run(
        config,
        cohort,
        test=test,
        out=out,
        watcher=watcher,
        name=name,
        executor=executor,
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
) -> Result:
    """Cross-validate as `config` says (see :func:`cross_validate`)."""
    started = datetime.now(UTC)
    place = None if out is None else try_run_folder(out)
    name = name or f"{config.model.preset}:{config.model.fusion}"
    setup = _Setup.of(config, cohort, test, name)
    for data in (cohort,) if test is None else (cohort, test):
        refuse_leaks(data, config.model.allow_followup)
    refuse_later_knowledge(cohort, config.model)
    executor, watcher = executor or InlineExecutor(), watcher or Watcher()
    begun = {
        "model": name,
        "clinical": setup.clinical,
        "started": started.isoformat(timespec="seconds"),
        "versions": versions(),
        "seeds": {"splits": config.crossval.seed, "model": config.model.seed},
        "command": command,
        "executor": executor.name,
        "threads": asdict(Threads.of(executor.threads)),
    }
    cells = Cells(place, cohort, setup.scale.horizons, executor=executor)
    if place is None:
        return _computed(setup, cells, test, watcher, begun, started)
    with held(place), begun_record(place, begun):
        result = _computed(setup, cells, test, watcher, begun, started)
        result.write(place)
    return result


def _computed(
    setup: _Setup,
    cells: Cells,
    test: Cohort | None,
    watcher: Watcher,
    begun: Mapping[str, Any],
    started: datetime,
) -> Result:
    """Fit everything on every split, and judge it."""
    cohort, config, name = cells.cohort, setup.config, setup.learners[0].name
    grid = cells.all(setup.plan, watcher)
    shown = [each.name for each in setup.learners if each.role in ON_ALL_REPEATS]
    shown += [model for model in grid.folds if model.startswith("permuted:")]
    judged = judge_models(
        {model: grid.folds[model] for model in shown},
        name,
        setup.clinical,
        setup.scale,
        wanted=wanted_increments(setup.learners, name, cohort),
        groups=subgroups(cohort),
    )
    under_loss, told_of_loss = setup.under_loss(grid.folds, judged.estimates, cohort)
    told = controls(grid.folds, name, setup.scale, setup.learners)
    outside, external_notes = _external(setup, cells, test, watcher)
    evidence = Evidence(
        cohort=cohort,
        name=name,
        models={model: grid.tables[model] for model in shown},
        metrics=judged.estimates,
        clinical=setup.clinical,
        summaries=grid.summaries,
        splits=setup.splits,
        selection=config.model.chosen_by,
        external=test,
        permuted=_estimates(told["permuted_outcome"]),
        config=config.model,
    )
    finished = datetime.now(UTC)
    record = {
        **begun,
        "finished": finished.isoformat(timespec="seconds"),
        "seconds": round((finished - started).total_seconds(), 1),
        "hashes": {"cohort": cells.fingerprint},
        "notes": [*setup.notes, *grid.notes, *external_notes],
        **(
            {"search": describe_searches(logs)}
            if (logs := _searches(grid.summaries[name]))
            else {}
        ),
    }
    return Result(
        name=name,
        models={model: grid.tables[model] for model in [*shown, *under_loss]},
        folds={model: grid.folds[model] for model in [*shown, *under_loss]},
        estimates={**judged.estimates, **under_loss},
        checks=run_checks(evidence),
        cohort=describe(cohort, setup.scale.horizons, setup.scale.tau),
        config=setup.config,
        record=record,
        performance={
            **judged.performance,
            "availability": by_pattern(
                name,
                grid.folds[name],
                patterns(cohort),
                setup.scale,
            ),
            "robustness": told_of_loss,
            **told,
            "external": outside,
            "sizes": sizes(grid.summaries, shown),
        },
        out=cells.out,
    )


@dataclass(frozen=True)
class _Setup:
    """What is run on which splits, fixed before anything is fitted."""

    config: RunConfig
    scale: Scale
    splits: tuple[Split, ...]
    learners: list[Candidate]
    clinical: str | None
    notes: list[str]
    used: tuple[str, ...]
    """Modalities that the model reads, as its transforms order them."""

    @classmethod
    def of(
        cls,
        config: RunConfig,
        cohort: Cohort,
        test: Cohort | None,
        name: str,
    ) -> _Setup:
        if cohort.outcome is None:
            raise CohortError(
                f"cohort {cohort.name!r} has no outcome; cross-validation needs one",
            )
        clinicals = [
            name for name, data in cohort.modalities.items() if data.kind == "clinical"
        ]
        check_followup(
            cohort,
            config.model,
            {*modalities_used(cohort, config.model), *clinicals},
        )
        horizons, notes = resolve_horizons(config.horizons, cohort)
        if test is not None:
            _refuse_shared(cohort, test)
            if test.endpoint != cohort.endpoint:
                notes.append(
                    f"trained on {cohort.endpoint!r}, tested on {test.endpoint!r} of {test.name}",
                )
        config = config.model_copy(
            update={"horizons": horizons, "tau": config.tau or horizons[-1]},
        )
        splits, told = splits_of(cohort, config.crossval)
        how = config.crossval
        beside = comparators(
            cohort,
            config.model,
            networks=how.networks,
            controls=how.controls,
            seeds=how.seeds - 1 if how.controls else 0,
        )
        if stem(name) in {stem(other.name) for other in beside}:
            raise ConfigError(
                f"the model cannot be called {name!r}: a baseline is; choose another name",
            )
        if config.model.conformal is not None:
            notes.append(
                "model.calibration.conformal: cross-validation does not judge lower bounds; train makes them",
            )
        interval = Interval(how.interval, 5 * how.bootstrap or 1000, how.seed)
        scale = Scale(
            horizons,
            float(config.tau or horizons[-1]),
            interval,
            how.bootstrap,
        )
        clinical = next(iter(clinicals), None)
        line = f"ridge:{clinical}"
        return cls(
            config,
            scale,
            splits,
            [
                Candidate(name, config.model, permute=True, lose=how.robustness),
                *beside,
            ],
            line if any(each.name == line for each in beside) else None,
            [*notes, *told],
            tuple(
                m
                for m in cohort.modalities
                if config.model.modalities is None or m in config.model.modalities
            ),
        )

    def under_loss(
        self,
        folds: Mapping[str, Folds],
        estimates: Mapping[str, Mapping[str, Estimate]],
        tested: Cohort,
    ) -> tuple[Estimates, dict[str, Any] | None]:
        """Scores of the model under each loss, and the table of them; nothing where none was asked for."""
        if not self.config.crossval.robustness:
            return {}, None
        losses = Losses.on(tested, self.used)
        found, name = scored(folds, losses, self.scale), self.learners[0].name
        both, seed = {**estimates, **found}, self.config.model.seed
        return found, robustness(
            folds,
            name,
            both,
            losses,
            tested,
            self.used,
            self.scale,
            seed,
        )

    @property
    def plan(self) -> list[tuple[Candidate, Sequence[Split]]]:
        """Controls and seeds on the first repeat, everything else on all."""
        first = [
            split for split in self.splits if split.repeat == self.splits[0].repeat
        ]
        return [
            (each, self.splits if each.role in ON_ALL_REPEATS else first)
            for each in self.learners
        ]


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
        made = make_folds(
            cohort,
            folds=crossval.folds,
            repeats=drawn,
            seed=crossval.seed,
            groups=sites,
        )
        tables.append(made.assign(repeat=made["repeat"] + given))
    table = pd.concat(tables, ignore_index=True)
    return splits_from_folds(
        table.sort_values(["repeat", "fold", "patient_id"], ignore_index=True),
    ), []


def _searches(summaries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [fit["search"] for fit in summaries if "search" in fit]


def _refuse_shared(cohort: Cohort, test: Cohort) -> None:
    """Refuse a test cohort that cannot tell anything new, or whose times mean something else."""
    if test.outcome is None:
        raise CohortError(
            f"test cohort {test.name!r} has no outcome; nothing can be scored there",
        )
    if test.unit != cohort.unit:
        raise CohortError(
            f"test cohort {test.name!r} counts time in {test.unit}, the training cohort in {cohort.unit}; "
            "declare one unit for both",
        )
    shared = sorted(set(cohort.patients) & set(test.patients))
    if shared:
        raise LeakageError(
            f"test cohort {test.name!r} shares {len(shared)} patient ids with the training cohort: "
            f"{listed(shared)}; exclude them there, or give different patients different ids",
        )


def _external(
    setup: _Setup,
    inside: Cells,
    test: Cohort | None,
    watcher: Watcher,
) -> tuple[dict[str, Any] | None, list[str]]:
    """Fit everything on all patients, test it on the other cohort."""
    if test is None:
        return None, []
    assert test.outcome is not None
    known = test.outcome.index[test.outcome["time"].notna()]
    split = (
        Split(
            0,
            0,
            tuple(inside.cohort.patients),
            tuple(sorted(str(p) for p in known)),
        ),
    )
    learners = [each for each in setup.learners if each.role in ON_ALL_REPEATS]
    cells = Cells(inside.out, inside.cohort, inside.horizons, test, inside.executor)
    grid: Grid = cells.all([(each, split) for each in learners], watcher)
    name, lost = learners[0].name, set(Losses.on(test, setup.used).names)
    models = {model: folds for model, folds in grid.folds.items() if model not in lost}
    judged = judge_models(
        models,
        name,
        setup.clinical,
        setup.scale,
        groups=subgroups(test),
    )
    under_loss, told_of_loss = setup.under_loss(grid.folds, judged.estimates, test)
    tables = [table.assign(model=model) for model, table in grid.tables.items()]
    metrics = {
        model: {metric: asdict(estimate) for metric, estimate in found.items()}
        for model, found in {**judged.estimates, **under_loss}.items()
    }
    return {
        "cohort": describe(test, setup.scale.horizons, setup.scale.tau),
        "metrics": metrics,
        "predictions": pd.concat(tables, ignore_index=True),
        "availability": by_pattern(name, grid.folds[name], patterns(test), setup.scale),
        "robustness": told_of_loss,
        **{
            key: judged.performance[key]
            for key in ("calibration", "time_curves", "subgroups", "comparisons")
        },
    }, grid.notes


def _estimates(told: Mapping[str, Any] | None) -> dict[str, Estimate] | None:
    return (
        None
        if told is None
        else {key: Estimate(**value) for key, value in told.items()}
    )
