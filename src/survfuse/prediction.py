"""What a model says of some patients: risk, curve, time, group, and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import InputError, NotComputableError, listed
from survfuse._notebook import html_table
from survfuse._types import AnyArray, BoolArray, FloatArray, IntArray
from survfuse.cohort.drift import DriftReport
from survfuse.survival.calibration import Calibrator
from survfuse.survival.conformal import ConformalBound
from survfuse.survival.curves import SurvivalCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUPS = {0: "low", 1: "middle", 2: "high"}
SHOWN = 5
"""Patients, and notes, that a notebook shows."""
AVERAGE = "patient of average log-risk"


@dataclass(frozen=True, repr=False)
class Prediction:
    """What the model says of some patients.

    Attributes
    ----------
    patient_id : tuple of str, (patients,)
    log_risk : array, (patients,)
        Larger means earlier; its zero has no meaning.
    predicted_time : array, (patients,)
        Median survival time in the training unit, NaN where the curve does not
        reach one half; the rank map's time under `km_rank`.
    risk_group : array of int, (patients,)
        0 (low) to 2 (high), cut at the tertiles of the training patients.
    unit : str
        Unit of every time.
    notes : tuple of (patient_id or "", message)
        What a reader must know of this prediction.
    drift : DriftReport or None
        How far each patient is from the training patients; None where the model does not know.
    bound : ConformalBound or None
        Lower bound on the event time, where the model has one.
    in_training : array of bool, (patients,), or None
        Training patients of the model or of a prior that it reads, by id: their predictions are in
        sample. None where the model does not know its training patients.
    """

    patient_id: tuple[str, ...]
    log_risk: FloatArray
    predicted_time: FloatArray
    risk_group: IntArray
    unit: str
    calibrator: Calibrator = field(repr=False)
    notes: tuple[tuple[str, str], ...] = ()
    drift: DriftReport | None = field(default=None, repr=False)
    bound: ConformalBound | None = field(default=None, repr=False)
    in_training: BoolArray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.patient_id)

    @property
    def shape(self) -> tuple[int]:
        """Number of patients: for numpy and scikit-learn a prediction is its log-risks."""
        return (len(self),)

    def __array__(
        self,
        dtype: npt.DTypeLike | None = None,
        copy: bool | None = None,
    ) -> AnyArray:
        """Log-risk of each patient, (patients,)."""
        return (
            np.array(self.log_risk, dtype) if copy else np.asarray(self.log_risk, dtype)
        )

    def __repr__(self) -> str:
        notes = f", {len(self.notes)} note(s)" if self.notes else ""
        return f"Prediction({self._title}{notes})"

    def _repr_html_(self) -> str:
        rows = []
        for row, patient in enumerate(self.patient_id[:SHOWN]):
            time, group = self.predicted_time[row], GROUPS[int(self.risk_group[row])]
            reached = "not reached" if np.isnan(time) else f"{time:.4g}"
            rows.append((patient, f"{self.log_risk[row]:.3f}", reached, group))
        columns = ["patient", "log-risk", f"predicted time ({self.unit})", "risk group"]
        left = len(self) - SHOWN
        lines = [f"and {left} more patients: .frame() has them all"] if left > 0 else []
        for patient, message in self.notes[:SHOWN]:
            lines.append(f"{patient}: {message}" if patient else message)
        return html_table(f"Prediction of {self._title}", columns, rows, lines)

    @property
    def _title(self) -> str:
        """Patients, their spread and their risk groups, in a line."""
        if not len(self):
            return "no patients"
        counts = [
            f"{np.sum(self.risk_group == g)} {name}" for g, name in GROUPS.items()
        ]
        low, high = self.log_risk.min(), self.log_risk.max()
        return (
            f"{len(self)} patients, log-risk {low:.3f} to {high:.3f}, risk groups "
            f"{', '.join(counts)}, times in {self.unit or 'an unknown unit'}"
        )

    @property
    def curves(self) -> SurvivalCurves:
        """Survival curve of each patient.

        Raises
        ------
        NotComputableError
            Under a calibration that gives no curve (`km_rank`).
        """
        return self.calibrator.curves(self.log_risk)

    def survival(self, times: Sequence[float]) -> FloatArray:
        """S(t) of each patient at `times`; (patients, times).

        Raises
        ------
        InputError
            For a time that is negative or not finite.
        """
        return self.curves.at(_checked_times(times))

    @property
    def median_time(self) -> FloatArray:
        """Median survival time, NaN where training follow-up does not reach it; (patients,)."""
        return self.curves.median()

    def rmst(self, horizon: float) -> FloatArray:
        """Mean survival time restricted to `horizon`; (patients,)."""
        return self.curves.rmst(horizon)

    def time_interval(self, level: float = 0.8) -> tuple[FloatArray, FloatArray]:
        """Interval in which a share `level` of such patients has the event, by their curve.

        Parameters
        ----------
        level : float
            Inside (0, 1); as many have the event before the interval as after it.

        Returns
        -------
        low, high : array, (patients,)
            NaN where the curve does not fall so far within the training follow-up. It is
            the spread of patients, not the uncertainty of the median.

        Raises
        ------
        InputError
            For a level outside (0, 1).
        NotComputableError
            Under a calibration that gives no curve (`km_rank`).
        """
        if not 0 < level < 1:
            raise InputError(f"level must lie between 0 and 1, got {level}")
        curves = self.curves
        return curves.quantile((1 - level) / 2), curves.quantile((1 + level) / 2)

    def frame(
        self,
        horizons: Sequence[float] = (),
        *,
        details: bool = False,
    ) -> pd.DataFrame:
        """One row per patient: risk, time, group, and survival at `horizons` if there is a curve.

        Parameters
        ----------
        horizons : sequence of float
        details : bool
            Also `time_low` and `time_high` (80 % of such patients have the event in
            between; empty where not reached), `rmst_<last horizon>` where the curves reach
            it, `lower_bound` where the model has one, and, where the model knows its
            training patients, `in_training` (1: the patient is one of them, or of those
            that a prior was learned from), `drift`
            (modalities in which the patient is outside their range) and
            `drift_<modality>` (share of them at least as far); the latter two are empty
            for training patients.
        """
        table = self._frame(horizons)
        if not details:
            return table
        low = high = np.full(len(table), np.nan)
        if self.calibrator.has_curves:
            low, high = self.time_interval()
        table.insert(3, "time_low", low)
        table.insert(4, "time_high", high)
        if horizons and (mean := self._restricted_mean(max(horizons))) is not None:
            table.insert(len(table.columns) - 1, f"rmst_{max(horizons):g}", mean)
        if self.bound is not None:
            table["lower_bound"] = self.bound.lower(self.log_risk)
        if self.in_training is not None:
            table["in_training"] = self.in_training.astype(np.int64)
        if self.drift is not None:
            table["drift"] = self.drift.marks
            for name, share in self.drift.share.items():
                table[f"drift_{name}"] = share
        return table

    def survival_steps(self, patients: str | Sequence[str]) -> pd.DataFrame:
        """Survival curves of some patients, step by step.

        Parameters
        ----------
        patients : str or sequence of str

        Returns
        -------
        DataFrame
            `patient_id`, `time`, `survival`: from time 0 to the longest training follow-up.

        Raises
        ------
        InputError
            For a patient who was not predicted, or none.
        NotComputableError
            Under a calibration that gives no curve (`km_rank`).
        """
        rows = self._rows(patients)
        curves = self.curves.select(rows)
        ids = [self.patient_id[row] for row in rows]
        return _steps(curves, ids)

    def to_anndata(
        self,
        data: Any,
        horizons: Sequence[float] = (),
        *,
        patient: str | None = None,
        details: bool = False,
        prefix: str = "survfuse_",
        force: bool = False,
    ) -> tuple[str, ...]:
        """Write :meth:`frame` into the ``obs`` of an AnnData or MuData, in place, by patient.

        Parameters
        ----------
        data : AnnData or MuData
        horizons, details
            As of :meth:`frame`.
        patient : str, optional
            Column of ``obs`` that holds the patient ids; ``patient_id``, or else ``obs_names``,
            where not given. Several rows of one patient get the same values.
        prefix : str
            Begins the names of the columns.
        force : bool
            Replace columns of these names.

        Returns
        -------
        tuple of str
            Names of the columns. Rows of patients without a prediction are NaN.

        Raises
        ------
        InputError
            When `obs` has no predicted patient, or has such columns already.
        """
        from survfuse.cohort.anndata_input import write_obs

        table = self.frame(horizons, details=details).set_index("patient_id")
        return write_obs(data, table.add_prefix(prefix), patient, force=force)

    def plot_survival(
        self,
        patients: str | Sequence[str],
        ax: Axes | None = None,
        *,
        level: float = 0.8,
        population: pd.DataFrame | None = None,
        population_name: str = "population (Kaplan–Meier)",
    ) -> Axes:
        """Draw the survival curve of one or several patients, beside one to compare with.

        Parameters
        ----------
        patients : str or sequence of str
        ax : matplotlib.axes.Axes, optional
            A new figure where not given.
        level : float
            Of the bars below the curves, which are :meth:`time_interval`.
        population : DataFrame, optional
            `time`, `survival` of the curve to compare with. Where not given, that of a patient
            whose log-risk is the mean of the training patients, as the calibration holds it.
        population_name : str
            What `population` is.

        Returns
        -------
        matplotlib.axes.Axes
            The data are :meth:`survival_steps` and :meth:`time_interval`.

        Raises
        ------
        InputError
            For a patient who was not predicted, none, or a level outside (0, 1).
        NotComputableError
            Under a calibration that gives no curve (`km_rank`).
        """
        from survfuse.figures import plot_survival
        from survfuse.figures.plotting import axes_of

        rows = self._rows(patients)
        low, high = self.time_interval(level)
        ids = [self.patient_id[row] for row in rows]
        intervals = {"patient_id": ids, "low": low[rows], "high": high[rows]}
        center = getattr(self.calibrator, "center", None)
        if population is None and center is not None:
            population = _steps(self.calibrator.curves([center]), [AVERAGE])
            population_name = AVERAGE
        return plot_survival(
            axes_of(ax, (6.4, 4.4)),
            self.survival_steps(ids),
            self.unit,
            reference=population,
            reference_name=population_name,
            intervals=pd.DataFrame(intervals).assign(level=level),
        )

    def _rows(self, patients: str | Sequence[str]) -> list[int]:
        """Rows of some patients, in their order."""
        ids = [patients] if isinstance(patients, str) else list(patients)
        places = {patient: row for row, patient in enumerate(self.patient_id)}
        unknown = [patient for patient in ids if patient not in places]
        if unknown or not ids:
            raise InputError(
                f"patients: expected some of the {len(places)} predicted "
                f"({listed(places, 5)}), got {listed(map(str, unknown), 5) or 'none'}",
            )
        return [places[patient] for patient in dict.fromkeys(ids)]

    def _restricted_mean(self, horizon: float) -> FloatArray | None:
        try:
            return self.rmst(horizon)
        except (
            NotComputableError,
            InputError,
        ):  # no curve, not known so far, or a horizon of 0
            return None

    def _frame(self, horizons: Sequence[float]) -> pd.DataFrame:
        table = pd.DataFrame(
            {
                "patient_id": self.patient_id,
                "log_risk": self.log_risk,
                "predicted_time": self.predicted_time,
            },
        )
        _checked_times(horizons)
        if horizons and self.calibrator.has_curves:
            survival = self.survival(horizons)
            for column, horizon in enumerate(horizons):
                table[f"survival_{horizon:g}"] = survival[:, column]
        elif horizons:
            for horizon in horizons:
                table[f"survival_{horizon:g}"] = np.nan
        table["risk_group"] = self.risk_group
        return table


def _steps(curves: SurvivalCurves, ids: Sequence[Any]) -> pd.DataFrame:
    """Curves as a table of steps, from time 0 to where they are known."""
    times = np.append(0.0, curves.times)
    if times[-1] < curves.last:
        times = np.append(times, curves.last)
    survival = curves.at(times)
    table = pd.DataFrame(survival.T, index=times, columns=list(ids))
    long = (
        table.rename_axis("time")
        .reset_index()
        .melt("time", None, "patient_id", "survival")
    )
    return long[["patient_id", "time", "survival"]]


def _checked_times(times: Sequence[float]) -> FloatArray:
    checked = np.asarray(times, dtype=np.float64)
    if not (np.isfinite(checked) & (checked >= 0)).all():
        raise InputError(f"times must be finite and >= 0, got {checked.tolist()}")
    return checked
