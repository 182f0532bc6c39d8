"""What records and bags say of a slide, in plain words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from survfuse.slides.geometry import Grid
from survfuse.slides.reading import SlideReader
from survfuse.slides.slide_records import Record

if TYPE_CHECKING:
    from survfuse.slides.tissue import Tissue

KEPT = (
    "key",
    "tiles",
    "chosen",
    "unreadable",
    "dropped",
    "quality",
    "slide",
    "grid",
    "tissue",
    "versions",
)
"""Fields of a record that the bag itself repeats: what it is, not when and where it was made."""


def about_tissue(tissue: Tissue) -> dict[str, Any]:
    """Tissue, as a record says it."""
    return {
        "source": tissue.source,
        "area_mm2": round(tissue.area_mm2, 4),
        "components": tissue.components,
        "pen_share": round(tissue.pen_share, 5),
        "notes": list(tissue.notes),
    }


def why_empty(record: Record) -> str:
    """Why a slide has no tiles, from its record."""
    if record.chosen:
        left_out = {**record.dropped, "unreadable": record.unreadable}
        counts = ", ".join(
            f"{count} {name}" for name, count in left_out.items() if count
        )
        reasons = [f"all {record.chosen} tiles on tissue were left out ({counts})"]
    elif record.tissue["area_mm2"] or not record.tissue["notes"]:
        reasons = [
            f"no tile holds enough of the {record.tissue['area_mm2']:g} mm² of tissue",
        ]
    else:
        reasons = []
    return "; ".join([*reasons, *record.tissue["notes"]])


def about_grid(grid: Grid, reader: SlideReader) -> dict[str, Any]:
    """Tiles, as a record says them."""
    return {
        "level": grid.level,
        "tile_px": grid.tile_px,
        "mpp": grid.mpp,
        "tile_um": grid.tile_um,
        "footprint": grid.footprint,
        "columns": grid.columns,
        "rows": grid.rows,
        "bounds": list(reader.bounds),
    }


def about_places(grid: Grid, overlap: int) -> dict[str, Any]:
    """Attributes of a bag's coordinates, by TRIDENT's names; `overlap` in px of the tile."""
    return {
        "patch_size": grid.tile_px,
        "patch_size_level0": grid.footprint,
        "level0_magnification": 10.0 / grid.slide_mpp,
        "target_magnification": 10.0 / grid.mpp,
        "overlap": overlap,
    }


def about_bag(record: Record, grid: Grid, encoder: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a bag file; nothing that differs between two copies of one slide.

    Parameters
    ----------
    record : Record
        Filled but for its end.
    grid : Grid
    encoder : mapping
        Identity of the encoder.
    """
    slide = {
        name: value
        for name, value in record.slide.items()
        if name not in ("path", "mtime_ns")
    }
    return {
        "key": record.key,
        "mpp": grid.mpp,
        "tile_um": grid.tile_um,
        "slide_mpp": grid.slide_mpp,
        "slide_sha256": record.slide["sha256"],
        "bounds": record.grid["bounds"],
        "tissue": record.tissue["source"],
        "encoder": encoder,
        "versions": record.versions,
        "record": {**{name: getattr(record, name) for name in KEPT}, "slide": slide},
    }
