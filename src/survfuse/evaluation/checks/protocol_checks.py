"""Checks of who was trained on, who was tested, and what was chosen on whom."""

from __future__ import annotations

from survfuse._errors import listed
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

INSIDE = {
    "inner_folds": "epochs were chosen on inner folds of the training patients",
    "holdout": "epochs were chosen on a holdout cut from the training patients",
    "last": "every fit trained the number of epochs stated beforehand",
    "anchored": "penalties and weights were chosen on inner folds of the training patients",
}
FEW_EVENTS = 5  # test events below which a fold's C says next to nothing
CHANCE = 0.5
RANKS_ANYHOW = (
    "With one or few strong inputs this is often chance: shuffled outcomes give each a direction, "
    "right or "
    "wrong for all patients at once; run it into another folder with --set model.training.seed=1. "
    "If it stays, the "
    "protocol itself scores: look for patients or choices shared between folds."
)


@check(
    "SRV001",
    "Every patient is tested once per repeat, by a model not trained on it.",
    "error",
    ("models",),
)
def patients_once(evidence: Evidence) -> Verdict:
    """Look for patients tested twice in a repeat, and for patients both trained on and tested."""
    predictions = evidence.predictions
    repeated = predictions.duplicated(["repeat", "patient_id"])
    twice = sorted(set(predictions.loc[repeated, "patient_id"]))
    if twice:
        return doubt(
            f"{len(twice)} patients are tested twice in one repeat: {listed(twice)}",
            "Make folds that test every patient once; of survfuse's own folds, report a bug.",
        )
    both: set[str] = set()
    for split in evidence.splits:
        both |= set(split.train) & set(split.test)
    if both:
        return doubt(
            f"{len(both)} patients are trained on and tested in one fold: {listed(sorted(both))}",
            "Correct the splits; every number of this run is too good.",
        )
    count = predictions["patient_id"].nunique()
    return ok(f"{count} patients, each tested once per repeat, by folds of patients")


@check(
    "SRV006",
    "What was chosen was not chosen on the patients that are reported.",
    "error",
    ("models",),
)
def selection_is_inside(evidence: Evidence) -> Verdict:
    """State on which patients epochs, penalties or weights were chosen."""
    chosen = evidence.selection
    if chosen is None and evidence.config is not None:
        chosen = evidence.config.chosen_by
    if chosen is None:
        return not_applicable(
            "how the model was chosen is not known (predictions of another program)",
        )
    if chosen in INSIDE:
        return ok(INSIDE[chosen])
    return doubt(
        f"the model was chosen on {chosen!r}, which is not inside the training patients",
        "Choose on inner folds, or call these numbers validation scores: the best of many is too "
        "good.",
    )


@check("SRV017", "Every fold tests enough events to be scored.", "warning", ("models",))
def events_in_folds(evidence: Evidence) -> Verdict:
    """Count the test events of every fold."""
    events = evidence.predictions.groupby(["repeat", "fold"])["event"].sum().astype(int)
    text = f"{events.min()} to {events.max()} test events in {len(events)} folds"
    few = events[events < FEW_EVENTS]
    if few.empty:
        return ok(text)
    folds = [
        f"repeat {row.repeat} fold {row.fold}: {row.event}"
        for row in few.reset_index().itertuples()
    ]
    return doubt(
        f"{text}; fewer than {FEW_EVENTS} in {len(few)} ({listed(folds)})",
        "Take fewer folds; a fold without events scores nothing and is left out of the means.",
    )


@check(
    "SRV014",
    "Trained on shuffled outcomes, the same model is not shown to rank patients.",
    "error",
    ("permuted",),
)
def permuted_finds_nothing(evidence: Evidence) -> Verdict:
    """Compare the model with itself, trained on outcomes dealt to the wrong patients."""
    assert evidence.permuted is not None
    score = evidence.permuted.get("uno_c")
    if score is None or not has_interval(score):
        note = score.note if score else ""
        return not_applicable(
            f"the score on permuted outcomes is not computable: {note}",
        )
    text = f"Uno C on permuted outcomes: {with_interval(score)}"
    if score.low is not None and score.low > CHANCE:
        return doubt(text, RANKS_ANYHOW)
    return ok(text)


@check(
    "SRV022",
    "The model is better than itself trained on shuffled outcomes.",
    "warning",
    ("permuted",),
)
def better_than_permuted(evidence: Evidence) -> Verdict:
    """Read the paired difference to the same model trained on shuffled outcomes."""
    assert evidence.permuted is not None
    gain = evidence.permuted.get("difference")
    if gain is None or gain.low is None or not has_interval(gain):
        return not_applicable("the difference to permuted outcomes is not computable")
    text = f"Uno C minus that on permuted outcomes: {with_interval(gain, signed=True)}"
    if gain.low > 0:
        return ok(text)
    return doubt(
        text,
        "The model is not shown to be better than one that learned nothing; say so beside the "
        "score.",
    )
