"""Tissue masks that come with the slides: paired by slide id and checked for shape."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from survfuse._errors import MissingExtraError, SlideError, listed
from survfuse._gate import boundary
from survfuse.readers.cell_text import composed
from survfuse.slides.frames import (
    Frame,
    MaskImage,
    choose_frame,
    frame_part,
    frames_of,
    outside,
    overlap,
    place,
    resized,
)
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
    from survfuse.slides.reading import Mask, SlideReader

ENDINGS = ("", "_mask", "_tissue", "_tissue_mask", "_HE_mask")
"""What may follow the slide id in the name of its mask; the last is CHIMERA's, after a patient
id."""
SUFFIXES = (".tif", ".tiff")
NEARLY_ALL = 0.95
_TURNS: dict[str, Callable[[Any], Any]] = {
    "mirrored left to right": np.fliplr,
    "mirrored top to bottom": np.flipud,
    "turned by 180°": lambda mask: np.rot90(mask, 2),
    "turned by 90°": lambda mask: np.rot90(mask, 1),
    "turned by 270°": lambda mask: np.rot90(mask, 3),
    "with rows and columns exchanged": np.transpose,
    "with rows and columns exchanged and turned by 180°": lambda mask: np.rot90(
        mask.T,
        2,
    ),
}
_FITS, _BETTER = 0.8, 0.15
"""Intersection over union with the stain, of a mask of all tissue; and by how much it is more when
turned."""
_ON_STAIN, _PARTLY, _OFF_STAIN = 0.8, 0.5, 0.2
"""Share of the marked area that is stained, of a mask of a part: in its place, in doubt, in a wrong
one."""
_HARDLY = 0.1


def pair_masks(
    folder: Path | str,
    slide_ids: Sequence[str],
) -> dict[str, Path]:
    """Pair the masks of a folder with slides by name.

    The mask of slide ``A1`` is ``A1.tif``, ``A1_mask.tif``, ``A1_tissue.tif``,
    ``A1_tissue_mask.tif``
    or, as CHIMERA names them, ``A1_HE_mask.tif`` (``.tiff`` likewise). Files of other names are
    left alone.

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
    known = {composed(slide): slide for slide in slide_ids}
    pairs: dict[str, Path] = {}
    leftover: list[str] = []
    others: list[Path] = []
    for file in sorted(source.glob("[!.]*")):
        if file.suffix.lower() not in SUFFIXES:
            others.append(file)
            continue
        owners = _owners(file, known)
        if len(owners) > 1:
            raise SlideError(
                f"{file}: fits slides {' and '.join(owners)}; rename the mask so that it fits one",
            )
        for slide in owners:
            if slide in pairs:
                raise SlideError(
                    f"slide {slide!r} has two masks in {source}: {pairs[slide].name} and "
                    f"{file.name}; leave one (a folder of masks holds no slides)",
                )
            pairs[slide] = file
        if not owners:
            leftover.append(file.name)
    without = {name: slide for name, slide in known.items() if slide not in pairs}
    if slide_ids:
        _check_pairs(source, pairs, without, leftover, others)
    return pairs


def _owners(
    file: Path,
    known: Mapping[str, str],
) -> list[str]:
    """Slides that a mask's name could mean; `known` are ids by their composed form."""
    stem = composed(file.stem)
    names = {stem.removesuffix(ending) for ending in ENDINGS if stem.endswith(ending)}
    return sorted(known[name] for name in names & known.keys())


def _check_pairs(
    folder: Path,
    pairs: Mapping[str, Path],
    without: Mapping[str, str],
    leftover: Sequence[str],
    others: Sequence[Path],
) -> None:
    """Refuse masks that are left over or no TIFF, and a folder that gives no slide a mask."""
    if leftover and without:
        raise SlideError(
            f"{folder}: masks {listed(leftover)} belong to no slide, and slides "
            f"{listed(without.values())} have none; expected <slide_id> followed by "
            f"{', '.join(filter(None, ENDINGS))} or nothing. Rename them, or move masks of other "
            "slides away",
        )
    files = [file for file in others if _owners(file, without)]
    if files or not pairs:
        names = listed(file.name for file in files or others) or "nothing"
        raise SlideError(
            f"{folder}: masks are read from {', '.join(SUFFIXES)} files, got {names}; convert "
            "them, "
            "or take the folder of masks out where slides have none",
        )


def given_mask(
    path: Path | str,
    reader: SlideReader,
    slide_mpp: float,
    stained: Mask | None = None,
) -> Tissue:
    """Read a tissue mask: a TIFF with the proportions of the slide or of its scanned area.

    Any value above 0 is tissue, in whichever channel (label images: every label; NaN is not;
    palettes:
    every entry but the first). Where lossy compression blurs the edges, values above half the
    largest are. What a viewer shows as white does not matter (tifffile writes True as black). A
    mask that is
    inverted cannot be told from one of a full slide: it is taken at its word, with a note.

    A mask that could show the whole slide or only its scanned area (OpenSlide's bounds) is judged
    by its own
    scale, by how many times smaller it is, by what it marks outside the scanned area and by the
    stain.

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
        When the file is no TIFF or broken; its width to height differs from the slide's and the
        scanned
        area's by more than 2 % (and more than the rounding of 1 px); which of both it shows is not
        certain;
        it marks what was not scanned; or it fits the stain only mirrored or turned.
    MissingExtraError
        Without the extra `slides`.
    """
    source = Path(path)
    try:
        import tifffile
    except ImportError as error:
        raise MissingExtraError(
            f"{source}: reading masks needs {error.name or 'more packages'}: "
            "pip install 'survfuse[slides]'",
        ) from None
    if not os.path.lexists(source):
        raise SlideError(f"{source}: no such tissue mask")
    if tiff_images(source) is None:
        raise SlideError(
            f"{source}: expected a TIFF with a tissue mask, this is none; convert the mask",
        )
    expected = "a TIFF with a tissue mask"
    remedy = "write the mask again"
    with (
        boundary(
            source,
            expected,
            error=SlideError,
            remedy=remedy,
        ),
        tifffile.TiffFile(source) as tiff,
    ):
        pages = list(mask_pages(tiff))
        frames = _fitting_frames(pages, source, reader)
        smallest = frames[-1]
        page = choose_page(pages, smallest, slide_mpp)
        size = int(page.imagewidth), int(page.imagelength)
        mask, notes = read_page(page, slide_mpp * smallest.width / size[0], source)
        lengths = mask_lengths(pages, frames, slide_mpp)
    image = MaskImage(source, mask, size, lengths, stained)
    frame, choice = choose_frame(image, frames, slide_mpp)
    whole, *parts = frames_of(reader)
    notes += [*choice, *_check(image, frame, whole, parts, slide_mpp)]
    if frame != whole:
        step = max(
            FINEST / slide_mpp,
            math.sqrt(whole.width * whole.height / MOST_PIXELS),
        )
        shape = max(1, round(whole.height / step)), max(1, round(whole.width / step))
        mask = place(mask, whole, frame, shape)
    elif parts:  # nothing outside the scanned area is tissue
        mask = mask & place(np.ones((1, 1), bool), whole, parts[0], mask.shape)
    scale = (whole.width / mask.shape[1], whole.height / mask.shape[0])
    return measured(mask, scale, slide_mpp, "given", tuple(notes))


def _fitting_frames(
    pages: Sequence[Any],
    path: Path,
    reader: SlideReader,
) -> list[Frame]:
    """Frames whose proportions the first image has that has any frame's."""
    frames = frames_of(reader)
    sizes = []
    for page in pages:
        size = int(page.imagewidth), int(page.imagelength)
        fitting = [frame for frame in frames if min(size) and frame.shows(*size)]
        if fitting:
            return fitting
        if min(size):
            sizes.append(size)
    if not sizes:
        raise SlideError(
            f"{path}: expected a TIFF with a tissue mask, but it holds no image; copy it again",
        )
    width, height = sizes[0]
    hint = "Is it another slide's?"
    if any(frame.shows(height, width) for frame in frames):
        hint = "Are its rows and columns exchanged?"
    known = [f"{frame}, ratio {frame.width / frame.height:.3f}" for frame in frames]
    raise SlideError(
        f"{path}: the mask is {width} × {height} px (ratio {width / height:.3f}), slide "
        f"{reader.path.name}: {', '.join(known)}; a mask shows the whole slide or the scanned "
        "area, "
        f"at any size. {hint}",
    )


def _check(
    image: MaskImage,
    frame: Frame,
    whole: Frame,
    parts: Sequence[Frame],
    mpp: float,
) -> list[str]:
    """What a person should know of a mask in its frame; raises where it cannot be right."""
    mask = image.mask
    if not mask.any():
        return ["the mask marks no tissue"]
    notes = _remarks(image, frame)
    if parts and frame == whole and not mask.all():
        scanned = parts[0]
        share = outside(mask, whole, scanned)
        text = "of what the mask marks lies where nothing was scanned"
        if share > 0.5:
            raise SlideError(
                f"{image.path}: {share:.0%} {text} ({scanned} at {scanned.x}, {scanned.y}). "
                "Is it another slide's?",
            )
        if share > 0:
            notes.append(f"{share:.1%} {text} and was left out")
    stained = np.zeros((1, 1), bool)
    if image.stained is not None:
        stained = frame_part(image.stained, whole, frame)
    on = _fit(mask, stained)[0] if stained.any() else 1.0
    if image.lengths is not None and not frame.covers(image.lengths, mpp):
        text = (
            f"by its own scale the mask covers {_in_mm(*image.lengths)}, but {frame} is "
            f"{_in_mm(frame.width * mpp, frame.height * mpp)}"
        )
        if on < _PARTLY:
            raise SlideError(
                f"{image.path}: {text}, over which it does not fit the stain. Is it of a part of "
                "the slide? A mask shows the whole slide or the scanned area",
            )
        notes.append(f"{text}; it was stretched over it")
    return (
        [*notes, *_check_place(image.path, mask, stained)] if stained.any() else notes
    )


def _remarks(image: MaskImage, frame: Frame) -> list[str]:
    """Remarks on the size of a mask and on how much it marks."""
    width, height = image.size
    remarks = []
    if not frame.fits_exactly(width, height):
        remarks.append(
            f"the mask is {width} × {height} px and shows {frame}: it was stretched a little",
        )
    share = float(image.mask.mean())
    if share > NEARLY_ALL:
        remarks.append(
            f"the mask marks {share:.1%} of the slide as tissue; is it inverted?",
        )
    return remarks


def _in_mm(width: float, height: float) -> str:
    """Two lengths in µm as text."""
    return f"{width / 1000:.4g} × {height / 1000:.4g} mm"


def _check_place(
    path: Path,
    mask: Mask,
    stained: Mask,
) -> list[str]:
    """Compare a mask with what is stained in its frame: refuse one that is mirrored or turned."""
    on, same = _fit(mask, stained)
    fits = {name: _fit(turn(mask), stained) for name, turn in _TURNS.items()}
    name = max(fits, key=lambda turned: fits[turned][1])
    turned_on, turned_same = fits[name]
    part_fits = turned_on >= _ON_STAIN and on <= _PARTLY
    all_fits = turned_same >= _FITS and turned_same - same >= _BETTER
    text = f"{on:.0%} of what the mask marks is stained, but {turned_on:.0%} when it is {name}"
    if all_fits or (part_fits and on <= _OFF_STAIN):
        raise SlideError(
            f"{path}: {text}; write it the way the slide lies, with row 0 at its top",
        )
    if part_fits:
        return [f"{text}; does it lie the way the slide does?"]
    if on < _HARDLY:
        return [
            f"only {on:.1%} of what the mask marks is stained; is it this slide's mask, and of all "
            "of it?",
        ]
    return []


def _fit(mask: Mask, stained: Mask) -> tuple[float, float]:
    """Share of the marked area that is stained; intersection over union."""
    height, width = stained.shape
    return overlap(resized(mask, width, height), stained)
