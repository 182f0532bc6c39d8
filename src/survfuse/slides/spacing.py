"""How large a pixel is: said by the file or by the user, never guessed."""

from __future__ import annotations

from dataclasses import dataclass

from survfuse._errors import SlideError
from survfuse.slides.reading import PLAUSIBLE_MPP, SAME_SCALE, SlideReader

MICRONS_PER_POWER = 10.0
"""µm/px times objective power: 20x is 0.5 µm/px, 40x is 0.25 µm/px."""


@dataclass(frozen=True)
class Spacing:
    """µm/px of a slide's level 0, and who said it.

    Attributes
    ----------
    mpp : float, µm/px
    source : {"column", "file", "flag", "objective"}
    notes : tuple of str
        Where sources disagree.
    """

    mpp: float
    source: str
    notes: tuple[str, ...] = ()


def slide_spacing(
    reader: SlideReader,
    *,
    column: float | None = None,
    stated: float | None = None,
    objective: float | None = None,
) -> Spacing:
    """Decide the spacing of level 0.

    The slide table's column is about this very slide and comes first; then the file; what was
    stated for the whole run is for files that say nothing.

    Parameters
    ----------
    reader : SlideReader
    column : float or None, µm/px
        From the slide table.
    stated : float or None, µm/px
        From ``--slide-mpp``.
    objective : float or None
        Power, from the slide table or ``--objective-power``; 10 / power µm/px.

    Raises
    ------
    SlideError
        When nobody says it, naming the three ways; or a number is not plausible.
    """
    from_power = None if objective is None else MICRONS_PER_POWER / objective
    for name, value in (("mpp column", column), ("--slide-mpp", stated), ("objective power", from_power)):
        if value is not None and not PLAUSIBLE_MPP[0] <= value <= PLAUSIBLE_MPP[1]:
            raise SlideError(
                f"{reader.path}: {name} gives {value:g} µm/px, expected "
                f"{PLAUSIBLE_MPP[0]:g} to {PLAUSIBLE_MPP[1]:g}"
            )
    if column is not None:
        return Spacing(column, "column", _differs(column, reader))
    if reader.mpp is not None:
        return Spacing(reader.mpp, "file")
    if stated is not None:
        return Spacing(stated, "flag")
    if from_power is not None:
        return Spacing(from_power, "objective")
    raise SlideError(f"{reader.path}: {_three_ways(reader)}")


def _differs(column: float, reader: SlideReader) -> tuple[str, ...]:
    if reader.mpp is None or abs(column / reader.mpp - 1) <= SAME_SCALE:
        return ()
    return (f"the slide table says {column:g} µm/px, the file {reader.mpp:g}; the table was followed",)


def _three_ways(reader: SlideReader) -> str:
    hint = (
        ""
        if reader.objective is None
        else f" (the file names an objective of {reader.objective:g}x, which alone is not taken as a scale)"
    )
    why = f"; {'; '.join(reader.notes)}" if reader.notes else ""
    return (
        f"the slide does not say its µm/px{why}. Say it in one of three ways: a column `mpp` in the slide "
        "table, --slide-mpp 0.25 for all slides that do not say it, or the objective's power: a column "
        f"`objective` or --objective-power 40{hint}"
    )
