"""Show how it was done, from the configuration and the record of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from survfuse._errors import listed
from survfuse.report.artefacts import Run
from survfuse.report.formatting import count, duration, plural

UNKNOWN = "not recorded"
LEARNED = (
    "Scaling, gene selection, principal components, imputation, cut-offs of risk groups and calibration were "
    "fitted on the training patients of each fold alone."
)
CONCORDANCE = "Computed inside each test fold, averaged over folds and repeats."
WIDENED = (
    "From influence functions, widened for the overlap of training sets (Nadeau and Bengio 2003); "
    "those of concordance."
)
ELSEWHERE = (
    "Made elsewhere and only scored here: how the model was trained, and whether it saw these patients, "
    "is not recorded."
)
FOREIGN = (
    "Where the predictions come from",
    "They were read from a file. If the model saw these patients in training, every number is too good.",
)
SELECTION = {
    "inner_folds": "The number of epochs was chosen by inner folds of the training patients, "
    "then the network was trained anew on all of them.",
    "holdout": "The epoch was chosen on a holdout cut from the training patients.",
    "last": "The network was trained for a fixed number of epochs; nothing was chosen.",
    "anchored": "Each modality's ridge penalty, the trust in it and that in every pair were chosen by "
    "inner folds of the training patients; then everything was fitted anew on all of them.",
}
CALIBRATION = {
    "breslow_oof": "Breslow baseline and one slope, fitted on out-of-fold risks of the training patients.",
    "breslow": "Breslow baseline on the network's own training risks (too sure of itself when it overfits).",
    "km_rank": "Rank among training risks mapped to the Kaplan–Meier curve: a time, no curve per patient.",
    "km": "The Kaplan–Meier curve of the training patients, the same for everyone.",
}
CROSS_VALIDATED = (
    "Other hospitals",
    "Every number comes from patients of this cohort. Cross-validation is not external validation: "
    "other scanners, laboratories, treatments or case mix may change ranking and calibration.",
)
VALIDATED = (
    "Other hospitals",
    "One other cohort was scored. It says how the model did there, not how it does everywhere.",
)
NO_SUBGROUPS = (
    "Subgroups",
    "Nothing here shows that the model works equally well by sex, age, stage or site.",
)
LIMITS = (
    (
        "Clinical benefit",
        "A concordance says how well patients were ranked. It does not say that treating by the risk groups "
        "would help; the groups are a description, not a decision rule.",
    ),
    (
        "Choices made before the run",
        "Uncertainty from choosing the endpoint, the variables or this configuration after having seen "
        "these data is in none of the intervals.",
    ),
    (
        "Informative censoring and competing risks",
        "Censored patients are taken to have had the same prospects as those still followed. A competing "
        "death counts as whatever the event column says.",
    ),
    (
        "Seeds",
        "The intervals describe the sampling of patients; a network trained from another seed differs too.",
    ),
)
REFERENCES = (
    "Harrell FE et al. Evaluating the yield of medical tests. JAMA 1982;247:2543–2546. (Harrell C)",
    "Uno H et al. On the C-statistics for evaluating overall adequacy of risk prediction procedures with "
    "censored survival data. Stat Med 2011;30:1105–1117. (Uno C)",
    "Kaplan EL, Meier P. Nonparametric estimation from incomplete observations. J Am Stat Assoc "
    "1958;53:457–481.",
    "Schemper M, Smith TL. A note on quantifying follow-up in studies of failure time. Control Clin Trials "
    "1996;17:343–346. (median follow-up)",
    "Collins GS et al. TRIPOD+AI statement. BMJ 2024;385:e078378. (what a report of a prediction model owes)",
    "Gerds TA, Schumacher M. Consistent estimation of the expected Brier score in general survival models "
    "with right-censored event times. Biom J 2006;48:1029–1040. (Brier score)",
    "Austin PC, Harrell FE, van Klaveren D. Graphical calibration curves and the integrated calibration "
    "index (ICI) for survival models. Stat Med 2020;39:2714–2742. (ICI, E50, E90)",
    "Vickers AJ, Elkin EB. Decision curve analysis. Med Decis Making 2006;26:565–574. (net benefit)",
    "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 1979;6:65–70.",
    "arXiv 2605.13897. (the network this software starts from)",
)


def selected_by(model: Mapping[str, Any]) -> Any:
    """Tell how a model's settings were chosen: a key of `SELECTION`, or what the configuration says."""
    return "anchored" if model.get("fusion") == "anchored" else model.get("selection")


def method(run: Run) -> list[tuple[str, str]]:
    """Describe the run: what was done to whom, with what, and how to repeat it.

    Parameters
    ----------
    run : Run

    Returns
    -------
    list of tuple of str
        Title and sentence; what the files do not say reads "not recorded".
    """
    model, crossval = section(run.config, "model"), section(run.config, "crossval")
    selection, calibration = selected_by(model), model.get("calibration")
    tau = run.cohort.get("tau")
    truncation = (
        f"Uno C is truncated at {duration(tau, run.unit)}."
        if tau is not None
        else "Uno C: no truncation."
    )
    trained = [
        ("Splits", _splits(run, crossval)),
        ("What was learned where", LEARNED),
        ("Selection", SELECTION.get(str(selection), str(selection or UNKNOWN))),
        *(
            [("Hyper-parameters", str(run.info["search"]))]
            if run.info.get("search")
            else []
        ),
        ("Network", _network(model)),
        (
            "Risk to curve",
            CALIBRATION.get(str(calibration), str(calibration or UNKNOWN)),
        ),
    ]
    return [
        *([("Predictions", ELSEWHERE)] if run.foreign else trained),
        ("Concordance", f"{CONCORDANCE} {truncation}"),
        ("95% intervals", str(run.performance.get("interval") or WIDENED)),
        (
            "Horizons",
            listed((duration(h, run.unit) for h in run.horizons), 12) or UNKNOWN,
        ),
        ("Seeds", _pairs(run.info.get("seeds"))),
        ("Versions", _pairs(run.info.get("versions"))),
        ("Run", _run(run.info)),
    ]


def limits(run: Run) -> list[tuple[str, str]]:
    """Say what the page does not show, given what the run recorded.

    Parameters
    ----------
    run : Run

    Returns
    -------
    list of tuple of str
        Title and sentence.
    """
    hospitals = VALIDATED if run.performance.get("external") else CROSS_VALIDATED
    hospitals = FOREIGN if run.foreign else hospitals
    subgroups = [] if run.performance.get("subgroups") else [NO_SUBGROUPS]
    return [hospitals, *subgroups, *LIMITS]


def notes(run: Run) -> list[str]:
    """Tell the notes of the run without patient ids, each once, with how often it was made.

    Parameters
    ----------
    run : Run
    """
    ids = set(run.predictions["patient_id"])
    hidden = (
        ": ".join(
            "one patient" if part in ids else part for part in str(note).split(": ")
        )
        for note in run.info.get("notes") or ()
    )
    return [
        f"{note} ({count(n)} times)" if n > 1 else note
        for note, n in Counter(hidden).items()
    ]


def _splits(run: Run, crossval: Mapping[str, Any]) -> str:
    repeats, folds = (
        run.predictions["repeat"].nunique(),
        run.predictions["fold"].nunique(),
    )
    text = f"{plural(folds, 'fold')} by patient, {plural(repeats, 'repeat')}; every patient is predicted by "
    text += "networks that never saw that patient."
    if "seed" in crossval:
        text += f" Seed of the splits: {crossval['seed']}."
    return text


def _network(model: Mapping[str, Any]) -> str:
    told = [
        f"{key} {model[key]}"
        for key in ("preset", "fusion", "bag_pooling", "head", "loss")
        if key in model
    ]
    return ", ".join(told) or UNKNOWN


def _run(info: Mapping[str, Any]) -> str:
    moments = (
        (name, str(info[name]).replace("T", " "))
        for name in ("started", "finished")
        if info.get(name)
    )
    parts = [f"{name} {moment}" for name, moment in moments]
    if info.get("seconds") is not None:
        seconds = float(info["seconds"])
        parts.append(
            f"{count(seconds)} s" if seconds < 600 else f"{count(seconds / 60)} min",
        )
    return "; ".join(parts) or UNKNOWN


def section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a section of the configuration, empty where there is none."""
    section = config.get(name)
    return section if isinstance(section, Mapping) else {}


def _pairs(values: Any) -> str:
    if isinstance(values, Mapping) and values:
        return ", ".join(f"{key} {value}" for key, value in values.items())
    return str(values) if values not in (None, {}, [], "") else UNKNOWN
