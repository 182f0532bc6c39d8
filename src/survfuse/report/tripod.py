"""The items of the TRIPOD+AI statement that a run can help to answer.

What each item asks is told in our own words after Collins GS et al., BMJ 2024;385:e078378; the
statement itself is what counts.
"""

from __future__ import annotations

from collections.abc import Callable

from survfuse._errors import listed
from survfuse.report.artefacts import Run
from survfuse.report.formatting import (
    count,
    duration,
    interval,
    known,
    number,
    percent,
    plural,
)
from survfuse.report.method import (
    CALIBRATION,
    ELSEWHERE,
    LEARNED,
    SELECTION,
    section,
    selected_by,
)
from survfuse.report.names import family_title, order
from survfuse.report.performance import NOT_RECORDED
from survfuse.report.report_tables import Tables

AUTHORS = "For the authors to say"
SITES = ("site", "sites", "hospital", "hospitals", "centre", "center")
NAMED = 12
DRAWN = {
    "risk_curves": "Kaplan–Meier curves of risk groups",
    "time_curves": "AUC and Brier score over time",
    "smooth_calibration": "calibration curves",
    "decision": "decision curve",
    "subgroups": "forest of subgroups",
}
OF_TRAINING = {
    "7",
    "11",
    "12a",
    "12b",
    "12c",
    "12f",
    "12g",
    "13",
    "15",
    "21",
    "22",
    "24",
}
Answer = Callable[[Run, Tables], str]


def items(run: Run, tables: Tables) -> list[dict[str, str]]:
    """Answer the items as far as the files of the run can.

    Parameters
    ----------
    run : Run
    tables : Tables
        Computed from `run`.

    Returns
    -------
    list of mapping
        `item`, `topic`, `asks`, `says` (facts of the run) and `authors` (what only they can say).
    """
    return [
        {"item": item, "topic": topic, "asks": asks}
        | (
            {"says": ELSEWHERE, "authors": f"{AUTHORS}."}
            if run.foreign and item in OF_TRAINING
            else {"says": answer(run, tables), "authors": authors}
        )
        for item, topic, asks, answer, authors in ITEMS
    ]


def _preparation(run: Run, tables: Tables) -> str:
    found = (
        plural(len(tables.problems), "problem")
        if len(tables.problems)
        else "no problem"
    )
    return f"The input was checked; {found} recorded (see Cohort). {LEARNED}"


def _size(run: Run, tables: Tables) -> str:
    counts = f"{plural(run.cohort['patients'], 'patient')}, {plural(run.cohort['events'], 'event')}"
    sizes = tables.performance["sizes"]
    for each in sizes.loc[sizes["model"] == run.model, "events_per_effective"].dropna():
        counts += f"; {number(each, 1)} training events per effective parameter"
    return f"{counts}. The software calculated no sample size."


def _missing(run: Run, tables: Tables) -> str:
    if tables.modalities.empty:
        return f"Missing values: {NOT_RECORDED}."
    told = [
        f"{row['name']}: {count(row['patients'])} of {plural(run.cohort['patients'], 'patient')} have it"
        + (
            f", {percent(row['missing_share'], 1)} of their values missing"
            if row["missing_share"]
            else ""
        )
        for row in tables.modalities.to_dict("records")
    ]
    left = tables.flow["left_out"].dropna()
    out = (
        f" Left out before the analysis: {plural(sum(left), 'patient')} (see Cohort)."
        if len(left)
        else ""
    )
    return f"{listed(told, NAMED)}. Missing values were filled from training patients of each fold.{out}"


def _use(run: Run, tables: Tables) -> str:
    repeats, folds = (
        run.predictions["repeat"].nunique(),
        run.predictions["fold"].nunique(),
    )
    text = f"Cross-validation by patient: {plural(folds, 'fold')}, {plural(repeats, 'repeat')}. "
    outside = (run.performance.get("external") or {}).get("cohort") or {}
    name = f"{outside.get('name', 'unnamed')}, {plural(outside.get('patients'), 'patient')}"
    return text + (
        f"Another cohort was scored: {name}."
        if outside
        else "No other cohort was scored."
    )


def _predictors(run: Run, tables: Tables) -> str:
    model = section(run.config, "model")
    told = [
        f"{key} {value}" for key, value in model.items() if key.endswith("_scaling")
    ]
    sizes = [
        f"{row['name']} ({plural(row['features'], 'feature')})"
        for row in tables.modalities.to_dict("records")
        if known(row["features"])
    ]
    parts = [part for part in (listed(sizes, NAMED), ", ".join(told)) if part]
    return ". ".join([*parts, LEARNED])


def _building(run: Run, tables: Tables) -> str:
    model = section(run.config, "model")
    chosen = str(selected_by(model) or "")
    return f"Model {run.model}. {SELECTION.get(chosen, f'How it was chosen: {NOT_RECORDED}.')}"


def _sites(run: Run, tables: Tables) -> str:
    table = tables.performance["subgroups"]
    groups = table[table["group"].astype(str).str.lower().isin(SITES)]
    if groups.empty:
        return f"Performance by site: {NOT_RECORDED}."
    return f"Ranking and calibration in {plural(groups['level'].nunique(), 'site')} (see Sites and subgroups)."


def _measures(run: Run, tables: Tables) -> str:
    names = dict.fromkeys(
        family_title(key) for key in sorted(run.metrics[run.model], key=order)
    )
    at = listed((duration(h, run.unit) for h in run.horizons), NAMED)
    parts = ["; ".join(names)] + ([f"Horizons: {at}"] if at else [])
    frames = tables.frames()
    drawn = [name for table, name in DRAWN.items() if len(frames[table])]
    return ". ".join([*parts, *([f"Drawn: {', '.join(drawn)}"] if drawn else [])]) + "."


def _calculated(run: Run, tables: Tables) -> str:
    return (
        "Each patient by a network trained without that patient; predictions.csv, sha256 "
        f"{run.predictions_sha256[:12]}…"
    )


def _imbalance(run: Run, tables: Tables) -> str:
    sampling = section(run.config, "model").get("sampling")
    if sampling is None:
        return f"How patients were drawn in training: {NOT_RECORDED}."
    if sampling == "event_balanced":
        return (
            "Batches were drawn with as many events as censored patients (sampling: event_balanced). "
            + (_curves(run))
        )
    return f"None used (sampling: {sampling})."


def _curves(run: Run) -> str:
    told = section(run.config, "model").get("calibration")
    return CALIBRATION.get(str(told), f"How risks became curves: {NOT_RECORDED}.")


def _output(run: Run, tables: Tables) -> str:
    at = listed((duration(h, run.unit) for h in run.horizons), NAMED)
    outputs = ["a log-risk", "a predicted time"]
    if at and any(
        str(name).startswith("survival_") for name in run.predictions.columns
    ):
        outputs.insert(1, f"the probability of being without the event at {at}")
    groups = tables.risk_groups["name"].tolist()
    cuts = (
        f" Groups ({listed(groups, NAMED)}) are cut at risks of training patients."
        if groups
        else ""
    )
    return f"For each patient {'; '.join(outputs)}. {_curves(run)}{cuts}"


def _code(run: Run, tables: Tables) -> str:
    version = (run.info.get("versions") or {}).get("survfuse")
    told = f"survfuse {version}" if version else f"survfuse, version {NOT_RECORDED}"
    return f"{told}; command, configuration and hashes under Method and limits."


def _participants(run: Run, tables: Tables) -> str:
    follow = run.cohort.get("follow_up_median")
    median = (
        f"median follow-up {duration(follow, run.unit)}"
        if known(follow)
        else "median follow-up not reached"
    )
    without = int(run.cohort["patients"]) - int(run.cohort["events"])
    return (
        f"{plural(run.cohort['patients'], 'patient')}, {count(run.cohort['events'])} with the event, "
        f"{count(without)} without; {median}. Flow: see Cohort."
    )


def _characteristics(run: Run, tables: Tables) -> str:
    if tables.modalities.empty:
        return f"Data at hand: {NOT_RECORDED}."
    return f"Data at hand and missing: see Cohort ({listed(tables.modalities['name'], NAMED)})."


def _shift(run: Run, tables: Tables) -> str:
    if run.performance.get("external"):
        return "Patients and events of the other cohort: see External validation."
    return "Not applicable: no other cohort was scored."


def _analyses(run: Run, tables: Tables) -> str:
    folds = tables.folds
    told = []
    for name in ("patients", "events"):
        least, most = int(folds[name].min()), int(folds[name].max())
        told.append(
            f"{count(least)} to {count(most)} {name}"
            if least < most
            else plural(most, name[:-1]),
        )
    sizes = " and ".join(told)
    return f"Test folds of {sizes}, the others for training; each fold under Method and limits."


def _specification(run: Run, tables: Tables) -> str:
    return "A cross-validation scores a recipe and leaves no final model; the configuration is on this page."


def _performance(run: Run, tables: Tables) -> str:
    told = []
    for key in ("uno_c", "harrell_c", "observed_expected"):
        row = tables.estimate(run.model, key)
        if row is not None and known(row["value"]):
            told.append(
                f"{family_title(key)} {number(row['value'])} ({interval(row['low'], row['high'])})",
            )
    groups = tables.performance["subgroups"]["group"].nunique()
    shown = (
        "by subgroup: see Sites and subgroups"
        if groups
        else f"by subgroup: {NOT_RECORDED}"
    )
    return "; ".join([*told, shown]) + "."


def _updating(run: Run, tables: Tables) -> str:
    return "No model was updated after its evaluation."


ITEMS: tuple[tuple[str, str, str, Answer, str], ...] = (
    (
        *(
            "7",
            "Data preparation",
            "Cleaning and quality checks, and whether alike in all social groups.",
        ),
        *(
            _preparation,
            f"{AUTHORS}: what was done before the files came here, and in whom.",
        ),
    ),
    (
        "10",
        "Sample size",
        "How the size came about and why it is enough.",
        _size,
        f"{AUTHORS}: why it is enough.",
    ),
    (
        "11",
        "Missing data",
        "How they were handled; why data were left out.",
        _missing,
        "",
    ),
    (
        "12a",
        "Analysis",
        "Which data served development and evaluation, how they were divided.",
        _use,
        "",
    ),
    (
        "12b",
        "Analysis",
        "How predictors were handled: form, scale, transformation.",
        _predictors,
        "",
    ),
    (
        *(
            "12c",
            "Analysis",
            "Kind of model and why, all steps of building, tuning, internal validation.",
        ),
        *(_building, f"{AUTHORS}: why this kind of model."),
    ),
    (
        "12d",
        "Analysis",
        "How differences between clusters such as hospitals were handled.",
        _sites,
        "",
    ),
    (
        *(
            "12e",
            "Analysis",
            "All measures and plots of performance and why; how models were compared.",
        ),
        *(_measures, f"{AUTHORS}: why these measures."),
    ),
    (
        "12f",
        "Analysis",
        "Any updating that followed from the evaluation.",
        _updating,
        "",
    ),
    (
        "12g",
        "Analysis",
        "How the predictions that were evaluated were calculated.",
        _calculated,
        "",
    ),
    (
        "13",
        "Class imbalance",
        "Methods against imbalance, why, and recalibration after them.",
        _imbalance,
        "",
    ),
    (
        *(
            "15",
            "Model output",
            "What the model gives; why and how any classes were cut.",
        ),
        *(_output, f"{AUTHORS}: what the groups are for."),
    ),
    (
        *("18f", "Code sharing", "Where the code of the analysis can be had."),
        *(_code, f"{AUTHORS}: where the code of this study lies."),
    ),
    (
        "20a",
        "Participants",
        "Flow of participants, with and without the outcome, follow-up.",
        _participants,
        "",
    ),
    (
        *(
            "20b",
            "Participants",
            "Characteristics, overall and by source: dates, predictors, treatments.",
        ),
        *(
            _characteristics,
            f"{AUTHORS}: dates, treatments, characteristics by demographic group.",
        ),
    ),
    (
        *(
            "20c",
            "Participants",
            "For evaluation: how predictors differ from those in the development data.",
        ),
        *(_shift, f"{AUTHORS}, where another cohort was scored."),
    ),
    (
        "21",
        "Model development",
        "Participants and events in each analysis.",
        _analyses,
        "",
    ),
    (
        *(
            "22",
            "Model specification",
            "The full model, so that others can predict and evaluate; any limits.",
        ),
        *(_specification, f"{AUTHORS}: where the final model can be had."),
    ),
    (
        "23a",
        "Performance",
        "Estimates with intervals, also in key subgroups.",
        _performance,
        "",
    ),
    ("23b", "Performance", "Where examined, differences between clusters.", _sites, ""),
    ("24", "Model updating", "Results of any updating.", _updating, ""),
)
