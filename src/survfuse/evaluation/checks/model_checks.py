"""Checks of what a model predicted: its gain, its times, its calibration, its size."""

from __future__ import annotations

from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.evidence import (
    Evidence,
    Verdict,
    doubt,
    has_interval,
    not_applicable,
    ok,
    with_interval,
)
from survfuse.evaluation.model_sizes import Size
from survfuse.survival.estimate import rounded

TIE_SHARE = 0.2  # more predictions than this with one predicted time is doubted
# Expected shrinkage at which a fit gains nothing on new patients; a new study should have 0.9.
HEAVY = 0.5
TOO_CLOSE = (
    "On new patients such fits are expected to gain nothing over no model; take fewer inputs or a "
    "stronger "
    "penalty, and trust out-of-fold numbers alone."
)
PERFECT = {
    "observed_expected": "O/E",
    "calibration_slope": "calibration slope",
}  # 1 when calibrated


@check(
    "SRV002",
    "The model is better than the clinical-only ridge Cox on the same folds.",
    "warning",
    ("metrics",),
)
def beats_clinical(evidence: Evidence) -> Verdict:
    """Read the paired difference in Uno's C."""
    if evidence.clinical is None:
        return not_applicable("the cohort has no clinical table")
    delta = evidence.estimates.get("delta_uno_c_vs_clinical")
    if (
        delta is None
        or delta.low is None
        or delta.high is None
        or not has_interval(delta)
    ):
        return not_applicable("the difference is not computable")
    text = f"Uno C minus clinical-only: {with_interval(delta, signed=True)}"
    if delta.low > 0:
        return ok(text)
    result = (
        "Shown to rank worse than" if delta.high < 0 else "Not shown to be better than"
    )
    return doubt(text, f"{result} clinical variables alone; say so beside the score.")


@check("SRV003", "Patients get different predicted times.", "warning", ("models",))
def predicted_times_differ(evidence: Evidence) -> Verdict:
    """Find the most frequent predicted time."""
    times = evidence.predictions["predicted_time"].dropna()
    if times.empty:
        return not_applicable("no patient's curve reaches its median")
    share = float(times.value_counts().iloc[0] / len(evidence.predictions))
    text = f"{share:.0%} of the predictions share one predicted time"
    if share <= TIE_SHARE:
        return ok(text)
    return doubt(
        text,
        "Report survival at the horizons instead; under `calibration: km_rank` or `km`, take "
        "`breslow_oof`.",
    )


@check(
    "SRV004",
    "There are enough events for the parameters that shrinkage leaves.",
    "warning",
    ("summaries",),
)
def events_carry_the_parameters(evidence: Evidence) -> Verdict:
    """Compare the fits' gain with its optimism, and their parameters with their events."""
    size = Size.of(evidence.fits)
    if size is None:
        return not_applicable("the model states no parameter count")
    fits = len(evidence.fits)
    if 2 * size.too_many > fits:
        return doubt(
            f"{size.too_many} of {fits} fits have more effective parameters than events",
            TOO_CLOSE,
        )
    if size.effective is None:
        return not_applicable(size.note)
    if size.effective < 1 or size.events_per_effective is None:
        return not_applicable(
            f"{size.effective:.1f} effective parameters: the fits hardly separate patients",
        )
    text = (
        f"{size.events_per_effective:.1f} training events per effective parameter "
        f"({size.effective:.1f} of {size.parameters:,.0f})"
    )
    if size.shrinkage is None:
        return not_applicable(
            f"{text}; on their own patients the fits gain nothing, or it is not recorded",
        )
    text += f"; expected shrinkage {size.shrinkage:.2f}"
    return ok(text) if size.shrinkage > HEAVY else doubt(text, TOO_CLOSE)


@check(
    "SRV005",
    "Out-of-fold risks carry signal, so that curves differ between patients.",
    "warning",
    ("summaries",),
)
def calibration_has_signal(evidence: Evidence) -> Verdict:
    """Count the fits whose calibrator left a note."""
    if not evidence.fits:
        return not_applicable("the model left no summaries of its fits")
    notes = [fit.get("calibration_note") for fit in evidence.fits]
    notes = [note for note in notes if note]
    if not notes:
        return ok(f"calibrated in all {len(evidence.fits)} folds without remark")
    return doubt(
        f"{len(notes)} of {len(evidence.fits)} folds: {notes[0]}",
        "Curves of these folds hardly differ.",
    )


@check("SRV015", "Calibration is not rejected.", "warning", ("metrics",))
def calibration_holds(evidence: Evidence) -> Verdict:
    """Ask whether the intervals of O/E and of the calibration slope include 1."""
    texts, away = [], []
    for key, name in PERFECT.items():
        estimate = evidence.estimates.get(key)
        if (
            estimate is None
            or estimate.low is None
            or estimate.high is None
            or not has_interval(estimate)
        ):
            continue
        texts.append(f"{name} {with_interval(estimate, 2)}")
        if not estimate.low <= 1 <= estimate.high:
            away.append(name)
    if not texts:
        return not_applicable("neither O/E nor the calibration slope has an interval")
    text = "; ".join([*texts, *_footnotes(evidence)])
    if not away:
        return ok(text)
    return doubt(
        text,
        f"{' and '.join(away)} away from 1: do not give these probabilities to anyone before "
        "recalibrating.",
    )


def _footnotes(evidence: Evidence) -> list[str]:
    """ICI at each horizon, and the p-value of D-calibration, blind when many are censored."""
    notes = []
    for key, estimate in evidence.estimates.items():
        if estimate.value is None:
            continue
        if key.startswith("ici_"):
            notes.append(f"ICI at {key.removeprefix('ici_')} {estimate.value:.3f}")
        elif key == "d_calibration":
            notes.append(f"D-calibration p {rounded(estimate.value)}")
    return notes
