"""The facts of a run from which the page and its texts are rendered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from survfuse import figures
from survfuse._errors import listed
from survfuse.cohort.labels import Labels
from survfuse.figures.formatting import bounded, count, duration
from survfuse.report.characteristics_section import characteristics
from survfuse.report.explanation_section import uses
from survfuse.report.hazards_section import hazards
from survfuse.report.learning_section import learning_curve
from survfuse.report.names import D_CALIBRATION, DELTA, family_title, metric, order
from survfuse.report.report_tables import CONCORDANCES, Tables
from survfuse.report.section_facts import (
    availability,
    external_cohort,
    external_scores,
    robustness,
)
from survfuse.report.term_facts import of_terms
from survfuse.report.verdict import (
    calibrated,
    headline_metric,
    increments_say,
    predictions_sha256,
    says,
    verdict,
)
from survfuse.report.wording import load, render
from survfuse.results import Result
from survfuse.results.run_tables import plain_records

MOST_MODELS = 10
PARTS = re.compile("permuted:|late:-|network:")
"""Names of models that are parts or variants of others."""


def facts(tables: Tables) -> dict[str, Any]:
    """Facts for the texts on method, limits and TRIPOD items.

    Parameters
    ----------
    tables : Tables
    """
    run, texts = tables.run, load("method.yaml")
    model = _section(run, "model")
    selection = (
        "anchored" if model.get("fusion") == "anchored" else model.get("selection")
    )
    keys = sorted(run.estimates[run.name], key=order)
    return {
        "run": run,
        "unit": run.unit,
        "tables": tables.records,
        "lookup": tables.estimate,
        "labels": tables.labels,
        "model": model,
        "crossval": _section(run, "crossval"),
        "folds": int(run.predictions["fold"].nunique()),
        "repeats": int(run.predictions["repeat"].nunique()),
        "learned": texts["learned"],
        "elsewhere": texts["elsewhere"],
        "selection_key": selection,
        "selection_text": texts["selection"].get(str(selection)),
        "calibration_text": texts["calibration"].get(str(model.get("calibration"))),
        "horizons": listed(
            (duration(horizon, run.unit) for horizon in run.horizons),
            12,
        ),
        "columns": list(run.predictions),
        "external_cohort": external_cohort(run),
        "measures": list(dict.fromkeys(map(family_title, keys))),
        "sha256": predictions_sha256(tables),
    }


def titled(
    items: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
) -> list[tuple[str, str]]:
    """Title and text of the items that have something to say."""
    rendered = [(item["title"], render(item["text"], values)) for item in items]
    return [(title, text) for title, text in rendered if text]


def tripod_items(tables: Tables) -> list[dict[str, str]]:
    """Answer the items of TRIPOD+AI as far as the files of the run can.

    Returns
    -------
    list of mapping
        `item`, `topic`, `asks`, `says` (facts of the run) and `authors` (what only they can say).
    """
    values, items = facts(tables), []
    for record in load("tripod.yaml"):
        item = {"authors": "", **record}
        if item.pop("training", False) and tables.run.foreign:
            item |= {"says": "{{ elsewhere }}", "authors": "For the authors to say."}
        items.append({**item, "says": render(item["says"], values)})
    return items


def notes(run: Result) -> list[str]:
    """Notes of the run without patient ids, each once, with the number of times it was made."""
    ids = set(run.predictions["patient_id"])
    hidden: Counter[str] = Counter()
    for note in run.record.get("notes") or ():
        parts = str(note).split(": ")
        hidden[": ".join("one patient" if part in ids else part for part in parts)] += 1
    return [
        f"{note} ({count(n)} times)" if n > 1 else note for note, n in hidden.items()
    ]


def of_page(tables: Tables) -> dict[str, Any]:
    """Facts that the sections of the page show beyond the tables."""
    run, unit = tables.run, tables.run.unit
    key, values, texts = headline_metric(tables), facts(tables), load("method.yaml")
    performance: Mapping[str, Any] = run.performance
    external, other = performance.get("external") or {}, external_cohort(run)
    records = tables.records
    labels = values["labels"]
    counted = ""
    tau, uno = run.cohort.get("tau"), tables.estimate(run.name, "uno_c")
    if tau is not None and uno and uno["events"] not in (None, run.cohort["events"]):
        counted = f"by {duration(tau, unit)}, of {count(run.cohort['events'])} in all"
    return {
        **values,
        "cohort": {"follow_up_median": None, "tau": None, **run.cohort},
        "baseline": tables.baseline,
        "roles": tables.roles,
        "reasons": tables.reasons,
        "log_rank": tables.log_rank,
        "headline_key": key,
        "headline": metric(key, unit).title,
        **main_models(tables),
        "verdict": verdict(tables),
        "calibrated": calibrated(tables),
        "counted": counted,
        "delta_key": DELTA,
        "has_delta": DELTA in set(tables["models"]["metric"]),
        "families": families(tables),
        "increments": compared(tables.labelled_records("increments"), "with it"),
        "comparisons": compared(records["comparisons"], "than the reference"),
        "increments_say": increments_verdict(tables),
        **of_terms(tables),
        "characteristics": characteristics(records["characteristics"], labels, unit),
        "external_characteristics": characteristics(
            records["external_characteristics"],
            Labels.read(other.get("labels")),
            unit,
        ),
        "hazards": hazards(
            records["clinical_hazards"],
            performance.get("clinical_hazards"),
            labels,
        ),
        "availability": availability(records["patterns"], records["availability"]),
        "robustness": robustness(
            tables.labelled_records("robustness"),
            performance.get("robustness"),
        ),
        "uses": uses(
            records["shares"],
            records["agreement"],
            performance.get("explanations"),
            labels,
        ),
        "learning": learning_curve(
            records["learning_curve"],
            performance.get("learning_curve"),
            run.name,
        ),
        "external": external_scores(tables),
        "external_availability": availability(
            other.get("patterns") or (),
            records["external_availability"],
        ),
        "external_robustness": robustness(
            records["external_robustness"],
            external.get("robustness"),
        ),
        "decision_horizon": tables.decision_horizon,
        **of_subgroups(tables),
        "pooled": f"{'First repeat, all' if values['repeats'] > 1 else 'All'} test folds pooled.",
        "method": titled(texts["method"], values),
        "limits": titled(texts["limits"], values),
        "references": texts["references"],
        "notes": notes(run),
        "tripod": tripod_items(tables),
        "interval_text": str(performance.get("interval") or ""),
    }


def main_models(tables: Tables) -> dict[str, list[str]]:
    """Models of the main table, and those of the folded one.

    The main table has the model, the clinical baseline, the model without variables, every
    modality alone and all of them in simple models; the others differ from these by a part.
    """
    names = list(dict.fromkeys(tables["models"]["model"]))
    first = [name for name in names if not PARTS.match(name)][:MOST_MODELS]
    return {
        "models_first": first,
        "models_further": [name for name in names if name not in first],
    }


def of_subgroups(tables: Tables) -> dict[str, Any]:
    """Subgroups: their rows, their number, those with few events, those where O/E is off.

    Returns
    -------
    mapping
        `subgroups` (rows), `levels`, `fewest_events`, `few_events` (rows of levels that are listed
        only), `ratios` (number of intervals of observed / expected) and `off` (the rows whose
        interval excludes 1); both of levels that have enough events.
    """
    rows = tables.labelled["subgroups"]
    own = rows[rows["model"] == tables.run.name]
    parts = own[own["group"] != figures.EVERYONE]
    ratios = []
    for row in plain_records(parts[parts["metric"] == "observed_expected"]):
        if bounded(row) and (row["events"] or 0) >= figures.FEWEST_EVENTS:
            ratios.append(row)
    return {
        "subgroups": plain_records(rows),
        "levels": len(parts.drop_duplicates(["group", "level"])),
        "fewest_events": figures.FEWEST_EVENTS,
        "few_events": plain_records(figures.listed_subgroups(own)),
        "ratios": len(ratios),
        "off": [row for row in ratios if row["low"] > 1 or row["high"] < 1],
    }


def increments_verdict(tables: Tables) -> str | None:
    """Sentence on the increments; None where there are none."""
    rows = tables.labelled_records("increments")
    return increments_say(rows) if rows else None


def families(tables: Tables) -> list[tuple[str, list[str]]]:
    """Metrics of the model and the clinical baseline by family, empty where there is only C.

    D-calibration has a footnote of its own, with the share of censored patients.
    """
    models = tables["models"]
    keys = set(models.loc[models["model"].isin([*tables.roles]), "metric"])
    keys -= {D_CALIBRATION, DELTA}
    if keys <= set(CONCORDANCES):
        return []
    ordered = sorted(keys, key=order)
    groups = groupby(ordered, lambda key: metric(key, tables.run.unit).family)
    return [(family, list(part)) for family, part in groups]


def compared(
    rows: Iterable[Mapping[str, Any]],
    what: str,
) -> list[dict[str, Any]]:
    """Rows of `increments` or `comparisons`, each with its conclusion and its Brier score."""
    entries = []
    for row in rows:
        brier = {key: row[f"isbs_{key}"] for key in ("low", "high", "note")}
        brier["value"] = row["isbs"]
        entries.append({**row, "says": says(row, what), "brier": brier})
    return entries


def _section(run: Result, name: str) -> Mapping[str, Any]:
    section = run.settings.get(name)
    return section if isinstance(section, Mapping) else {}
