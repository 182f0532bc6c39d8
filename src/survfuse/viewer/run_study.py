"""A run of cross-validation and its cohort: what was predicted of each patient out of fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from survfuse._types import FloatArray
from survfuse.cohort.cohort import Cohort
from survfuse.results import Result
from survfuse.viewer.patient_table import (
    Column,
    PatientTable,
    numbers,
    of_cohort,
    patients_of,
    risk_groups,
)
from survfuse.viewer.study import EVERY_SLIDE, Maps, Study, described_terms

NO_MAPS = (
    "maps of slides need a bundle: this is a run of cross-validation, which keeps no model; train "
    "one (`survfuse train`) and view that"
)
NO_TERMS = "the run computed no terms"
OUT_OF_FOLD = "out of fold; agreement not measured"


class RunStudy(Study):
    """Patients as the models of a run saw them, each by models that were not trained on them.

    Parameters
    ----------
    result : Result
    cohort : Cohort
    source : path
        Folder of the run.
    """

    kind: ClassVar[str] = "run"

    def __init__(self, result: Result, cohort: Cohort, source: Path) -> None:
        self.result = result
        self._terms = _terms(result)
        super().__init__(cohort, source, _table(result, cohort))

    def terms(self, patient: str) -> dict[str, Any]:
        """Out-of-fold terms of a patient, of the same repeat as the table; see `Study.terms`."""
        if self._terms is None or patient not in self._terms.index:
            return {"rows": [], "why": NO_TERMS}
        own = self._terms.loc[patient].to_dict()
        says = dict.fromkeys(map(str, own), OUT_OF_FOLD)
        return described_terms(own, (), says, self.labels)

    def maps(self, patient: str, modality: str) -> Maps:
        """No maps, and why; see `Study.maps`."""
        return {}, {EVERY_SLIDE: NO_MAPS}


def _terms(result: Result) -> pd.DataFrame | None:
    """Terms of a run's first repeat by patient; None where it computed none."""
    if result.terms is None:
        return None
    repeat = result.first_repeat["repeat"].iloc[0]
    own = result.terms[result.terms["repeat"] == repeat]
    terms: pd.DataFrame = own.set_index("patient_id").drop(columns=["repeat", "fold"])
    return terms


def _table(result: Result, cohort: Cohort) -> PatientTable:
    """The table of a run's first repeat."""
    frame = result.first_repeat
    ids = [str(patient) for patient in frame["patient_id"]]
    columns = [patients_of(ids)]
    horizon = result.horizon
    survival = None if horizon is None else f"survival_{horizon:g}"
    if survival in frame:
        title = f"Risk at {horizon:g} {result.unit}"
        says = "predicted out of fold: share of such patients with the event by then"
        columns.append(
            numbers("risk", title, 1 - frame[survival], says, "percent", filtered=True)
        )
    events = ["event" if seen else "censored" for seen in frame["event"]]
    columns += [
        risk_groups(frame["risk_group"].to_numpy(np.float64)),
        numbers(
            "log_risk",
            "Log-risk",
            frame["log_risk"],
            "larger is earlier; of one fold only",
        ),
        numbers(
            "predicted_time",
            f"Median time, {result.unit}",
            frame["predicted_time"],
            "empty where the curve does not fall to one half",
        ),
        numbers(
            "time",
            f"Observed time, {result.unit}",
            frame["time"],
            "event or end of follow-up",
        ),
        Column("event", "Event", "text", events),
    ]
    ranges, models = _rank_range(result)
    notes = [NO_MAPS]
    if ranges is None:
        notes.append("the run holds one model that orders patients: no disagreement")
    else:
        says = (
            "distance between the highest and the lowest rank (0 to 100, within the fold) that "
            f"{models} models give the patient"
        )
        columns.append(
            numbers("disagreement", "Disagreement", ranges, says, filtered=True)
        )
    columns += of_cohort(cohort, ids)
    return PatientTable(columns, notes)


def _rank_range(result: Result) -> tuple[FloatArray | None, int]:
    """Range over models of each patient's rank, 0 to 100; and how many models there are."""
    patients = result.first_repeat["patient_id"]
    repeat, ranks = result.first_repeat["repeat"].iloc[0], []
    for name in result.scored_models:
        table = result.models.get(name)
        if table is None or table["log_risk"].nunique() < 2:
            continue
        own = table[table["repeat"] == repeat]
        rank = 100 * own.groupby("fold")["log_risk"].rank(pct=True)
        rank.index = pd.Index(own["patient_id"])
        ranks.append(rank.reindex(patients).to_numpy(np.float64))
    if len(ranks) < 2:
        return None, len(ranks)
    stacked = np.stack(ranks)
    return np.asarray(stacked.max(axis=0) - stacked.min(axis=0)), len(ranks)
