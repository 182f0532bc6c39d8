"""Options of `explain` about maps, and what it prints of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from survfuse.cli.options import option

MOST_NOTES = 10  # printed; all are in the folder

Maps = Annotated[
    bool,
    option(
        "Also write maps of every slide, in maps/PATIENT: pictures, TIFF, QuPath, tables.",
        "--maps",
    ),
]
MapFormats = Annotated[
    list[str] | None,
    option(
        "Format of maps: png, pixels, tiff, qupath, hdf5 or parquet; all by default. Repeatable.",
        "--map-format",
        metavar="FORMAT",
    ),
]
Scores = Annotated[
    list[str] | None,
    option(
        "Score of maps, such as tile_risk, contribution, attention or slides*clinical. Repeatable. "
        "Default: all in tables; as pictures the tile risk, smoothed and not, clusters and "
        "interactions.",
        "--score",
        metavar="SCORE",
    ),
]
OriginName = Annotated[
    str,
    option(
        "Where QuPath counts from: bounds (the scanned area, as it shows slides that it reads by "
        "OpenSlide) or full (all of level 0).",
        "--origin",
    ),
]


def map_options(
    wanted: bool,
    formats: Sequence[str] | None,
    scores: Sequence[str] | None,
    origin: str,
) -> Any:
    """What is written of maps; None where none is asked for. A format or a score asks for them.

    Raises
    ------
    InputError
        For a format or an origin that there is not.
    """
    from survfuse.maps import FORMATS, MapOptions
    from survfuse.maps.measurements import Origin

    options = MapOptions(
        tuple(dict.fromkeys(formats or FORMATS)),
        tuple(dict.fromkeys(scores or ())),
        cast(Origin, origin),
    )
    return options if wanted or formats or scores else None


def print_maps(target: Path, mapped: Any) -> list[str]:
    """Say what maps were written.

    Parameters
    ----------
    target : path
        The folder of the explanation.
    mapped : MapRecord

    Returns
    -------
    list of str
        What is incomplete.
    """
    from survfuse._errors import listed
    from survfuse.results.explanation_maps import FOLDER

    count, patients = len(mapped.slides), {row["patient_id"] for row in mapped.slides}
    typer.echo(f"maps: {count} slides of {len(patients)} patients in {target / FOLDER}")
    for name, reason in mapped.blank.items():
        typer.echo(f"note: no maps of {name}: {reason}", err=True)
    for note in list(dict.fromkeys(mapped.notes))[:MOST_NOTES]:
        typer.echo(f"note: {note}", err=True)
    if not mapped.failed:
        return []
    reasons = (f"patient {row['patient_id']}: {row['reason']}" for row in mapped.failed)
    return [f"{len(mapped.failed)} slides have no map: {listed(reasons, 3)}"]
