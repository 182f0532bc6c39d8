"""From the slides that a cohort file names to bags of features: what to extract, and how."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from survfuse._errors import ConfigError, SlideError
from survfuse.cohort.slide_images import SlideImages, find_images
from survfuse.config import apply_overrides, build
from survfuse.executors import Executor, InlineExecutor
from survfuse.readers import normalise_encoder
from survfuse.slides import ExtractConfig, SlideItem, Summary
from survfuse.slides.masks import pair_masks
from survfuse.slides.progress import watch_slides
from survfuse.slides.supervisor import ExtractWatcher
from survfuse.slides.supervisor import extract as extract_slides


def extract(
    cohort: Path | str,
    out: Path | str | None = None,
    *,
    modality: str = "slides",
    masks: Path | str | None = None,
    retry: bool = False,
    verify: bool = False,
    pack: bool = True,
    executor: Executor | None = None,
    watcher: ExtractWatcher | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Summary:
    """Turn the slides of a cohort into tile features, as ``survfuse extract`` does.

    Parameters
    ----------
    cohort : path
        A cohort file whose section `modality` names slides.
    out : path, optional
        Folder for the bags; `features:` of the cohort file by default.
    modality : str
        Section of the cohort file.
    masks : path, optional
        Folder of tissue masks; `masks:` of the cohort file by default.
    retry : bool
        Try failed slides again.
    verify : bool
        Hash every finished bag, and extract again what has changed.
    pack : bool
        Pack the bags where the cohort file reads them from, so that loading is fast.
    executor : Executor, optional
        Who computes; this process by default.
    watcher : ExtractWatcher, optional
        Hears of slides.
    progress : bool, optional
        Whether to show a bar; by default on terminals and in notebooks, where no watcher is given.
    **settings
        Fields of :class:`survfuse.slides.ExtractConfig`, such as ``encoder="uni"``,
        ``weights="uni.safetensors"``, ``device="cuda"``.

    Returns
    -------
    Summary
        Finished slides are kept whatever happens; the same call goes on from there. Slides may
        have failed: ``summary.failed``, ``summary.raise_failed()``.

    Raises
    ------
    ConfigError
        For a setting that is wrong, a folder that cannot be written, or no folder at all.
    SlideError
        When masks and slides do not pair.
    """
    images = find_images(Path(cohort), modality=modality)
    items = slide_items(images, None if masks is None else Path(masks))
    folder = folder_of_bags(images, out, 'name one: out="features"')
    config = extract_config(images, settings)
    if pack:
        refuse_other_encoder(config, images, folder)
    shown = False if watcher is not None else progress
    with full_disk_explained(folder), watch_slides(shown) as bars:
        summary = extract_slides(
            items,
            config,
            folder,
            executor=executor or InlineExecutor(),
            watcher=watcher or bars,
            retry=retry,
            verify=verify,
        )
        if pack and is_declared(folder, images):
            pack_bags(summary, cohort)
    return summary


def pack_bags(summary: Summary, cohort: Path | str) -> Any:
    """Pack the bags of a cohort file, where any slide has features; the stores by modality."""
    from survfuse.cohort import pack_cohort

    if any(record.good for record in summary.records):
        return pack_cohort(cohort)
    return {}


def folder_of_bags(
    images: SlideImages,
    out: Path | str | None,
    hint: str,
) -> Path:
    """Folder for the bags: as given, or that of the cohort file.

    Raises
    ------
    ConfigError
        When neither names one; `hint` says what to do.
    """
    folder = images.features if out is None else Path(out)
    if folder is None:
        raise ConfigError(f"the cohort file names no folder of features, so {hint}")
    return folder


def extract_config(
    images: SlideImages,
    settings: Mapping[str, Any],
    overrides: Sequence[str] = (),
) -> ExtractConfig:
    """Settings of an extraction: the cohort file's, then those given, then overrides."""
    values: dict[str, object] = {
        "encoder": images.spec.encoder,
        "mpp": images.spec.mpp,
    }
    values |= {name: value for name, value in settings.items() if value is not None}
    given = {name: value for name, value in values.items() if value is not None}
    return build(ExtractConfig, apply_overrides(given, overrides), where="extract")


def slide_items(
    images: SlideImages,
    masks: Path | None,
) -> list[SlideItem]:
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
    paired: dict[str, Path] = {}
    for image in images.images:
        if image.mask is not None:
            paired[image.slide_id] = image.mask
    # Masks of the slide table win over the folder of the cohort file, not over one given by hand.
    folder = masks or (None if paired else images.masks)
    if folder is not None:
        paired = pair_masks(folder, [image.slide_id for image in images.images])
    items = []
    for image in images.images:
        mask = paired.get(image.slide_id)
        if mask is not None and mask.resolve() == image.path.resolve():
            raise SlideError(
                f"{image.path}: is the slide itself, not its mask; keep masks in a folder of their "
                "own, or name them in a column `mask` of the slide table",
            )
        items.append(
            SlideItem(
                image.slide_id,
                image.patient_id,
                image.path,
                image.mpp,
                image.objective,
                mask,
            ),
        )
    return items


def is_declared(folder: Path, images: SlideImages) -> bool:
    """Whether the cohort file points at the folder that was written."""
    return images.features is not None and folder.resolve() == images.features.resolve()


def refuse_other_encoder(
    config: ExtractConfig,
    images: SlideImages,
    folder: Path,
) -> None:
    """Stop before the work what packing would refuse after it."""
    declared = images.spec.encoder
    if declared is None or not is_declared(folder, images):
        return
    encoder = normalise_encoder(config.encoder)
    if config.random_weights is not None:
        encoder += "_random"
    if encoder != normalise_encoder(declared):
        raise ConfigError(
            f"these features would be of {encoder!r}, but the cohort file declares "
            f"`encoder: {declared}`; correct it there, write to another place (-o), "
            "or say --no-pack",
        )


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """A full or write-protected disk is nobody's fault, and nothing is lost."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        raise ConfigError(
            f"{folder}: cannot be written ({error.strerror}); make room there or choose another "
            "-o. Finished slides are kept, and the same command goes on from there",
        ) from None
