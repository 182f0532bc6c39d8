"""The tissue finder of lazyslide, on an overview that is already read."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import MissingExtraError


def stained_by_lazyslide(
    image: npt.NDArray[np.uint8],
    mpp: float,
    **options: Any,
) -> npt.NDArray[np.bool_]:
    """Ask ``lazyslide.pp.find_tissues``, (height, width) bool.

    It is asked for saturation in HSV (``to_hsv=True, filter_artifacts=False``): its artefact filter
    multiplies two differences of colours and casts the product to 8 bits, so that strong colours wrap around.

    Parameters
    ----------
    image : ndarray, (height, width, 3) uint8 RGB
    mpp : float, µm/px
        Of the overview.
    **options
        For ``find_tissues`` in place of those.

    Raises
    ------
    MissingExtraError
        Without lazyslide.
    """
    try:
        import cv2
        from lazyslide.pp import find_tissues
    except ImportError as error:
        raise MissingExtraError(
            f"tissue by lazyslide needs {error.name or 'more packages'}: pip install 'survfuse[slides]'",
        ) from None
    asked = {
        "to_hsv": True,
        "filter_artifacts": False,
        "threshold": None,
        "min_tissue_area": 0,
        "min_hole_area": 0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slide = _as_wsidata(image, mpp)
        find_tissues(slide, level=0, **({**asked, **options}))
    mask = np.zeros(image.shape[:2], np.uint8)
    if "tissues" in slide.shapes:
        for outline in slide.shapes["tissues"].geometry:
            for part in getattr(outline, "geoms", [outline]):
                cv2.fillPoly(mask, [_points(part.exterior)], 1)
                cv2.fillPoly(mask, [_points(hole) for hole in part.interiors], 0)
    return mask.astype(bool)


def _points(ring: Any) -> npt.NDArray[np.int32]:
    return np.asarray(np.rint(np.asarray(ring.coords)[:, :2]), np.int32)


def _as_wsidata(image: npt.NDArray[np.uint8], mpp: float) -> Any:
    """Dress an array as a slide of one level."""
    from wsidata import WSIData
    from wsidata.reader import ReaderBase, SlideProperties

    height, width = image.shape[:2]

    class ArrayReader(ReaderBase):
        """An array as wsidata reads a slide."""

        name = "array"
        pkg_namespaces = "numpy"

        def get_region(
            self,
            x: int,
            y: int,
            width: int,
            height: int,
            level: int = 0,
            **_: Any,
        ) -> Any:
            return image[y : y + height, x : x + width]

        def get_thumbnail(self, size: Any, **_: Any) -> Any:
            return image

        def create_reader(self) -> None:
            self._reader = image

        def detach_reader(self) -> None:
            self._reader = None

    reader = ArrayReader()
    reader.file = "overview"
    reader.set_properties(
        SlideProperties(
            shape=[height, width],
            n_level=1,
            level_shape=[[height, width]],
            level_downsample=[1.0],
            mpp=mpp,
            bounds=[0, 0, width, height],
        ),
    )
    return WSIData(reader=reader)
