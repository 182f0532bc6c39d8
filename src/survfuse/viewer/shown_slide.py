"""One slide as a browser shows it, from the server and in an exported file alike."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from survfuse._errors import InputError, SurvfuseError
from survfuse._storage import file_stamp
from survfuse.maps import SlideMap
from survfuse.maps.overlay import check_within
from survfuse.viewer.open_slides import OpenSlides
from survfuse.viewer.slide_view import picture_around, picture_of, slide_record
from survfuse.viewer.study import PatientSlide, Study


def shown_slide(
    study: Study,
    patient: str,
    slide: PatientSlide,
    slides: OpenSlides,
    scale: int = 1,
) -> tuple[SlideMap | None, dict[str, Any]]:
    """The map of a slide, and where image and map lie, scores and tiles to list, as JSON.

    A map whose tiles lie beyond the slide is of another slide: it is not shown, and `why_no_map`
    says so. The entry `version` is empty where no image can be shown.

    Parameters
    ----------
    study : Study
    patient : str
    slide : PatientSlide
        One of the patient's.
    slides : OpenSlides
    scale : int
        Level-0 px per px of the image, a power of two.
    """
    one, why_no_map = study.map_of(patient, slide)
    picture, version, why_no_image = None, "", slide.why_no_image
    if slide.image is not None:
        try:
            with slides.reading(slide.image) as zoom:
                reader, picture = zoom.reader, picture_of(zoom.picture, scale)
            version = version_of(slide.image)
        except SurvfuseError as error:
            why_no_image = str(error)
        else:
            try:
                if one is not None:
                    check_within(one, reader)
            except InputError as error:
                one, why_no_map = None, str(error)
    if picture is None and one is not None:
        picture = picture_of(picture_around(one)) | {"levels": 1}
    record = slide_record(
        one,
        picture,
        why_no_map=why_no_map,
        why_no_image=why_no_image,
        version=version,
    )
    return one, record


def version_of(path: Path) -> str:
    """A few letters that change with the file."""
    stamp = f"{path} {file_stamp(path)}"
    return sha256(stamp.encode()).hexdigest()[:12]
