"""The contact sheet: every slide at a glance on one page that needs nothing but itself."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from survfuse._errors import MissingExtraError
from survfuse._storage import atomic_path

if TYPE_CHECKING:
    from survfuse.slides.geometry import Grid
    from survfuse.slides.overviews import Overview
    from survfuse.slides.tissue import Tissue

Record = Mapping[str, Any]

ORDER = ("failed", "quarantined", "empty", "running", "pending", "done")
WORDS = {
    "given": "by the given mask",
    "found": "by colour",
    "everything": "all that was scanned",
}
BLURRY = 30.0
"""Median variance of the Laplacian below which a slide looks blurred."""
FEW_TILES = 10
MUCH_PEN = 0.05
MUCH_LEFT_OUT = 0.3
PAGE_BYTES = 250 * 10**6
"""Pictures are made smaller when a page would pass this."""


def thumbnail(
    overview: Overview,
    tissue: Tissue,
    grid: Grid,
    chosen: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
) -> bytes:
    """Draw a slide with its tissue and tiles: JPEG, at most 800 px a side and about 30 kB.

    Parameters
    ----------
    overview : Overview
    tissue : Tissue
    grid : Grid
    chosen : ndarray, (tiles,) int64
        Flat indices of tiles on tissue.
    kept : ndarray, (tiles,) bool
        Which of them are in the bag.

    Raises
    ------
    MissingExtraError
        Without the extra `slides`.
    """
    try:
        from survfuse.slides.thumbnails import draw_slide
    except ImportError as error:
        raise MissingExtraError(
            f"drawing slides needs {error.name or 'more packages'}: pip install 'survfuse[slides]'",
        ) from None
    return draw_slide(
        overview,
        tissue,
        grid,
        np.asarray(chosen),
        np.asarray(kept, bool),
    )


def write_contact_sheet(
    out: Path | str,
    records: Sequence[Record],
    images: Mapping[str, bytes],
) -> Path:
    """Write a page with a card for every slide; those that need a look come first.

    Parameters
    ----------
    out : path
        The page, or the folder that gets ``contact.html``.
    records : sequence of mapping
        As the state of each slide is kept (:class:`survfuse.slides.slide_records.Record`); what is absent is
        not shown.
    images : mapping of slide id to JPEG
        Looked up one at a time, so that it may read files as it is asked.

    Returns
    -------
    Path
        The page; without scripts, and everything that comes from outside is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    page = Path(out)
    page = page if page.suffix.lower() == ".html" else page / "contact.html"
    environment = Environment(
        loader=PackageLoader("survfuse.slides", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    described = [(record, _remarks(record)) for record in records]
    described.sort(key=_urgency)
    stream = environment.get_template("contact.html.j2").stream(
        lead=_lead(records),
        filters=_filters(described),
        cards=_cards(described, images),
        blurry=f"{BLURRY:g}",
    )
    with atomic_path(page) as temporary:
        stream.dump(str(temporary), encoding="utf-8")
    return page


def _status(record: Record) -> str:
    status = str(record.get("status", "pending"))
    return status if status in ORDER else "pending"


def _urgency(described: tuple[Record, list[str]]) -> tuple[int, bool, str]:
    record, remarks = described
    return ORDER.index(_status(record)), not remarks, str(record.get("slide_id", ""))


def _lead(records: Sequence[Record]) -> str:
    counts = Counter(_status(record) for record in records)
    patients = len({record.get("patient_id") for record in records})
    tiles = sum(int(record.get("tiles") or 0) for record in records)
    each = ", ".join(
        f"{counts[status]:,} {status}" for status in reversed(ORDER) if counts[status]
    )
    return (
        f"{_plural(len(records), 'slide')} of {_plural(patients, 'patient')}"
        f"{': ' + each if each else ''}; {_plural(tiles, 'tile')} in all."
    )


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _filters(
    described: Sequence[tuple[Record, list[str]]],
) -> dict[str, tuple[str, str]]:
    """Name in the page, title and count of each choice; only what occurs."""
    counts = Counter(_status(record) for record, _ in described)
    remarked = sum(bool(_look(record, remarks)) for record, remarks in described)
    found = {"all": ("All", f"{len(described):,}")}
    if remarked:
        found["look"] = ("Needs a look", f"{remarked:,}")
    for status in ORDER:
        if counts[status]:
            found[status] = (status.capitalize(), f"{counts[status]:,}")
    return found


def _look(record: Record, remarks: list[str]) -> bool:
    return bool(remarks) or _status(record) in ("failed", "quarantined", "empty")


def _cards(
    described: Sequence[tuple[Record, list[str]]],
    images: Mapping[str, bytes],
) -> Iterator[dict[str, Any]]:
    most = PAGE_BYTES * 3 // 4 // max(1, len(described))
    for record, remarks in described:
        slide_id = str(record.get("slide_id", ""))
        yield {
            "slide_id": slide_id,
            "patient_id": str(record.get("patient_id", "")),
            "status": _status(record),
            "look": _look(record, remarks),
            "reason": str(record.get("reason") or ""),
            "remarks": remarks,
            "facts": _facts(record),
            "picture": _picture(images.get(slide_id), most),
        }


def _picture(jpeg: bytes | None, most: int) -> str:
    if not jpeg:
        return ""
    if len(jpeg) > most:
        from survfuse.slides.thumbnails import smaller

        jpeg = smaller(jpeg, max(most, 2_000))
    return base64.b64encode(jpeg).decode("ascii")


def _remarks(record: Record) -> list[str]:
    """What a person should look at, in words."""
    tissue, quality = record.get("tissue") or {}, record.get("quality") or {}
    found = _notes(record)
    if _status(record) != "done":
        return found
    tiles, chosen = int(record.get("tiles") or 0), int(record.get("chosen") or 0)
    if tiles < FEW_TILES:
        found.append(f"only {_plural(tiles, 'tile')}")
    if chosen and 1 - tiles / chosen > MUCH_LEFT_OUT:
        found.append(f"{1 - tiles / chosen:.0%} of the tiles on tissue were left out")
    if (tissue.get("pen_share") or 0) > MUCH_PEN:
        found.append(f"marker pen on {tissue['pen_share']:.0%} of the slide")
    blur = quality.get("blur")
    if blur is not None and blur < BLURRY:
        found.append("looks blurred")
    return found


def _notes(record: Record) -> list[str]:
    """What was noted of image and tissue; the reason of an empty slide has the latter."""
    parts = ("slide",) if _status(record) == "empty" else ("slide", "tissue")
    return [
        str(note)
        for part in parts
        for note in (record.get(part) or {}).get("notes") or ()
    ]


def _facts(record: Record) -> list[tuple[str, str, str]]:
    """Name, value and an aside of what is known."""
    slide, tissue = record.get("slide") or {}, record.get("tissue") or {}
    facts = []
    if slide.get("mpp") is not None:
        facts.append(
            ("Scale", f"{slide['mpp']:.4g} µm/px", _aside(slide.get("spacing_source"))),
        )
    if tissue.get("area_mm2") is not None:
        pieces = int(tissue.get("components") or 0)
        area = f"{tissue['area_mm2']:.4g} mm²" if pieces else "none"
        source = _aside(WORDS.get(str(tissue.get("source")), tissue.get("source")))
        facts.append(
            (
                "Tissue",
                area,
                f"in {_plural(pieces, 'piece')} {source}" if pieces else source,
            ),
        )
    if _status(record) in ("done", "empty"):
        facts.append(("Tiles", f"{int(record.get('tiles') or 0):,}", _left_out(record)))
    return facts + _quality(record)


def _aside(text: Any) -> str:
    return f"({text})" if text else ""


def _left_out(record: Record) -> str:
    dropped = {
        **(record.get("dropped") or {}),
        "unreadable": record.get("unreadable") or 0,
    }
    said = ", ".join(
        f"{int(count):,} {name}" for name, count in dropped.items() if count
    )
    return f"(left out: {said})" if said else ""


def _quality(record: Record) -> list[tuple[str, str, str]]:
    quality, pen_share = (
        record.get("quality") or {},
        (record.get("tissue") or {}).get("pen_share"),
    )
    facts = []
    if quality.get("background") is not None:
        facts.append(("Background", f"{quality['background']:.0%}", ""))
    if quality.get("pen") is not None or pen_share:
        whole = f"({pen_share:.1%} of the slide)" if pen_share else ""
        value = f"{quality['pen']:.0%}" if quality.get("pen") is not None else "–"
        facts.append(("Pen", value, whole))
    if quality.get("blur") is not None:
        facts.append(("Sharpness", f"{quality['blur']:,.0f}", ""))
    return facts
