"""Tissue masks that come with the slides: paired by slide id, never by position, and checked for shape."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import MissingExtraError, SlideError, listed
from survfuse._gate import boundary
from survfuse.readers.cell_text import composed
from survfuse.slides.frames import (
    Evidence,
    Frame,
    by_length,
    by_outside,
    by_stain,
    by_step,
    covers,
    frame_part,
    frames_of,
    outside,
    place,
    settle_frame,
)
from survfuse.slides.mask_checks import check_place, is_off_stain
from survfuse.slides.mask_files import (
    FINEST,
    MOST_PIXELS,
    choose_page,
    mask_lengths,
    mask_pages,
    read_page,
)
from survfuse.slides.tiff_header import tiff_images
from survfuse.slides.tissue import Tissue, measured

if TYPE_CHECKING:
    from survfuse.slides.reading import SlideReader

Mask = npt.NDArray[np.bool_]

ENDINGS = ("", "_mask", "_tissue", "_tissue_mask", "_HE_mask")
"""What may follow the slide id in the name of its mask; the last is CHIMERA's, after a patient id."""
SUFFIXES = (".tif", ".tiff")
NEARLY_ALL = 0.95
_MOSTLY = 0.5


def pair_masks(folder: Path | str, slide_ids: Sequence[str]) -> dict[str, Path]:
    """Pair the masks of a folder with slides by name.

    The mask of slide ``A1`` is ``A1.tif``, ``A1_mask.tif``, ``A1_tissue.tif``, ``A1_tissue_mask.tif``
    or, as CHIMERA names them, ``A1_HE_mask.tif`` (``.tiff`` likewise). Files of other names are left alone.

    Parameters
    ----------
    folder : path
    slide_ids : sequence of str

    Returns
    -------
    dict of str to Path
        Slides without a mask are not in it.

    Raises
    ------
    SlideError
        When a slide has several masks, a mask fits several slides, masks are left over while
        slides are without one (a sign of names that do not match), the mask of a slide is no
        TIFF, or no slide has a mask.
    """
    source = Path(folder)
    if not source.is_dir():
        raise SlideError(f"{source}: no such folder of tissue masks")
    shown = [file for file in sorted(source.iterdir()) if not file.name.startswith(".")]
    files = [file for file in shown if file.suffix.lower() in SUFFIXES]
    known = {composed(slide): slide for slide in slide_ids}
    owners = {file: _owners(composed(file.stem), known) for file in files}
    for file, owner in owners.items():
        if len(owner) > 1:
            raise SlideError(
                f"{file}: fits slides {' and '.join(owner)}; rename the mask so that it fits one",
            )
    pairs: dict[str, Path] = {}
    for file, owner in owners.items():
        for slide in owner:
            if slide in pairs:
                raise SlideError(
                    f"slide {slide!r} has two masks in {source}: {pairs[slide].name} and {file.name}; "
                    "leave one (a folder of masks holds no slides)",
                )
            pairs[slide] = file
    _refuse_leftovers(
        source,
        [file.name for file in files if not owners[file]],
        pairs,
        slide_ids,
    )
    _refuse_unread(
        source,
        [file for file in shown if file not in owners],
        pairs,
        slide_ids,
    )
    return pairs


def _owners(stem: str, known: Mapping[str, str]) -> list[str]:
    """Slides that a mask's name could mean; `known` are ids by their composed form."""
    names = {stem.removesuffix(ending) for ending in ENDINGS if stem.endswith(ending)}
    return sorted(known[name] for name in names & known.keys())


def _refuse_leftovers(
    folder: Path,
    leftover: list[str],
    pairs: dict[str, Path],
    slide_ids: Sequence[str],
) -> None:
    without = [slide for slide in dict.fromkeys(slide_ids) if slide not in pairs]
    if leftover and without:
        raise SlideError(
            f"{folder}: masks {listed(leftover)} belong to no slide, and slides {listed(without)} have none; "
            f"expected <slide_id> followed by {', '.join(filter(None, ENDINGS))} or nothing. Rename them, or "
            "move masks of other slides away",
        )


def _refuse_unread(
    folder: Path,
    others: list[Path],
    pairs: dict[str, Path],
    slide_ids: Sequence[str],
) -> None:
    """Refuse masks that are no TIFF, and a folder that gives no slide a mask."""
    without = {composed(slide): slide for slide in slide_ids if slide not in pairs}
    unread = [file.name for file in others if _owners(composed(file.stem), without)]
    if unread or (slide_ids and not pairs):
        came = listed(unread or [file.name for file in others]) or "nothing"
        raise SlideError(
            f"{folder}: masks are read from {', '.join(SUFFIXES)} files, got {came}; convert them, or take "
            "the folder of masks out where slides have none",
        )


def given_mask(
    path: Path | str,
    reader: SlideReader,
    slide_mpp: float,
    stained: Mask | None = None,
) -> Tissue:
    """Read the tissue mask of a slide: a TIFF with the proportions of the slide or of its scanned area.

    Any value above 0 is tissue, in whichever channel (label images: every label; NaN is not; palettes:
    every entry but the first). Where lossy compression blurs the edges, values above half the
    largest are. What a viewer shows as white does not matter (tifffile writes True as black). A mask that is
    inverted cannot be told from one of a full slide: it is taken at its word, with a note.

    A mask that could show the whole slide or only its scanned area (OpenSlide's bounds) is judged by its own
    scale, by how many times smaller it is, by what it marks outside the scanned area and by the stain.

    Parameters
    ----------
    path : path
    reader : SlideReader
        The slide, open.
    slide_mpp : float, µm/px
        Of level 0.
    stained : ndarray, (height, width) bool, optional
        What looks like tissue on an overview of the whole slide: the mask is held against it.

    Returns
    -------
    Tissue
        Empty where the mask marks nothing.

    Raises
    ------
    SlideError
        When the file is no TIFF or broken; its width to height differs from the slide's and the scanned
        area's by more than 2 % (and more than the rounding of 1 px); which of both it shows is not certain;
        it marks what was not scanned; or it fits the stain only mirrored or turned.
    MissingExtraError
        Without the extra `slides`.
    """
    source = Path(path)
    try:
        import cv2  # noqa: F401
        import tifffile
    except ImportError as error:
        raise MissingExtraError(
            f"{source}: reading masks needs {error.name or 'more packages'}: pip install 'survfuse[slides]'",
        ) from None
    if not os.path.lexists(source):
        raise SlideError(f"{source}: no such tissue mask")
    if tiff_images(source) is None:
        raise SlideError(
            f"{source}: expected a TIFF with a tissue mask, this is none; convert the mask",
        )
    with (
        boundary(
            source,
            "a TIFF with a tissue mask",
            error=SlideError,
            remedy="write the mask again",
        ),
        tifffile.TiffFile(source) as tiff,
    ):
        pages = list(mask_pages(tiff))
        frames = _frames(pages, source, reader)
        smallest = frames[-1]
        page = choose_page(pages, smallest, slide_mpp)
        size = int(page.imagewidth), int(page.imagelength)
        mask, notes = read_page(page, slide_mpp * smallest.width / size[0], source)
        lengths = mask_lengths(pages, frames, slide_mpp)
    seen = _Seen(source, mask, size, lengths, stained)
    frame, which = _settle(seen, frames, slide_mpp)
    notes += [*which, *_checked(seen, frame, reader, slide_mpp)]
    return _as_tissue_of(mask, frame, frames_of(reader), slide_mpp, notes)


@dataclass(frozen=True)
class _Seen:
    """A mask that was read, with what speaks for its place."""

    path: Path
    mask: Mask
    size: tuple[int, int]
    lengths: tuple[float, float] | None
    stained: Mask | None


def _settle(
    seen: _Seen,
    frames: Sequence[Frame],
    mpp: float,
) -> tuple[Frame, list[str]]:
    """Choose between the frames whose proportions the mask has."""
    evidence: list[Evidence] = []
    if len(frames) > 1 and seen.mask.any():
        evidence += by_length(frames, seen.lengths, mpp)
        evidence += by_step(frames, seen.size)
        evidence += by_outside(frames, seen.mask)
        if seen.stained is not None:
            evidence += by_stain(frames, seen.mask, seen.stained)
    return settle_frame(seen.path, seen.mask, seen.size, frames, evidence)


def _checked(seen: _Seen, frame: Frame, reader: SlideReader, mpp: float) -> list[str]:
    """What a person should know of a mask in its frame; raises where it cannot be right."""
    if not seen.mask.any():
        return ["the mask marks no tissue"]
    whole = frames_of(reader)[0]
    notes = [
        *_shape_notes(seen, frame),
        *_outside_notes(seen, frame, frames_of(reader)),
    ]
    stained = None if seen.stained is None else frame_part(seen.stained, whole, frame)
    if seen.lengths is not None and not covers([frame], seen.lengths, mpp):
        text = (
            f"by its own scale the mask covers {_in_mm(*seen.lengths)}, but {frame} is "
            f"{_in_mm(frame.width * mpp, frame.height * mpp)}"
        )
        if stained is not None and is_off_stain(seen.mask, stained):
            raise SlideError(
                f"{seen.path}: {text}, over which it does not fit the stain. Is it of a part of the slide? "
                "A mask shows the whole slide or the scanned area",
            )
        notes.append(f"{text}; it was stretched over it")
    return (
        notes
        if stained is None
        else [*notes, *check_place(seen.path, seen.mask, stained)]
    )


def _shape_notes(seen: _Seen, frame: Frame) -> Iterator[str]:
    """Remarks on the size of a mask and on how much it marks."""
    if not frame.fits_exactly(*seen.size):
        yield f"the mask is {seen.size[0]} × {seen.size[1]} px and shows {frame}: it was stretched a little"
    share = float(seen.mask.mean())
    if share > NEARLY_ALL:
        yield f"the mask marks {share:.1%} of the slide as tissue; is it inverted?"


def _outside_notes(seen: _Seen, frame: Frame, every: Sequence[Frame]) -> Iterator[str]:
    """Refuse a mask of the whole slide most of which lies where nothing was scanned; note a smaller part."""
    if len(every) == 1 or frame != every[0] or seen.mask.all():
        return
    scanned = every[1]
    share = outside(seen.mask, frame, scanned)
    if share > _MOSTLY:
        raise SlideError(
            f"{seen.path}: {share:.0%} of what the mask marks lies where nothing was scanned "
            f"({scanned} at {scanned.x}, {scanned.y}). Is it another slide's?",
        )
    if share > 0:
        yield f"{share:.1%} of what the mask marks lies where nothing was scanned and was left out"


def _in_mm(width: float, height: float) -> str:
    """Two lengths in µm as text."""
    return f"{width / 1000:.4g} × {height / 1000:.4g} mm"


def _frames(pages: list[Any], path: Path, reader: SlideReader) -> list[Frame]:
    """Frames whose proportions the first image has that has any frame's."""
    sizes = [(int(page.imagewidth), int(page.imagelength)) for page in pages]
    sizes = [(width, height) for width, height in sizes if width and height]
    if not sizes:
        raise SlideError(
            f"{path}: expected a TIFF with a tissue mask, but it holds no image; copy it again",
        )
    every = frames_of(reader)
    for size in sizes:
        fitting = [frame for frame in every if frame.shows(*size)]
        if fitting:
            return fitting
    raise _other_shape(path, sizes[0], every, reader)


def _other_shape(
    path: Path,
    size: tuple[int, int],
    every: Sequence[Frame],
    reader: SlideReader,
) -> SlideError:
    width, height = size
    turned = any(frame.shows(height, width) for frame in every)
    hint = "Are its rows and columns exchanged?" if turned else "Is it another slide's?"
    known = ", ".join(
        f"{frame}, ratio {frame.width / frame.height:.3f}" for frame in every
    )
    return SlideError(
        f"{path}: the mask is {width} × {height} px (ratio {width / height:.3f}), slide {reader.path.name}: "
        f"{known}; a mask shows the whole slide or the scanned area, at any size. {hint}",
    )


def _as_tissue_of(
    mask: Mask,
    frame: Frame,
    every: Sequence[Frame],
    mpp: float,
    notes: list[str],
) -> Tissue:
    """Lay a mask over the whole slide; nothing outside the scanned area is tissue."""
    whole = every[0]
    if frame != whole:
        step = max(FINEST / mpp, math.sqrt(whole.width * whole.height / MOST_PIXELS))
        shape = max(1, round(whole.height / step)), max(1, round(whole.width / step))
        mask = place(mask, whole, frame, shape)
    elif len(every) > 1:
        mask = mask & place(np.ones((1, 1), bool), whole, every[1], mask.shape)
    scale = (whole.width / mask.shape[1], whole.height / mask.shape[0])
    return measured(mask, scale, mpp, source="given", notes=tuple(notes))
