"""The folds of the models of a run, made from its tables where it was read from a folder."""

from __future__ import annotations

from survfuse._errors import InputError
from survfuse.evaluation.assessment_settings import WAYS, Interval, Scale
from survfuse.evaluation.external_predictions import PREFIX, ExternalPredictions
from survfuse.evaluation.folds import Folds, repeats_of
from survfuse.results import Result

AGAIN = "run `survfuse crossval COHORT -o RUN` again and plan from its folder"


class RunFolds:
    """Folds of the models of a run, made from its tables where it was read from a folder."""

    def __init__(self, run: Result) -> None:
        self.run = run
        horizons = run.horizons
        tau = run.cohort.get("tau") or (horizons[-1] if horizons else None)
        if not horizons or tau is None:
            raise InputError(f"the run names no horizons and no τ; {AGAIN}")
        self.scale = Scale(horizons, float(tau), Interval(), draws=0)
        own = repeats_of(self.folds(run.name))
        self.repeats = len(own)
        self.single = all(len(part) == 1 for part in own)
        method = run.performance.get("interval")
        self.widened = method is None or method == WAYS["influence"]

    @property
    def known_share(self) -> bool:
        """Whether the run tells what training changes."""
        return self.widened and (self.repeats > 1 or self.single)

    def folds(self, name: str) -> Folds:
        """Folds of one model.

        Raises
        ------
        InputError
            When the run holds no predictions of it.
        """
        if name in self.run.folds:
            return self.run.folds[name]
        table = self.run.models.get(name)
        if table is None:
            raise InputError(
                f"the run holds no predictions of {name!r} (comparators.csv), from which influence "
                f"values are computed; {AGAIN}",
            )
        columns = [one for one in table.columns if one.startswith(PREFIX)]
        times = tuple(sorted(float(one.removeprefix(PREFIX)) for one in columns))
        table = table.astype({"repeat": int, "fold": int}).assign(model=name)
        predictions = ExternalPredictions(table, times, ())
        return predictions.folds(name, None)
