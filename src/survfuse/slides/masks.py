"""Tissue masks that come with the slides: paired by slide id, never by position, and checked for shape."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import MissingExtraError, SlideError, listed
from survfuse.slides.tissue import Tissue, measured

if TYPE_CHECKING:
    from survfuse.slides.reading import SlideReader

Mask = npt.NDArray[np.bool_]

ENDINGS = ("", "_mask", "_tissue", "_tissue_mask", "_HE_mask")
"""What may follow the slide id in the name of its mask; the last is CHIMERA's, after a patient id."""
SUFFIXES = (".tif", ".tiff")
COARSEST = 16.0  # µm/px: the coarsest level up to this is read
FINEST = 8.0  # µm/px: finer masks are reduced to about this
MOST_PIXELS = 64 * 10**6  # held at once
MOST_IFDS = 256
ASPECT = 0.02
NEARLY_ALL = 0.95
_BROKEN = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    RuntimeError,
    OverflowError,
    struct.error,
    zlib.error,
)


def pair_masks(folder: Path | str, slide_ids: Sequence[str]) -> dict[str, Path]:
    """Pair the masks of a folder with slides by name.

    The mask of slide ``A1`` is ``A1.tif``, ``A1_mask.tif``, ``A1_tissue.tif``, ``A1_tissue_mask.tif``
    or, as CHIMERA names them, ``A1_HE_mask.tif`` (``.tiff`` likewise). Other files are left alone.

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
        When a slide has several masks, a mask fits several slides, or masks are left over while
        slides are without one: a sign of names that do not match.
    """
    source = Path(folder)
    if not source.is_dir():
        raise SlideError(f"{source}: no such folder of tissue masks")
    files = [
        file
        for file in sorted(source.iterdir())
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    ]
    owners = {file: _owners(file.stem, set(slide_ids)) for file in files}
    for file, owner in owners.items():
        if len(owner) > 1:
            raise SlideError(
                f"{file}: fits slides {' and '.join(owner)}; rename the mask so that it fits one"
            )
    pairs: dict[str, Path] = {}
    for file, owner in owners.items():
        for slide in owner:
            if slide in pairs:
                raise SlideError(
                    f"slide {slide!r} has two masks in {source}: {pairs[slide].name} and {file.name}; "
                    "leave one (a folder of masks holds no slides)"
                )
            pairs[slide] = file
    _refuse_leftovers(source, [file.name for file in files if not owners[file]], pairs, slide_ids)
    return pairs


def _owners(stem: str, slide_ids: set[str]) -> list[str]:
    """Slides that a mask's name could mean."""
    names = {stem.removesuffix(ending) for ending in ENDINGS if stem.endswith(ending)}
    return sorted(names & slide_ids)


def _refuse_leftovers(
    folder: Path, leftover: list[str], pairs: dict[str, Path], slide_ids: Sequence[str]
) -> None:
    without = [slide for slide in dict.fromkeys(slide_ids) if slide not in pairs]
    if leftover and without:
        raise SlideError(
            f"{folder}: masks {listed(leftover)} belong to no slide, and slides {listed(without)} have none; "
            f"expected <slide_id> followed by {', '.join(filter(None, ENDINGS))} or nothing. Rename them, or "
            "move masks of other slides away"
        )


def given_mask(path: Path | str, reader: SlideReader, slide_mpp: float) -> Tissue:
    """Read the tissue mask of a slide: a TIFF of any size with the slide's proportions.

    Any value above 0 is tissue, in whichever channel (label images: every label; NaN is not; palettes:
    every entry but the first). Where lossy compression blurs the edges, values above half the
    largest are. What a viewer shows as white does not matter (tifffile writes True as black). A mask that is
    inverted cannot be told from one of a full slide: it is taken at its word, with a note.

    Parameters
    ----------
    path : path
    reader : SlideReader
        The slide, open.
    slide_mpp : float, µm/px
        Of level 0.

    Returns
    -------
    Tissue
        Empty where the mask marks nothing.

    Raises
    ------
    SlideError
        When the file is no TIFF or broken, or its width to height differs from the slide's by more
        than 2 % (and more than the rounding of 1 px).
    MissingExtraError
        Without the extra `slides`.
    """
    source = Path(path)
    try:
        import cv2  # noqa: F401
        import tifffile
    except ImportError as error:
        raise MissingExtraError(
            f"{source}: reading masks needs {error.name or 'more packages'}: pip install 'survfuse[slides]'"
        ) from None
    whole = reader.levels[0]
    try:
        with tifffile.TiffFile(source) as tiff:
            page = _choose(list(_pages(tiff)), source, reader, slide_mpp)
            mask, notes = _read(page, slide_mpp * whole.width / page.imagewidth, source)
    except FileNotFoundError:
        raise SlideError(f"{source}: no such tissue mask") from None
    except (*_BROKEN, tifffile.TiffFileError) as error:
        raise SlideError(
            f"{source}: expected a TIFF with a tissue mask, cannot read it ({type(error).__name__}: {error})"
        ) from None
    share = float(mask.mean())
    if not share:
        notes.append("the mask marks no tissue")
    if share > NEARLY_ALL:
        notes.append(f"the mask marks {share:.1%} of the slide as tissue; is it inverted?")
    scale = (whole.width / mask.shape[1], whole.height / mask.shape[0])
    return measured(mask, scale, slide_mpp, source="given", notes=tuple(notes))


def _pages(tiff: Any) -> Iterator[Any]:
    """All images of a file, those in SubIFDs included."""
    for page in islice(tiff.pages, MOST_IFDS):
        full = page.aspage()
        yield full
        if full.subifds:
            for sub in islice(full.pages, MOST_IFDS):
                yield sub.aspage()


def _choose(pages: list[Any], path: Path, reader: SlideReader, slide_mpp: float) -> Any:
    """Take the coarsest image that is still fine enough, of those with the slide's proportions."""
    whole = reader.levels[0]
    sizes = [(int(page.imagewidth), int(page.imagelength)) for page in pages]
    fitting = [
        page
        for page, (width, height) in zip(pages, sizes, strict=True)
        if width and height and _same_shape(width, height, whole.width, whole.height)
    ]
    if not any(width and height for width, height in sizes):
        raise SlideError(f"{path}: expected a TIFF with a tissue mask, but it holds no image; copy it again")
    if not fitting:
        width, height = sizes[0]
        raise SlideError(
            f"{path}: the mask is {width} × {height} px (ratio {width / max(height, 1):.3f}), slide "
            f"{reader.path.name} {whole.width} × {whole.height} ({whole.width / whole.height:.3f}); a mask "
            "shows the whole slide, at any size. Is it another slide's?"
        )
    fine = [page for page in fitting if slide_mpp * whole.width / page.imagewidth <= COARSEST * 1.05]
    if fine:
        return min(fine, key=lambda page: page.imagewidth)
    return max(fitting, key=lambda page: page.imagewidth)


def _same_shape(width: int, height: int, slide_width: int, slide_height: int) -> bool:
    ratio = width * slide_height / (height * slide_width)
    rounding = min(
        abs(width * slide_height / slide_width - height), abs(height * slide_width / slide_height - width)
    )
    return abs(ratio - 1) <= ASPECT or rounding <= 1


def _read(page: Any, mpp: float, path: Path) -> tuple[Mask, list[str]]:
    """Decode one image, reduced to about 8 µm/px, never more than 64 MP at once."""
    import cv2

    step = max(1, math.floor(FINEST / mpp))
    width, height = int(page.imagewidth), int(page.imagelength)
    if width * height > MOST_PIXELS:
        values = _sampled(page, max(step, math.ceil(math.sqrt(width * height / MOST_PIXELS))), path)
        step = 1
    else:
        values = _flat(page.asarray(), page.axes)
    tissue, notes = _as_tissue(values, page)
    if step > 1:
        size = (max(1, round(width / step)), max(1, round(height / step)))
        tissue = cv2.resize(tissue.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) >= 128
    return np.ascontiguousarray(tissue, bool), notes


def _sampled(page: Any, step: int, path: Path) -> npt.NDArray[Any]:
    """Every `step`-th px of a large image, tile by tile."""
    if math.prod(page.chunks) > MOST_PIXELS:
        raise SlideError(
            f"{path}: the mask has {page.imagewidth} × {page.imagelength} px in one strip, at most "
            f"{MOST_PIXELS:,} are read at once; write it tiled or smaller"
        )
    shape = (-(-page.imagelength // step), -(-page.imagewidth // step))
    values = np.zeros(shape, page.dtype)
    for segment, (_, _, top, left, _), _ in page.segments():
        if segment is None:
            continue
        flat = _flat(segment[0], "YXS")
        rows, columns = np.arange(-top % step, len(flat), step), np.arange(-left % step, flat.shape[1], step)
        part = flat[np.ix_(rows, columns)]
        down, across = -(-top // step), -(-left // step)
        room = values[down : down + part.shape[0], across : across + part.shape[1]]
        np.maximum(room, part[: room.shape[0], : room.shape[1]], out=room)
    return values


def _flat(values: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    """Largest of the colour channels of each px, (height, width); alpha is no colour."""
    if values.ndim == 2:
        return values
    if values.ndim != 3 or "S" not in axes:
        raise ValueError(f"axes {axes}, expected rows and columns with or without colours")
    channels = np.moveaxis(values, axes.index("S"), -1)
    colours = {2: 1, 4: 3}.get(channels.shape[-1], channels.shape[-1])
    return np.asarray(channels[..., :colours].max(axis=-1))


def _as_tissue(values: npt.NDArray[Any], page: Any) -> tuple[Mask, list[str]]:
    """Tell tissue from the rest by value."""
    lossy = "JPEG" in page.compression.name or "WEBP" in page.compression.name
    if lossy and values.size:
        return np.asarray(values > values.max() / 2), [
            "the mask is stored with loss; above half its range is tissue"
        ]
    return np.asarray(values > 0), []
