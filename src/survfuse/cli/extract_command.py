"""`extract`: slides to features, one slide or 100,000, and never the same work twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from survfuse.cli.options import (
    CohortFile,
    ExecutorName,
    JsonFile,
    Quiet,
    RayAddress,
    Threads,
    Workers,
)

if TYPE_CHECKING:
    from survfuse.cohort.slide_images import SlideImages
    from survfuse.executors import Shard
    from survfuse.slides import ExtractConfig, SlideItem, Summary

MOST_NAMED = 20  # failed slides printed; all are in --json and on the contact sheet


def extract(
    cohort: CohortFile,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Folder for the bags; `features:` of the cohort file.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Tile encoder; the cohort file's, or stain_texture (needs no weights).",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights of the encoder, a local file."),
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(help="What the weights must hash to."),
    ] = None,
    random_weights: Annotated[
        int | None,
        typer.Option(metavar="SEED", help="Random weights instead, to try things out."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="auto, fp32, bf16 or fp16."),
    ] = None,
    tile_px: Annotated[
        int | None,
        typer.Option(help="Side of a tile in pixels; the encoder's own."),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(
            help="µm per pixel of the tiles; the cohort file's, or the encoder's.",
        ),
    ] = None,
    slide_mpp: Annotated[
        float | None,
        typer.Option(help="µm per pixel of slides that do not say it themselves."),
    ] = None,
    objective_power: Annotated[
        float | None,
        typer.Option(help="Or the power of their objective: 20 or 40."),
    ] = None,
    tissue: Annotated[
        str | None,
        typer.Option(help="auto, given (masks), otsu or everything."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder of tissue masks; `masks:` of the cohort file."),
    ] = None,
    limit_unreadable: Annotated[
        float | None,
        typer.Option(
            help="Share of unreadable tiles above which a slide fails (0.05).",
        ),
    ] = None,
    readers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads per worker that read tiles ahead of the encoder.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another setting, such as overlap=0.5. Repeatable.",
        ),
    ] = None,
    executor: ExecutorName = "inline",
    workers: Workers = None,
    threads: Threads = None,
    address: RayAddress = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="i/N",
            help="Only this part of the slides, from 0; or slurm, or k8s.",
        ),
    ] = None,
    retry: Annotated[
        bool,
        typer.Option("--retry", help="Try failed and quarantined slides again."),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Hash every finished bag, and extract again what has changed.",
        ),
    ] = False,
    status: Annotated[
        bool,
        typer.Option(
            "--status",
            help="Only tell how far it is; works while others run.",
        ),
    ] = False,
    no_pack: Annotated[
        bool,
        typer.Option("--no-pack", help="Leave packing to the first use."),
    ] = False,
    modality: Annotated[
        str,
        typer.Option(help="Section of the cohort file."),
    ] = "slides",
    json: JsonFile = None,
    quiet: Quiet = False,
) -> None:
    """Turn the slides of a cohort into tile features: tissue, tiles, encoder, one bag a slide.

    Finished slides are kept whatever happens; the same command goes on from there. Exits 3 when
    slides failed, naming them. After a whole run the bags are packed and contact.html is written.
    """
    from survfuse._errors import PartialError, listed
    from survfuse._storage import write_json
    from survfuse.cohort.slide_images import find_images
    from survfuse.executors import Shard, make_executor
    from survfuse.slides.supervisor import extract as extract_slides
    from survfuse.slides.supervisor import survey

    images = find_images(cohort, modality=modality)
    items = slide_items(images, masks)
    folder = _folder(out, images)
    part = None if shard is None else Shard.parse(shard)
    if status:
        summary = survey(items, folder, shard=part)
    else:
        flags = {
            "weights": weights,
            "sha256": sha256,
            "random_weights": random_weights,
            "device": device,
            "precision": precision,
            "tile_px": tile_px,
            "slide_mpp": slide_mpp,
            "objective_power": objective_power,
            "tissue": tissue,
            "max_unreadable": limit_unreadable,
            "threads": readers,
            "encoder": images.spec.encoder if encoder is None else encoder,
            "mpp": images.spec.mpp if mpp is None else mpp,
        }
        config = _config(flags, overrides or [])
        if not no_pack:
            _refuse_other_encoder(config, images, folder)
        carrier = make_executor(
            executor,
            workers=workers,
            threads=threads,
            address=address,
        )
        from survfuse.cli.extract_progress import watch

        with _room_in(folder), watch(quiet) as watcher:
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
    _show(summary)
    if json is not None:
        write_json(json, summary.to_dict())
    if not status:
        with _room_in(folder):
            _finish(summary, cohort, images, folder, part, pack=not no_pack)
    if status and summary.failed:
        raise typer.Exit(3)
    if summary.failed:
        names = listed((record.slide_id for record in summary.failed), MOST_NAMED)
        raise PartialError(
            f"{len(summary.failed)} of {len(summary.records)} slides have no features: {names}",
        )


def slide_items(images: SlideImages, masks: Path | None) -> list[SlideItem]:
    """Pair the images of a cohort with their masks: by the slide table, else by slide id.

    Parameters
    ----------
    images : SlideImages
    masks : Path or None
        Folder given by hand; the cohort file's by default.

    Raises
    ------
    SlideError
        When masks and slides do not pair.
    """
    from survfuse._errors import SlideError
    from survfuse.slides import SlideItem
    from survfuse.slides.masks import pair_masks

    paired = {
        image.slide_id: image.mask for image in images.images if image.mask is not None
    }
    folder = masks or (None if paired else images.masks)
    if folder is not None:
        paired = pair_masks(folder, [image.slide_id for image in images.images])
    for image in images.images:
        if (
            image.slide_id in paired
            and paired[image.slide_id].resolve() == image.path.resolve()
        ):
            raise SlideError(
                f"{image.path}: is the slide itself, not its mask; keep masks in a folder of their own, or "
                "name them in a column `mask` of the slide table",
            )
    return [
        SlideItem(
            one.slide_id,
            one.patient_id,
            one.path,
            one.mpp,
            one.objective,
            paired.get(one.slide_id),
        )
        for one in images.images
    ]


def _folder(out: Path | None, images: SlideImages) -> Path:
    from survfuse._errors import ConfigError

    folder = out or images.features
    if folder is None:
        raise ConfigError(
            "the cohort file names no folder of features, so say -o FOLDER",
        )
    return folder


def _config(flags: dict[str, Any], overrides: list[str]) -> ExtractConfig:
    from survfuse.config import apply_overrides, build
    from survfuse.slides import ExtractConfig

    given = {name: value for name, value in flags.items() if value is not None}
    return build(ExtractConfig, apply_overrides(given, overrides), where="extract")


def _is_declared(folder: Path, images: SlideImages) -> bool:
    """Whether the cohort file points at the folder that was written."""
    return images.features is not None and folder.resolve() == images.features.resolve()


def _refuse_other_encoder(
    config: ExtractConfig,
    images: SlideImages,
    folder: Path,
) -> None:
    """Stop before the work what packing would refuse after it."""
    from survfuse._errors import ConfigError
    from survfuse.readers import normalise_encoder

    declared = images.spec.encoder
    if declared is None or not _is_declared(folder, images):
        return
    made = normalise_encoder(config.encoder) + (
        "" if config.random_weights is None else "_random"
    )
    if made != normalise_encoder(declared):
        raise ConfigError(
            f"these features would be of {made!r}, but the cohort file declares `encoder: {declared}`; "
            "correct it there, write to another place (-o), or say --no-pack",
        )


@contextmanager
def _room_in(folder: Path) -> Iterator[None]:
    """Take a full or write-protected disk for what it is: nobody's fault, and nothing is lost."""
    import errno

    from survfuse._errors import ConfigError

    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        raise ConfigError(
            f"{folder}: cannot be written ({error.strerror}); make room there or choose another -o. Finished "
            "slides are kept, and the same command goes on from there",
        ) from None


def _show(summary: Summary) -> None:
    counts = ", ".join(
        f"{number} {status}" for status, number in summary.counts.items()
    )
    typer.echo(
        f"{len(summary.records)} slides: {counts or 'none'}; {summary.tiles} tiles",
    )
    for record in summary.failed[:MOST_NAMED]:
        typer.secho(f"{record.status}: ", fg="red", nl=False)
        typer.echo(f"{record.slide_id} ({record.attempts} attempts): {record.reason}")
    if len(summary.failed) > MOST_NAMED:
        typer.echo(
            f"and {len(summary.failed) - MOST_NAMED} more; --json FILE has them all",
        )
    _show_same(
        "empty",
        [
            (one.slide_id, one.reason)
            for one in summary.records
            if one.status == "empty"
        ],
    )
    _show_same(
        "note",
        [(one.slide_id, note) for one in summary.records for note in one.notes],
    )


def _show_same(kind: str, said: list[tuple[str, str]]) -> None:
    """Print each text once, with the slides that it is of."""
    from survfuse._errors import listed

    slides: dict[str, list[str]] = {}
    for slide_id, text in said:
        slides.setdefault(text, []).append(slide_id)
    for text, ids in list(slides.items())[:MOST_NAMED]:
        typer.echo(f"{kind}: {listed(ids)}: {text}")
    if len(slides) > MOST_NAMED:
        typer.echo(
            f"and {len(slides) - MOST_NAMED} more of kind {kind}; --json FILE has them all",
        )


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
    from survfuse.slides.supervisor import contact_sheet

    if shard is not None:
        typer.echo(
            f"shard {shard} of {folder}: when all are done, run without --shard to pack them",
        )
        return
    typer.echo(f"contact sheet: {contact_sheet(summary, folder)}")
    if not pack or not any(record.good for record in summary.records):
        return
    if not _is_declared(folder, images):
        typer.echo(f"not packed: the cohort file does not say `features: {folder}`")
        return
    from survfuse.cohort import pack_cohort

    store = pack_cohort(cohort)[images.name]
    typer.echo(
        f"packed: {len(store.slides)} slides, {store.tiles} tiles x {store.dim}: {store.path}",
    )
