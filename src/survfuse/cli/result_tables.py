"""Tables of a cross-validation for the terminal."""

from __future__ import annotations

from math import isfinite
from typing import Any

import typer

from survfuse.cli.output import print_table
from survfuse.results.prior_texts import prior_sentences
from survfuse.results.term_weights import over_fits, without_effect
from survfuse.survival.estimate import Estimate, rounded

WIDTH = 132  # of tables that go to a file
SCORES = {"uno_c": "Uno C", "isbs": "ISBS", "observed_expected": "O/E"}


def print_result(result: Any) -> None:
    """Print the models with their intervals, and what each modality adds."""
    cohort = result.cohort
    title = (
        f"{cohort['endpoint']}: {cohort['patients']} patients, {cohort['events']} events, "
        f"same folds; Uno C to {cohort['tau']:g} {cohort['unit']}"
    )
    sweep = result.performance.get("robustness") or {"rows": []}
    # Models under a loss of inputs, and of permuted modalities, are in the report.
    hidden = {row["model"] for row in sweep["rows"]} - {result.name}
    rows = []
    for name, metrics in result.estimates.items():
        if not name.startswith("permuted:") and name not in hidden:
            gain = metrics.get("delta_uno_c_vs_clinical")
            rows.append([name, *_scores(metrics), _format(gain, signed=True)])
    columns = ["model", *SCORES.values(), "Uno C minus clinical"]
    print_table(
        title,
        columns,
        rows,
        text_columns={"model"},
        width=WIDTH,
    )
    increments = result.performance.get("increment") or []
    if increments:
        _print_increments(increments)
    if result.weights is not None:
        print_weights(result.weights)
    terms = None if result.weights is None else over_fits(result.weights)
    for sentence in prior_sentences(result.cohort.get("priors"), terms, increments):
        typer.echo(sentence)
    external = result.performance.get("external")
    if external is not None:
        _print_external(external, [result.name, result.record["clinical"]])
    for check in result.checks:
        if check["status"] in {"warning", "failed"}:
            advice = f"{check['evidence']}. {check['advice']}"
            typer.echo(f"{check['id']} {check['status']}: {advice}")


def _print_external(
    external: Any,
    models: list[str | None],
) -> None:
    about = external["cohort"]
    title = (
        f"Fitted on everyone, tested on {about['name']}: {about['patients']} patients, "
        f"{about['events']} events"
    )
    rows = []
    for model in models:
        if model in external["metrics"]:
            metrics = external["metrics"][model]
            estimates = {key: Estimate(**metrics[key]) for key in SCORES}
            rows.append([str(model), *_scores(estimates)])
    columns = ["model", *SCORES.values()]
    print_table(
        title,
        columns,
        rows,
        text_columns={"model"},
        width=WIDTH,
    )


def _print_increments(increments: Any) -> None:
    rows = []
    for row in increments:
        gain = _format(Estimate(**row["delta_uno_c"]), signed=True)
        error = _format(Estimate(**row["delta_isbs"]), signed=True)
        p = "" if row["p_holm"] is None else f"{row['p_holm']:.3f}"
        rows.append([row["modality"], row["kind"], gain, p, error])
    print_table(
        "What does each modality add? With it minus without it",
        ["modality", "models", "Uno C", "p (Holm)", "ISBS (less is better)"],
        rows,
        text_columns={"modality", "models"},
        width=WIDTH,
    )


def print_weights(weights: Any) -> None:
    """Print the weights of the terms of a stack: of one fit, or over the fits of a run.

    Parameters
    ----------
    weights : DataFrame
        As :func:`survfuse.results.term_weights.weight_table` makes it.
    """
    terms = over_fits(weights)
    unused = without_effect(terms)
    one_fit = bool((terms["fits"] == 1).all())
    rows = []
    for term in terms[~unused].to_dict("records"):
        weight = f"{term['mean']:.2f}"
        spread = f"{term['smallest']:.2f} to {term['largest']:.2f}"
        interval = _range(term["low"], term["high"])
        out = f"{term['out']:.0f} of {term['fits']:.0f}"
        start = _number(term["start"])
        middle = [weight, interval] if one_fit else [weight, spread, interval, out]
        rows.append([term["term"], start, *middle, term["note"]])
    columns = ["term", "start", "weight", "95% interval", "why it is out"]
    if not one_fit:
        columns[2:4] = ["mean weight", "range over fits", "median interval", "out in"]
    print_table(
        "Weights: never negative; they move from their start by out-of-fold evidence",
        columns,
        rows,
        text_columns={"term", "why it is out"},
        width=WIDTH,
        wrap=True,
    )
    if unused.any():
        where = "" if one_fit else " in every fit"
        pairs = ", ".join(terms.loc[unused, "term"])
        typer.echo(f"pairs of weight 0{where}: {pairs}")


def _number(value: float) -> str:
    return f"{value:g}" if isfinite(value) else ""


def _range(low: float, high: float) -> str:
    return f"[{low:.2f}, {high:.2f}]" if isfinite(low) and isfinite(high) else ""


def _scores(estimates: Any) -> list[str]:
    return [_format(estimates.get(key), signed=False) for key in SCORES]


def _format(
    estimate: Estimate | None,
    *,
    signed: bool,
) -> str:
    """Value and interval of an estimate."""
    if estimate is None:
        return ""
    if estimate.value is None:
        return "not computable"
    value = rounded(estimate.value, signed=signed)
    if estimate.low is None or estimate.high is None:
        return value
    low, high = (
        rounded(estimate.low, signed=signed),
        rounded(estimate.high, signed=signed),
    )
    return f"{value} [{low}, {high}]"
