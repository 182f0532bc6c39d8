"""Verbs about data: validate, pack, simulate, datasets."""

from __future__ import annotations

import math
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from survfuse.cli.options import (
    CohortFile,
    EndpointName,
    JsonFile,
    OutFolder,
    Priors,
    option,
)

if TYPE_CHECKING:
    from survfuse.cohort import Cohort

datasets = typer.Typer(
    help="Public cohorts: list them, get them, turn them into cohort files.",
    no_args_is_help=True,
)

SEVERITIES = {"failed": "error", "warning": "warning"}
"""Status of a check and what it is for `validate`."""


def validate(
    cohort: CohortFile,
    json: JsonFile = None,
    prior: Priors = None,
    endpoint: EndpointName = None,
    allow_followup: Annotated[
        list[str] | None,
        option(
            "An input that leaks and is to be used all the same. Repeatable.",
            metavar="NAME",
        ),
    ] = None,
    verify: Annotated[
        bool,
        option(
            "Hash every file of features and every slide of packed stores again.",
            "--verify",
        ),
    ] = False,
) -> None:
    """Show what a cohort holds, per modality and per availability pattern, all problems and doubts.

    Exits 0 when it can be used, 2 when something must be corrected first. Doubts are the
    numbered data checks that warn or fail; docs/checks explains each. Of a cohort that cannot
    be read whole, only the problems are shown: tables would be of another cohort.
    """
    from dataclasses import asdict

    from survfuse._storage import write_json
    from survfuse.cohort import inspect

    allowed = tuple(allow_followup or ())
    inspection = inspect(
        cohort,
        allow_followup=allowed,
        verify=verify,
        priors=prior or (),
        endpoint=endpoint,
    )
    checks: list[dict[str, Any]] = []
    if inspection.cohort is not None:
        checks = _data_checks(inspection.cohort, allowed)
        for title in ("modalities", "patterns", "flow"):
            print_frame(title, inspection.tables[title])
    severities: list[str] = []
    for problem in inspection.problems:
        severities.append(problem.severity)
        _print_doubt(problem.severity, problem.severity, str(problem))
    for check in checks:
        severity = SEVERITIES.get(check["status"])
        if severity is not None:
            severities.append(severity)
            text = f"{check['evidence']} ({check['advice']} See {check['page']}.)"
            _print_doubt(severity, f"{check['id']} {check['status']}", text)
    if json is not None:
        tables = {}
        for title, table in inspection.tables.items():
            values = table.astype(object).where(table.notna(), None)
            tables[title] = values.to_dict(orient="records")
        problems = [asdict(problem) for problem in inspection.problems]
        write_json(json, {"problems": problems, "checks": checks, "tables": tables})
    errors = severities.count("error")
    typer.echo(f"{errors} errors, {severities.count('warning')} warnings")
    if errors:
        raise typer.Exit(2)


def _data_checks(
    cohort: Cohort,
    allowed: tuple[str, ...],
) -> list[dict[str, Any]]:
    """Rows of the checks that a cohort alone can answer; refuses names that no input has."""
    from survfuse.cohort.transforms import check_followup
    from survfuse.config import FitConfig
    from survfuse.evaluation.checks import run_data_checks

    config = FitConfig.of(allow_followup=allowed)
    check_followup(cohort, config)
    return run_data_checks(cohort, config)


def _print_doubt(
    severity: str,
    head: str,
    text: str,
) -> None:
    """Print one problem or doubt."""
    from survfuse._errors import printable

    typer.secho(
        f"{head}: ",
        fg="red" if severity == "error" else "yellow",
        nl=False,
    )
    typer.echo(printable(text))


def pack(
    cohort: CohortFile,
    out: Annotated[
        Path | None,
        option("Store to write; beside the cohort by default.", "-o", "--out"),
    ] = None,
    force: Annotated[
        bool,
        option("Replace an existing store.", "--force"),
    ] = False,
) -> None:
    """Turn the feature files of a cohort into one mapped store (float16 stays float16)."""
    from survfuse.cohort import pack_cohort

    for name, store in pack_cohort(
        cohort,
        out=out,
        overwrite=force,
    ).items():
        tiles = f"{store.tiles} tiles x {store.dim} ({store.features.dtype})"
        typer.echo(f"{name}: {len(store.slides)} slides, {tiles}: {store.path}")


def simulate(
    out: OutFolder,
    patients: Annotated[int, option("Patients.")] = 176,
    signal: Annotated[
        str,
        option("Planted hazard: none, additive, interaction or composition."),
    ] = "additive",
    strength: Annotated[
        float,
        option("Multiplies the true log-risk."),
    ] = 1.0,
    event_rate: Annotated[
        float,
        option("Share of patients with an event."),
    ] = 0.36,
    tiles: Annotated[
        int,
        option("Typical tiles per patient (lognormal)."),
    ] = 1500,
    tile_dim: Annotated[int, option("Features per tile.")] = 1024,
    genes: Annotated[int, option("Genes.")] = 19359,
    missing: Annotated[
        list[str] | None,
        option("Patients without a modality. Repeatable.", metavar="MODALITY=SHARE"),
    ] = None,
    sites: Annotated[
        int,
        option("Sites with their own expression shift; 0 for none."),
    ] = 0,
    leak: Annotated[
        bool,
        option("Add a column that accrues during follow-up.", "--leak"),
    ] = False,
    hold_out: Annotated[
        int,
        option("Further patients without outcome, in OUT/new."),
    ] = 0,
    slides: Annotated[
        bool,
        option(
            "Paint slides (for survfuse extract), not bags.",
            "--slides/--no-slides",
        ),
    ] = False,
    slide_px: Annotated[
        int,
        option("Longest side of a painted slide, px of 0.5 µm."),
    ] = 1536,
    per_patient: Annotated[int, option("Most slides per patient.")] = 1,
    defects: Annotated[
        bool,
        option("One painted slide without µm/px, and one damaged.", "--defects"),
    ] = False,
    layout: Annotated[
        str,
        option(
            "Files to write: cohort (tables and cohort.yaml), or chimera (the challenge's "
            "training folder, for init --format chimera).",
        ),
    ] = "cohort",
    seed: Annotated[int, option("Seed.")] = 0,
) -> None:
    """Write a CHIMERA-shaped cohort whose true log-risk is known (kept apart, in truth.csv)."""
    from survfuse.datasets.simulate import simulate as make

    path = make(
        out,
        patients=patients,
        signal=cast("Any", signal),  # checked by name inside
        strength=strength,
        event_rate=event_rate,
        tiles=tiles,
        tile_dim=tile_dim,
        genes=genes,
        missing=shares(missing or []),
        sites=sites,
        leak=leak,
        hold_out=hold_out,
        images=slides,
        slide_px=slide_px,
        slides=per_patient,
        defects=defects,
        layout=cast("Any", layout),
        seed=seed,
    )
    if layout == "chimera":
        typer.echo(f"challenge folder: {path}")
        typer.echo(f"next: survfuse init STUDY --format chimera --outcome {path}")
        return
    typer.echo(f"cohort: {path}")
    if slides:
        typer.echo(f"next: survfuse extract {path}")


def shares(pairs: list[str]) -> dict[str, float]:
    """Read ``name=share`` pairs."""
    from survfuse._errors import ConfigError

    result = {}
    for pair in pairs:
        name, _, share = pair.partition("=")
        try:
            result[name] = float(share)
        except ValueError:
            raise ConfigError(
                f"--missing {pair}: expected MODALITY=SHARE, such as expression=0.3",
            ) from None
    return result


@datasets.command("list")
def list_datasets(json: JsonFile = None) -> None:
    """List the public cohorts that survfuse knows."""
    import pandas as pd

    from survfuse._storage import write_json
    from survfuse.datasets import DATASETS, card

    fields = ("name", "title", "patients", "events", "licence", "needs")
    read = attrgetter(*fields)
    rows = [dict(zip(fields, read(card(name)), strict=True)) for name in DATASETS]
    print_frame("public cohorts", pd.DataFrame(rows))
    if json is not None:
        write_json(json, rows)


@datasets.command("get")
def get_dataset(
    name: Annotated[str, typer.Argument(help="Name of the dataset.")],
    out: Annotated[
        Path | None,
        option("Folder for its cohort file.", "-o", "--out"),
    ] = None,
    options: Annotated[
        list[str] | None,
        option("Such as endpoint=rfs. Repeatable.", "--set", metavar="OPTION=VALUE"),
    ] = None,
) -> None:
    """Fetch a public cohort and write its cohort.yaml.

    Downloads are cached and their checksums verified; SURVFUSE_DATA names a local copy.
    """
    from survfuse._errors import ConfigError
    from survfuse.config import apply_overrides
    from survfuse.datasets import card

    dataset, chosen = card(name), apply_overrides({}, options or [])
    unknown = [option for option in chosen if option not in dataset.options]
    if unknown:
        raise ConfigError(
            f"{name} has no option {unknown[0]!r}; it has: {', '.join(dataset.options) or 'none'}",
        )
    typer.echo(f"cohort: {dataset.convert(out or Path(name), **chosen)}")


def print_frame(title: str, table: Any) -> None:
    """Print a data frame."""
    from survfuse.cli.output import print_table

    columns = [str(column).replace("_", " ") for column in table.columns]
    text_columns = []
    for column, kind in zip(columns, table.dtypes, strict=True):
        if kind.kind not in "if":
            text_columns.append(column)
    rows = table.map(_cell).itertuples(index=False)
    print_table(
        title,
        columns,
        rows,
        text_columns=text_columns,
        wrap=True,
    )


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if math.isnan(value):
        return ""
    return f"{value:g}" if abs(value) >= 1 or value == 0 else f"{value:.3f}"
