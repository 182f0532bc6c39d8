"""`extract`: slides to features, one slide or 100,000, and never the same work twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from survfuse.cli.options import (
    CohortFile,
    ExecutorName,
    JsonFile,
    Quiet,
    RayAddress,
    Threads,
    Workers,
    option,
)

if TYPE_CHECKING:
    from survfuse.cohort.slide_images import SlideImages
    from survfuse.executors import Shard
    from survfuse.slides import Summary

MOST_NAMED = 20  # failed slides printed; all are in --json and on the contact sheet


def extract(
    cohort: CohortFile,
    out: Annotated[
        Path | None,
        option("Folder for the bags; `features:` of the cohort file.", "-o", "--out"),
    ] = None,
    encoder: Annotated[
        str | None,
        option("Tile encoder; the cohort file's, or stain_texture (needs no weights)."),
    ] = None,
    weights: Annotated[
        Path | None,
        option("Weights of the encoder, a local file."),
    ] = None,
    sha256: Annotated[
        str | None,
        option("What the weights must hash to."),
    ] = None,
    random_weights: Annotated[
        int | None,
        option("Random weights instead, to try things out.", metavar="SEED"),
    ] = None,
    device: Annotated[str | None, option("auto, cpu or cuda.")] = None,
    precision: Annotated[
        str | None,
        option("auto, fp32, bf16 or fp16."),
    ] = None,
    tile_px: Annotated[
        int | None,
        option("Side of a tile in pixels; the encoder's own."),
    ] = None,
    mpp: Annotated[
        float | None,
        option("µm per pixel of the tiles; the cohort file's, or the encoder's."),
    ] = None,
    slide_mpp: Annotated[
        float | None,
        option("µm per pixel of slides that do not say it themselves."),
    ] = None,
    objective_power: Annotated[
        float | None,
        option("Or the power of their objective: 20 or 40."),
    ] = None,
    tissue: Annotated[
        str | None,
        option("auto, given (masks), otsu or everything."),
    ] = None,
    masks: Annotated[
        Path | None,
        option("Folder of tissue masks; `masks:` of the cohort file."),
    ] = None,
    limit_unreadable: Annotated[
        float | None,
        option("Share of unreadable tiles above which a slide fails (0.05)."),
    ] = None,
    readers: Annotated[
        int | None,
        option("Threads per worker that read tiles ahead of the encoder.", min=1),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        option(
            "Another setting, such as overlap=0.5. Repeatable.",
            "--set",
            metavar="KEY=VALUE",
        ),
    ] = None,
    executor: ExecutorName = "inline",
    workers: Workers = None,
    threads: Threads = None,
    address: RayAddress = None,
    shard: Annotated[
        str | None,
        option(
            "Only this part of the slides, from 0; or slurm, or k8s.",
            metavar="i/N",
        ),
    ] = None,
    retry: Annotated[
        bool,
        option("Try failed and quarantined slides again.", "--retry"),
    ] = False,
    verify: Annotated[
        bool,
        option(
            "Hash every finished bag, and extract again what has changed.",
            "--verify",
        ),
    ] = False,
    status: Annotated[
        bool,
        option("Only tell how far it is; works while others run.", "--status"),
    ] = False,
    no_pack: Annotated[
        bool,
        option("Leave packing to the first use.", "--no-pack"),
    ] = False,
    modality: Annotated[
        str,
        option("Section of the cohort file."),
    ] = "slides",
    json: JsonFile = None,
    quiet: Quiet = False,
) -> None:
    """Turn the slides of a cohort into tile features: tissue, tiles, encoder, one bag a slide.

    Finished slides are kept whatever happens; the same command goes on from there. Exits 3 when
    slides failed, naming them. After a whole run the bags are packed and contact.html is written.
    """
    from survfuse._storage import write_json
    from survfuse.cli.extract_progress import watch
    from survfuse.cohort.slide_images import find_images
    from survfuse.executors import Shard, make_executor
    from survfuse.extraction import (
        extract_config,
        folder_of_bags,
        full_disk_explained,
        refuse_other_encoder,
        slide_items,
    )
    from survfuse.slides.supervisor import extract as extract_slides
    from survfuse.slides.supervisor import survey

    images = find_images(cohort, modality=modality)
    items = slide_items(images, masks)
    folder = folder_of_bags(images, out, "say -o FOLDER")
    part = None if shard is None else Shard.parse(shard)
    if status:
        summary = survey(items, folder, shard=part)
    else:
        settings = {
            "encoder": encoder,
            "weights": weights,
            "sha256": sha256,
            "random_weights": random_weights,
            "device": device,
            "precision": precision,
            "tile_px": tile_px,
            "mpp": mpp,
            "slide_mpp": slide_mpp,
            "objective_power": objective_power,
            "tissue": tissue,
            "max_unreadable": limit_unreadable,
            "threads": readers,
        }
        config = extract_config(images, settings, overrides or [])
        if not no_pack:
            refuse_other_encoder(config, images, folder)
        carrier = make_executor(
            executor,
            workers=workers,
            threads=threads,
            address=address,
        )
        with full_disk_explained(folder), watch(quiet) as watcher:
            summary = extract_slides(
                items,
                config,
                folder,
                executor=carrier,
                shard=part,
                watcher=watcher,
                retry=retry,
                verify=verify,
            )
    _print_summary(summary)
    if json is not None:
        write_json(json, summary.to_dict())
    if status:
        if summary.failed:
            raise typer.Exit(3)
        return
    with full_disk_explained(folder):
        _finish(summary, cohort, images, folder, part, pack=not no_pack)
    _refuse_failures(summary)


def _refuse_failures(summary: Summary) -> None:
    """End with an error that names the failed slides."""
    from survfuse._errors import PartialError, listed

    if summary.failed:
        names = listed((record.slide_id for record in summary.failed), MOST_NAMED)
        raise PartialError(
            f"{len(summary.failed)} of {len(summary.records)} slides have no features: {names}",
        )


def _print_summary(summary: Summary) -> None:
    counts = ", ".join(
        f"{number} {status}" for status, number in summary.counts.items()
    )
    slides = len(summary.records)
    typer.echo(f"{slides} slides: {counts or 'none'}; {summary.tiles} tiles")
    for record in summary.failed[:MOST_NAMED]:
        typer.secho(
            f"{record.status}: ",
            fg="red",
            nl=False,
        )
        typer.echo(f"{record.slide_id} ({record.attempts} attempts): {record.reason}")
    _print_rest(len(summary.failed), "")
    empty: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    for record in summary.records:
        if record.status == "empty":
            empty.setdefault(record.reason, []).append(record.slide_id)
        for note in record.notes:
            notes.setdefault(note, []).append(record.slide_id)
    _print_grouped("empty", empty)
    _print_grouped("note", notes)


def _print_grouped(
    kind: str,
    slides: dict[str, list[str]],
) -> None:
    """Print each text once, with the slides that it is about."""
    from survfuse._errors import listed

    for text, ids in list(slides.items())[:MOST_NAMED]:
        typer.echo(f"{kind}: {listed(ids)}: {text}")
    _print_rest(len(slides), f" of kind {kind}")


def _print_rest(number: int, kind: str) -> None:
    if number > MOST_NAMED:
        typer.echo(f"and {number - MOST_NAMED} more{kind}; --json FILE has them all")


def _finish(
    summary: Summary,
    cohort: Path,
    images: SlideImages,
    folder: Path,
    shard: Shard | None,
    *,
    pack: bool,
) -> None:
    """After a whole run: the contact sheet, and the store that loading will look for."""
    from survfuse.extraction import is_declared, pack_bags
    from survfuse.slides.supervisor import contact_sheet

    if shard is not None:
        typer.echo(
            f"shard {shard} of {folder}: when all are done, run without --shard to pack them",
        )
        return
    typer.echo(f"contact sheet: {contact_sheet(summary, folder)}")
    if not pack or not any(record.good for record in summary.records):
        return
    if not is_declared(folder, images):
        typer.echo(f"not packed: the cohort file does not say `features: {folder}`")
        return
    store = pack_bags(summary, cohort)[images.name]
    tiles = f"{store.tiles} tiles x {store.dim}"
    typer.echo(f"packed: {len(store.slides)} slides, {tiles}: {store.path}")
