"""Verbs about data: init, validate, pack, simulate, datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from survfuse.cli.options import CohortFile, JsonFile, OutFolder

if TYPE_CHECKING:
    from survfuse.cohort import Cohort

datasets = typer.Typer(
    help="Public cohorts: list them, get them, turn them into cohort files.",
    no_args_is_help=True,
)


def init(
    folder: Annotated[Path, typer.Argument(help="A new folder.")] = Path("my-study"),
) -> None:
    """Write a commented cohort file, a run configuration, JSON Schemas of both, and a toy cohort."""
    from survfuse.cli.template import write_template

    for file in write_template(folder):
        typer.echo(f"wrote {file}")
    typer.echo(f"next: survfuse validate {folder / 'cohort.yaml'}")


def validate(
    cohort: CohortFile,
    json: JsonFile = None,
    allow_followup: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="An input that leaks and is to be used all the same. Repeatable.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Hash every file of features and every slide of packed stores again.",
        ),
    ] = False,
) -> None:
    """Show what a cohort holds, per modality and per availability pattern, every problem and every doubt.

    Exits 0 when it can be used, 2 when something must be mended first. Doubts are the
    numbered data checks that warn or fail; docs/checks explains each. Of a cohort that cannot
    be read whole, only the problems are shown: tables would speak of another cohort.
    """
    from dataclasses import asdict

    from survfuse._storage import write_json
    from survfuse.cohort import inspect

    allowed = tuple(allow_followup or ())
    inspection = inspect(cohort, allow_followup=allowed, verify=verify)
    checks: list[dict[str, Any]] = []
    if inspection.cohort is not None:
        checks = _data_checks(inspection.cohort, allowed)
        for title in ("modalities", "patterns", "flow"):
            show_table(title, inspection.tables[title])
    for problem in inspection.problems:
        _show(problem.severity, problem.severity, str(problem))
    for check in checks:
        severity = {"failed": "error", "warning": "warning"}.get(check["status"])
        if severity is not None:
            text = f"{check['evidence']} ({check['advice']} See {check['page']}.)"
            _show(severity, f"{check['id']} {check['status']}", text)
    if json is not None:
        tables = {
            title: table.to_dict(orient="records")
            for title, table in inspection.tables.items()
        }
        write_json(
            json,
            {
                "problems": [asdict(problem) for problem in inspection.problems],
                "checks": checks,
                "tables": _without_nan(tables),
            },
        )
    statuses = [check["status"] for check in checks]
    severities = [problem.severity for problem in inspection.problems]
    errors = severities.count("error") + statuses.count("failed")
    warnings = severities.count("warning") + statuses.count("warning")
    typer.echo(f"{errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(2)


def _data_checks(cohort: Cohort, allowed: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of the checks that a cohort alone can answer; refuses names that no input has."""
    from survfuse.cohort.transforms import check_followup
    from survfuse.config import FitConfig
    from survfuse.evaluation.checks import run_data_checks

    config = FitConfig.of(allow_followup=allowed)
    check_followup(cohort, config)
    return run_data_checks(cohort, config)


def _show(severity: str, head: str, text: str) -> None:
    """Print one problem or doubt."""
    from survfuse._errors import printable

    typer.secho(f"{head}: ", fg="red" if severity == "error" else "yellow", nl=False)
    typer.echo(printable(text))


def pack(
    cohort: CohortFile,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Store to write; beside the cohort by default.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace an existing store."),
    ] = False,
) -> None:
    """Turn the feature files of a cohort into one mapped store (float16 stays float16)."""
    from survfuse.cohort import pack_cohort

    for name, store in pack_cohort(cohort, out=out, overwrite=force).items():
        kind = store.features.dtype
        typer.echo(
            f"{name}: {len(store.slides)} slides, {store.tiles} tiles x {store.dim} ({kind}): {store.path}",
        )


def simulate(
    out: OutFolder,
    patients: Annotated[int, typer.Option(help="Patients.")] = 176,
    signal: Annotated[
        str,
        typer.Option(help="Planted hazard: none, additive or interaction."),
    ] = "additive",
    strength: Annotated[
        float,
        typer.Option(help="Multiplies the true log-risk."),
    ] = 1.0,
    event_rate: Annotated[
        float,
        typer.Option(help="Share of patients with an event."),
    ] = 0.36,
    tiles: Annotated[
        int,
        typer.Option(help="Typical tiles per patient (lognormal)."),
    ] = 1500,
    tile_dim: Annotated[int, typer.Option(help="Features per tile.")] = 1024,
    genes: Annotated[int, typer.Option(help="Genes.")] = 19359,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=SHARE",
            help="Patients without a modality. Repeatable.",
        ),
    ] = None,
    sites: Annotated[
        int,
        typer.Option(help="Sites with their own expression shift; 0 for none."),
    ] = 0,
    leak: Annotated[
        bool,
        typer.Option("--leak", help="Add a column that accrues during follow-up."),
    ] = False,
    hold_out: Annotated[
        int,
        typer.Option(help="Further patients without outcome, in OUT/new."),
    ] = 0,
    slides: Annotated[
        bool,
        typer.Option(
            "--slides/--no-slides",
            help="Paint slides (for survfuse extract), not bags.",
        ),
    ] = False,
    slide_px: Annotated[
        int,
        typer.Option(help="Longest side of a painted slide, px of 0.5 µm."),
    ] = 1536,
    per_patient: Annotated[int, typer.Option(help="Most slides per patient.")] = 1,
    defects: Annotated[
        bool,
        typer.Option(
            "--defects",
            help="One painted slide without µm/px, and one damaged.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
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
        seed=seed,
    )
    typer.echo(f"cohort: {path}")
    if slides:
        typer.echo(f"next: survfuse extract {path}")


def shares(pairs: list[str]) -> dict[str, float]:
    """Read ``name=share`` pairs."""
    from survfuse._errors import ConfigError

    found = {}
    for pair in pairs:
        name, _, share = pair.partition("=")
        try:
            found[name] = float(share)
        except ValueError:
            raise ConfigError(
                f"--missing {pair}: expected MODALITY=SHARE, such as expression=0.3",
            ) from None
    return found


@datasets.command("list")
def list_datasets(json: JsonFile = None) -> None:
    """List the public cohorts that survfuse knows."""
    import pandas as pd

    from survfuse._storage import write_json
    from survfuse.datasets import DATASETS, card

    fields = ("name", "title", "patients", "events", "licence", "needs")
    rows = [
        {field: getattr(card(name), field) for field in fields} for name in DATASETS
    ]
    show_table("public cohorts", pd.DataFrame(rows))
    if json is not None:
        write_json(json, rows)


@datasets.command("get")
def get_dataset(
    name: Annotated[str, typer.Argument(help="Name of the dataset.")],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder for its cohort file."),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OPTION=VALUE",
            help="Such as endpoint=rfs. Repeatable.",
        ),
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


def show_table(title: str, table: Any) -> None:
    """Print a data frame."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title, title_justify="left")
    for column in table.columns:
        shown.add_column(
            str(column).replace("_", " "),
            justify="right" if table[column].dtype.kind in "if" else "left",
        )
    for row in table.itertuples(index=False):
        shown.add_row(*(_cell(value) for value in row))
    Console().print(shown)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return (
            ""
            if value != value
            else f"{value:g}"
            if abs(value) >= 1 or value == 0
            else f"{value:.3f}"
        )
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return "" if value is None else str(value)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and value != value else value
