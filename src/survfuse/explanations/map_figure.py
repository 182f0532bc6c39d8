"""A map of a slide as a figure."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from survfuse._errors import InputError, NotComputableError, listed
from survfuse.figures.plotting import axes_of
from survfuse.maps import Score, SlideMap
from survfuse.maps.colours import CATEGORIES, colours, palette
from survfuse.maps.overlay import ALPHA, Frame, background

if TYPE_CHECKING:
    from survfuse.explanations.explanation import Explanation


def plot_map(
    explanation: Explanation,
    patient: str,
    slide: str | None = None,
    score: str = "tile_risk",
    ax: Any = None,
    *,
    modality: str | None = None,
    alpha: float = ALPHA,
) -> Any:
    """Draw a score of the tiles of a slide over the slide, with the scale of its colours.

    Parameters
    ----------
    patient : str
    slide : str, optional
        The patient's only one where not given.
    score : str
        One of the map's scores: "tile_risk", "contribution", "attention", "percentile" and others
        of `slide_maps`.
    ax : matplotlib.axes.Axes, optional
    modality : str, optional
        A bag; the only one where not given.
    alpha : float
        Opacity of the map over the slide, 0 to 1; over blank paper it is opaque.

    Returns
    -------
    matplotlib.axes.Axes
        Axes are in mm of level 0, or in px where the scale of the slide is not known. The data
        are ``slide_maps(patient)[slide].score(score).values``.

    Raises
    ------
    InputError
        When the patient, slide, bag or score is not known; there are several slides; or it is not
        known where the tiles lie.
    NotComputableError
        When the patient has no tiles.
    """
    slide_map = _slide_map(explanation, patient, slide, modality)
    chosen = slide_map.score(score)
    with _opened(slide_map) as reader:
        base, frame = background(slide_map, reader)
    ax = axes_of(ax, (6.4, 5.2))
    unit, name = (1.0, "px") if not slide_map.mpp else (slide_map.mpp / 1000, "mm")
    lattice = slide_map.lattice
    image = colours(
        chosen, lattice.image(chosen.values), 1.0 if reader is None else alpha
    )
    ax.imshow(base, extent=_extent_of_frame(frame, unit))
    (x, y), (wide, high) = lattice.origin, lattice.step
    right, bottom = x + wide * lattice.columns, y + high * lattice.rows
    edges = [x * unit, right * unit, bottom * unit, y * unit]
    ax.imshow(image, extent=edges, interpolation="nearest")
    left, over, low, top = _extent_of_frame(frame, unit)
    ax.set(xlim=(left, over), ylim=(low, top), xlabel=name, ylabel=name, aspect="equal")
    ax.set_title("\n".join(_title(slide_map, chosen)), loc="left", fontsize="medium")
    _colour_scale(ax, chosen)
    return ax


def _slide_map(
    explanation: Explanation,
    patient: str,
    slide: str | None,
    modality: str | None,
) -> SlideMap:
    maps = explanation.slide_maps(patient, modality)
    if not maps:
        raise NotComputableError(
            f"patient {patient!r} has no tiles, so there is no map"
        )
    if slide is None and len(maps) == 1:
        return next(iter(maps.values()))
    if slide not in maps:
        got = "none was given" if slide is None else f"got {slide!r}"
        raise InputError(
            f"slide: expected one of {listed(maps)} of patient {patient!r}; {got}",
        )
    return maps[slide]


def _opened(slide_map: SlideMap) -> Any:
    """The open slide; nothing where no image of it is at hand."""
    if slide_map.image is None:
        return nullcontext()
    from survfuse.slides.opening import open_slide

    return open_slide(slide_map.image)


def _extent_of_frame(frame: Frame, unit: float) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a picture."""
    right = frame.x + frame.scale[0] * frame.width
    bottom = frame.y + frame.scale[1] * frame.height
    return frame.x * unit, right * unit, bottom * unit, frame.y * unit


def _title(slide_map: SlideMap, score: Score) -> list[str]:
    lines = [
        f"{score.title}: patient {slide_map.patient_id}, slide {slide_map.slide_id}"
    ]
    if score.grey:
        lines.append("grey: does not reproduce")
    if slide_map.image is None:
        lines.append("no image of the slide is at hand")
    return lines


def _colour_scale(ax: Any, score: Score) -> None:
    """A bar of the colours with the score's unit, or a list of the clusters."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.patches import Patch

    if score.kind == "categories":
        handles = []
        for number in np.unique(score.values[np.isfinite(score.values)]).astype(int):
            red, green, blue = CATEGORIES[number % len(CATEGORIES)]
            colour = (red / 255, green / 255, blue / 255)
            handles.append(Patch(color=colour, label=f"{score.unit} {number}"))
        ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5))
        return
    stops = np.array(palette(score)) / 255
    low = score.centre - score.limit if score.kind == "diverging" else score.centre
    scale = Normalize(low, score.centre + score.limit)
    colour_map = LinearSegmentedColormap.from_list(score.name, stops)
    bar = ax.figure.colorbar(ScalarMappable(scale, colour_map), ax=ax, shrink=0.8)
    bar.set_label(score.unit)
