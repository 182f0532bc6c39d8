"""Verbs about priors: fit one on cohorts, show what one is."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from survfuse.cli.options import EndpointName, JsonFile, Quiet, endpoint_in, option

if TYPE_CHECKING:
    from survfuse.readers.priors import Prior

priors = typer.Typer(
    help="Priors: weights of genes that other cohorts gave.",
    no_args_is_help=True,
)
HELD_OUT = ("cohort", "events", "slope", "se", "c", "c_low", "c_high", "gain")
STRONGEST = 10
"""Genes of each sign that `show` lists."""


@priors.command("fit")
def fit(
    cohorts: Annotated[
        list[Path],
        typer.Argument(help="Cohort files (cohort.yaml).", show_default=False),
    ],
    out: Annotated[
        Path,
        option("A new folder for the prior.", "-o", "--out", show_default=False),
    ],
    name: Annotated[
        str | None,
        option("Name of the prior; that of the folder where not given."),
    ] = None,
    expression: Annotated[
        str,
        option("Expression modality that is read."),
    ] = "expression",
    offsets: Annotated[
        str,
        option("Table whose own log-risk the genes must add to; 'none' for none."),
    ] = "clinical",
    endpoint: EndpointName = None,
    mix_endpoints: Annotated[
        bool,
        option("Allow cohorts of several endpoints.", "--mix-endpoints"),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Fit weights of genes on one or more cohorts; the result holds no patient.

    Each cohort is left out in turn: that chooses the penalty, and says what the risk is worth in
    a cohort that it was not fitted on.
    """
    from survfuse._errors import InputError
    from survfuse._places import try_folder
    from survfuse.cohort import load_cohort
    from survfuse.priors import fit_prior
    from survfuse.readers.priors import write_prior

    if out.exists():
        raise InputError(f"{out}: exists already; give a new folder")
    try_folder(out)
    loaded = []
    for path in cohorts:
        loaded.append(load_cohort(path, endpoint=endpoint_in(path, endpoint)))
    with _progress(quiet) as progress:
        prior = fit_prior(
            loaded,
            name=name or _name_of(out),
            expression=expression,
            offsets=None if offsets == "none" else offsets,
            mix_endpoints=mix_endpoints,
            progress=progress,
        )
    write_prior(prior, out)
    _print_prior(prior)
    typer.echo(f"prior: {out}")


def _name_of(folder: Path) -> str:
    """Name of a prior after its folder: letters, digits and _, no digit first."""
    name = re.sub(r"\W", "_", folder.resolve().name)
    return name if name.isidentifier() else f"prior_{name}"


@priors.command("show")
def show(
    prior: Annotated[
        str,
        typer.Argument(help="Folder of a prior, or the name of a shipped one."),
    ],
    json: JsonFile = None,
) -> None:
    """Show what a prior was fitted on, what it is worth, its strongest genes and its limits."""
    from survfuse._storage import write_json
    from survfuse.readers.priors import read_prior

    loaded = read_prior(prior)
    _print_prior(loaded)
    if json is not None:
        numbers = {
            "name": loaded.name,
            "gene_ids": loaded.gene_ids,
            "genes": len(loaded.genes),
            "slope": loaded.slope,
            "slope_spread": loaded.slope_spread,
            "card": dict(loaded.card),
        }
        write_json(json, numbers)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Receiver of steps done and in all: a bar on a terminal, JSON lines on stderr otherwise."""
    from survfuse._progress import progress_bars
    from survfuse.cli.output import write_event

    def write_step(done: int, of: int) -> None:
        if done == of or done % max(of // 10, 1) == 0:
            write_event("fit", done=done, of=of)

    if quiet:
        yield lambda done, of: None
    elif sys.stderr.isatty():
        with progress_bars() as bars:
            bar = bars.add_task("fits", total=None)
            yield lambda done, of: bars.update(bar, completed=done, total=of)
    else:
        yield write_step


def _print_prior(prior: Prior) -> None:
    """Print a prior as tables: what it is, its cohorts when left out, its strongest genes."""
    import pandas as pd

    from survfuse._errors import printable
    from survfuse.cli.cohorts import print_frame

    print_frame("prior", pd.DataFrame(_facts(prior), columns=["what", "value"]))
    held_out = _table(prior.card.get("held_out"), HELD_OUT)
    if "gain" in held_out:
        held_out["gain"] = pd.to_numeric(held_out["gain"], errors="coerce").round(1)
    if len(held_out):
        method = prior.card.get("judged_by", "")
        print_frame(f"each cohort, fitted without it ({method})", held_out)
    print_frame("strongest genes", _strongest(prior))
    for title, key in (("not for", "not_for"), ("note", "notes")):
        for line in prior.card.get(key) or ():
            typer.echo(printable(f"{title}: {line}"))


def _facts(prior: Prior) -> list[tuple[str, str]]:
    card = prior.card
    facts = [
        ("name", prior.name),
        ("endpoint", ", ".join(map(str, card.get("endpoints") or ["not said"]))),
    ]
    cohorts = _table(card.get("cohorts"))
    if "name" in cohorts:
        facts.append(
            ("cohorts", f"{len(cohorts)}: {', '.join(map(str, cohorts['name']))}")
        )
    for key in ("patients", "events", "penalty"):
        if isinstance(card.get(key), int | float):
            facts.append(
                (key, f"{card[key]:.4g}" if key == "penalty" else str(card[key]))
            )
    slope = f"{prior.slope:.3f} ± {prior.slope_spread:.3f} per deviation of the risk"
    facts += [
        ("genes", f"{len(prior.genes)}, {prior.gene_ids}"),
        ("log hazard ratio in a new cohort", slope),
    ]
    for key in ("provenance", "licence", "citation"):
        if isinstance(card.get(key), str):
            facts.append((key, card[key]))
    return facts


def _table(rows: Any, columns: Sequence[str] = ()) -> Any:
    """Rows of the card as a data frame, these columns first; empty where a card has none."""
    import pandas as pd

    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    first = [name for name in columns if name in table]
    return table[[*first, *table.columns.difference(first)]]


def _strongest(prior: Prior) -> Any:
    """Genes with the largest weights of each sign, as a data frame."""
    import pandas as pd

    table = pd.DataFrame({"gene": prior.genes, "weight": prior.weights})
    if prior.errors is not None:
        table["se"] = prior.errors
    table = table.sort_values("weight", ascending=False, kind="stable")
    if len(table) > 2 * STRONGEST:
        table = pd.concat([table.head(STRONGEST), table.tail(STRONGEST)])
    return table
