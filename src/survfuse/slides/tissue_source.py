"""Where the tiles of one slide are taken: its mask, found tissue, or everything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from survfuse._errors import SlideError
from survfuse.slides.overviews import Overview
from survfuse.slides.reading import SlideReader
from survfuse.slides.settings import ExtractConfig
from survfuse.slides.slide_list import SlideItem

if TYPE_CHECKING:
    from survfuse.slides.tissue import Tissue


def tissue_of(
    item: SlideItem,
    config: ExtractConfig,
    reader: SlideReader,
    view: Overview,
    slide_mpp: float,
) -> Tissue:
    """Tell tissue from glass on one slide, the way `config` says.

    Parameters
    ----------
    item : SlideItem
    config : ExtractConfig
    reader : SlideReader
        Its image.
    view : Overview
        Of that image.
    slide_mpp : float, µm/px
        Of level 0.

    Raises
    ------
    SlideError
        When its mask is absent or of another slide.
    """
    from survfuse.slides.masks import given_mask
    from survfuse.slides.tissue import everything, find_tissue, stained_on

    method = config.method_for(item)
    if method == "given":
        return given_mask(mask_of(item), reader, slide_mpp, stained_on(view, slide_mpp))
    if method == "everything":
        return everything(reader, slide_mpp)
    return find_tissue(
        view,
        slide_mpp,
        method="lazyslide" if method == "lazyslide" else "otsu",
        min_area_mm2=config.min_area_mm2,
        max_hole_mm2=config.max_hole_mm2,
    )


def mask_of(item: SlideItem) -> Path:
    """Return the mask of a slide that needs one.

    Raises
    ------
    SlideError
        When it has none, or the file is not there.
    """
    if item.mask is None:
        raise SlideError(
            f"slide {item.slide_id!r} has no tissue mask, and --tissue given takes nothing else; "
            "add its mask to the folder of masks, or say --tissue auto",
        )
    if not item.mask.is_file():
        raise SlideError(f"{item.mask}: no such mask, of slide {item.slide_id!r}")
    return item.mask
