"""One patient as one HTML file, which opens from a disk: slides, maps and tiles are in it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from survfuse._errors import SlideError, SurvfuseError
from survfuse._storage import to_json, write_text
from survfuse.maps import SlideMap
from survfuse.maps.pixels import float32_bytes
from survfuse.viewer.deep_zoom import DeepZoom
from survfuse.viewer.open_slides import OpenSlides
from survfuse.viewer.shown_slide import shown_slide
from survfuse.viewer.slide_view import THUMBNAIL_PX, number_bytes
from survfuse.viewer.study import PatientSlide, Study

LONGEST_SIDE = 8192
"""Px of the image of a slide; finer levels are left out."""
MOST_PIXELS = 2 * LONGEST_SIDE**2
"""Of the images of all slides of a patient: with more, all are coarser."""
MODULES = (
    "dom", "values", "look", "score_image", "legend", "map_view", "controls", "tile_panel",
    "patient_facts", "patient", "export_source", "export_page",
)  # fmt: skip
"""Scripts of the page, each after those that it imports."""
STATIC = files("survfuse.viewer") / "static"


def export_patient(study: Study, patient: str, out: Path) -> int:
    """Write a patient to one file.

    Parameters
    ----------
    study : Study
    patient : str
    out : path
        HTML; the longest side of a slide has at most 8,192 px there, and all slides of the patient
        twice the square of that.

    Returns
    -------
    int
        Its size, bytes.

    Raises
    ------
    InputError
        When there is no such patient, or the file cannot be written.
    """
    study.check(patient)
    slides = OpenSlides()
    try:
        content = _content(study, patient, slides)
    finally:
        slides.close()
    write_text(out, page_of(content))
    return out.stat().st_size


def page_of(content: Mapping[str, Any]) -> str:
    """The page with its style, scripts and data in it; other scripts do not run."""
    page = _static("patient.html")
    library, script = _static("openseadragon.min.js"), one_script(MODULES)
    data = json.dumps(json.loads(to_json(content)), separators=(",", ":"))
    data = data.replace("<", "\\u003c")  # no text of the data can end the element
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in (library, script))
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        '<link rel="stylesheet" href="/static/viewer.css">': (
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            f"<style>\n{_static('viewer.css')}</style>"
        ),
        '<script src="/static/openseadragon.min.js" defer></script>\n': "",
        '<script type="module" src="/static/patient_page.js"></script>\n': "",
        '<nav aria-label="Pages" id="links"><a href="/">All patients</a></nav>': (
            "<span>survfuse viewer</span>"
        ),
        "</body>": (
            f'<script type="application/json" id="content">{data}</script>\n'
            f"<script>{library}</script>\n"
            f'<script type="module">{script}</script>\n</body>'
        ),
    }
    for old, new in parts.items():
        assert page.count(old) == 1, old
        page = page.replace(old, new)
    return page


def one_script(modules: tuple[str, ...]) -> str:
    """Modules as one script: a browser imports none from a file on a disk."""
    texts = []
    for name in modules:
        text = _static(f"{name}.js")
        text = re.sub(r"^import .*;\n", "", text, flags=re.MULTILINE)
        texts.append(re.sub(r"^export ", "", text, flags=re.MULTILINE))
    return "\n".join(texts)


def scale_of(sizes: list[tuple[int, int]]) -> int:
    """Level-0 px per px of the images of a patient's slides: a power of two that meets the limits.

    >>> scale_of([(4000, 3000)]), scale_of([(60_000, 40_000)])
    (1, 8)
    """
    scale = 1
    while True:
        pixels = sum(width * height for width, height in sizes) / scale**2
        longest = max((max(size) for size in sizes), default=0) / scale
        if longest <= LONGEST_SIDE and pixels <= MOST_PIXELS:
            return scale
        scale *= 2


def _content(study: Study, patient: str, slides: OpenSlides) -> dict[str, Any]:
    """Everything that the page reads."""
    owned, sizes = study.slides(patient), []
    for slide in owned:
        if slide.image is not None:
            with suppress(SurvfuseError), slides.reading(slide.image) as zoom:
                sizes.append((zoom.picture.width, zoom.picture.height))
    scale = scale_of(sizes)
    content = []
    for slide in owned:
        content.append(_slide_or_map(study, patient, slide, slides, scale))
    about = study.record_of(patient) | {"has_page": False}
    return {"about": about, "slides": content}


def _slide_or_map(
    study: Study,
    patient: str,
    slide: PatientSlide,
    slides: OpenSlides,
    scale: int,
) -> dict[str, Any]:
    """One slide as `_slide` has it; without its image where that is damaged somewhere."""
    try:
        return _slide(study, patient, slide, slides, scale)
    except SlideError as error:
        without = replace(slide, image=None, why_no_image=str(error))
        return _slide(study, patient, without, slides, scale)


def _slide(
    study: Study,
    patient: str,
    slide: PatientSlide,
    slides: OpenSlides,
    scale: int,
) -> dict[str, Any]:
    """One slide: record, scores, numbers and pictures in Base64."""
    one, record = shown_slide(study, patient, slide, slides, scale)
    entry: dict[str, Any] = {
        "modality": slide.modality,
        "slide": slide.slide_id,
        "scores": {},
        "neighbours": {},
        "tiles": {},
        "thumbnails": {},
    }
    image = slide.image if record["version"] else None
    if image is not None:
        with slides.reading(image) as zoom:
            entry["tiles"] = _pyramid(zoom, record["picture"]["levels"])
    if one is not None and one.scores:
        for name in one.scores:
            entry["scores"][name] = _text(float32_bytes(one, name))
        entry["numbers"] = _text(number_bytes(one))
        near = _neighbours(study, one, record["listed"])
        entry["neighbours"] = near
        if image is not None:
            with slides.reading(image) as zoom:
                entry["thumbnails"] = _thumbnails(zoom, one, near)
    return entry | {"record": record}


def _pyramid(zoom: DeepZoom, levels: int) -> dict[str, str]:
    """Tiles of the coarsest levels, in Base64."""
    tiles = {}
    for level in range(levels):
        columns, rows = zoom.picture.grid(level)
        for row in range(rows):
            for column in range(columns):
                name = f"{level}/{column}/{row}"
                tiles[name] = _text(zoom.jpeg(level, column, row))
    return tiles


def _neighbours(
    study: Study,
    one: SlideMap,
    listed: list[dict[str, Any]],
) -> dict[int, dict[str, Any]]:
    """Neighbours of each listed tile."""
    key = one.modality, one.slide_id
    numbers = sorted(tile["tile"] for tile in listed)
    return {tile: study.neighbours(one.patient_id, key, tile) for tile in numbers}


def _thumbnails(
    zoom: DeepZoom,
    one: SlideMap,
    near: Mapping[int, dict[str, Any]],
) -> dict[int, str]:
    """Pictures of the listed tiles and of their neighbours on the slide, in Base64."""
    wanted = set(near)
    for near_tile in near.values():
        own = [tile for tile in near_tile["tiles"] if tile["slide"] == one.slide_id]
        wanted |= {tile["tile"] for tile in own}
    pictures = {}
    for tile in sorted(wanted):
        x, y = one.places.corners[tile].tolist()
        pictures[tile] = _text(zoom.thumbnail(x, y, one.side, THUMBNAIL_PX))
    return pictures


def _text(content: bytes) -> str:
    return b64encode(content).decode("ascii")


def _hash(text: str) -> str:
    return _text(sha256(text.encode()).digest())


def _static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
