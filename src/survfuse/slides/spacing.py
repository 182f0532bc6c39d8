"""The size of a pixel: from the file or the user, never guessed; all sources must agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from survfuse._errors import SlideError
from survfuse.slides.reading import SAME_SCALE, SlideReader
from survfuse.slides.scales import (
    PLAUSIBLE_MPP,
    RESOLUTION_TAGS,
    SCREEN_MPP,
    Scale,
    of_power,
)

SAME_POWER = 1.3
"""A power says its scale up to this factor: at 20x, scanners have 0.4 to 0.6 µm/px."""
GROSS = 3.9
"""Two scales so many times apart are never of one slide; an adapter of the camera makes up to
2.5."""
USUAL_MPP = (0.15, 2.1)
LARGEST_MM, LARGEST_USUAL_MM = 200.0, 80.0
"""Glass of a whole mount, and of an ordinary slide with some room."""
_ROUND = (0.23, 0.25, 0.46, 0.5, 1.0)
_INCH_OVER_CM = 2.54
_RANGE = f"{PLAUSIBLE_MPP[0]:g} to {PLAUSIBLE_MPP[1]:g}"


@dataclass(frozen=True)
class Spacing:
    """µm/px of a slide's level 0, and who said it.

    Attributes
    ----------
    mpp : float, µm/px
    source : {"column", "file", "objective", "flag"}
    notes : tuple of str
        Where sources disagree, or the scale is unusual.
    """

    mpp: float
    source: str
    notes: tuple[str, ...] = ()


class _Claim(NamedTuple):
    """A scale with its source: the slide's row of the table, its file, or a flag of the run."""

    scale: Scale
    of: str
    source: str
    rank: int

    def times(self, other: _Claim) -> float:
        """How many times the larger is the smaller."""
        one, two = self.scale.mpp, other.scale.mpp
        return max(one / two, two / one)

    def agrees(self, other: _Claim) -> bool:
        powers = (self.scale.power, other.scale.power)
        return self.times(other) <= (
            1 + SAME_SCALE if powers == (None, None) else SAME_POWER
        )

    @property
    def is_usable(self) -> bool:
        return self.scale.plausible and (self.of != "file" or self.scale.power is None)

    @property
    def is_screen(self) -> bool:
        return self.scale.source == RESOLUTION_TAGS and self.scale.mpp >= SCREEN_MPP


def slide_spacing(
    reader: SlideReader,
    *,
    column: float | None = None,
    power: float | None = None,
    stated: float | None = None,
    stated_power: float | None = None,
) -> Spacing:
    """Decide the spacing of level 0, and hold every other source against it.

    The slide table's column is about this very slide and comes first; then the file, then the
    table's
    power of the objective; what was stated for the whole run is for slides that say nothing.

    Parameters
    ----------
    reader : SlideReader
    column : float or None, µm/px
        From the slide table.
    power : float or None
        Of the objective, from the slide table; 10 / power µm/px.
    stated : float or None, µm/px
        From ``--slide-mpp``.
    stated_power : float or None
        From ``--objective-power``.

    Raises
    ------
    SlideError
        When nobody says it, naming the three ways; a number is not plausible; or two sources
        contradict each other so that one of them must be wrong.
    """
    claims = [
        *_given(reader, column, power, stated, stated_power),
        *(_Claim(scale, "file", "file", 1) for scale in reader.scales),
    ]
    # a power that the file names is not followed: scanners differ at the same power
    usable = [claim for claim in claims if claim.is_usable]
    if not usable:
        raise SlideError(f"{reader.path}: {_three_ways(reader)}")
    chosen = min(usable, key=lambda claim: claim.rank)
    others = [claim for claim in claims if claim is not chosen]
    seconded = any(chosen.agrees(claim) for claim in others)
    notes = []
    for claim in others:
        if not chosen.agrees(claim) and not claim.is_screen:
            text = _contradiction(reader, chosen, claim, seconded)
            notes.append(f"{text}; the latter was followed")
    if not seconded:
        notes += _doubts(chosen.scale)
    notes += _check_size(reader, chosen.scale)
    return Spacing(chosen.scale.mpp, chosen.source, tuple(notes))


def _given(
    reader: SlideReader,
    column: float | None,
    power: float | None,
    stated: float | None,
    stated_power: float | None,
) -> Iterator[_Claim]:
    """What the user says, by table and by flag."""
    for value, make, name, of, source, rank in (
        (column, Scale, "the slide table's column `mpp`", "table", "column", 0),
        (
            power,
            of_power,
            "the slide table's column `objective`",
            "table",
            "objective",
            2,
        ),
        (stated, Scale, "--slide-mpp", "flag", "flag", 3),
        (stated_power, of_power, "--objective-power", "flag", "objective", 3),
    ):
        if value is None:
            continue
        scale = make(value, name)
        if not scale.plausible:
            raise SlideError(f"{reader.path}: {_implausible(scale)}; correct it")
        yield _Claim(scale, of, source, rank)


def _contradiction(
    reader: SlideReader,
    chosen: _Claim,
    other: _Claim,
    seconded: bool,
) -> str:
    """Describe two sources that disagree; refuse them where nothing says which is wrong."""
    times = chosen.times(other)
    plausible = other.scale.plausible
    if chosen.of == other.of == "flag":
        wrong, way = True, "give one of both flags"
    elif chosen.of == "flag":
        wrong = plausible
        way = (
            "a flag is for slides that say nothing. Say which is right in this slide's row of the "
            "slide table, column `mpp` or `objective`"
        )
    else:
        wrong = plausible and other.of != "flag" and not seconded and times >= GROSS
        way = (
            "one of them is wrong. Say the right one in the slide table, so that two agree: "
            "columns "
            "`mpp` and `objective`"
        )
    kind = _kind(chosen.scale, other.scale, times)
    if wrong:
        raise SlideError(
            f"{reader.path}: {chosen.scale}, but {other.scale}{kind}; {way}",
        )
    why = "" if plausible else f", which no scanner has ({_RANGE})"
    return f"{other.scale}{why}, but {chosen.scale}{kind}"


def _kind(
    one: Scale,
    two: Scale,
    times: float,
) -> str:
    """Name the mistake that a ratio looks like."""
    factors = {10: "a factor of ten", 100: "a factor of 100", 1000: "mm or nm for µm"}
    for factor, name in factors.items():
        if abs(times / factor - 1) < 0.25 and times > GROSS:
            return f" ({name})"
    exact = one.power is None and two.power is None
    if exact and abs(times / _INCH_OVER_CM - 1) < SAME_SCALE:
        return " (as an inch is to a cm)"
    return ""


def _doubts(scale: Scale) -> Iterator[str]:
    """What is strange about a scale that only one source says."""
    if not USUAL_MPP[0] <= scale.mpp <= USUAL_MPP[1]:
        yield (
            f"{scale}, which is unusual (slides have {USUAL_MPP[0]:g} to {USUAL_MPP[1]:g}) and "
            "said "
            "by nothing else; is it a factor of ten off?"
        )
    if scale.source != RESOLUTION_TAGS:
        return
    for mpp in _ROUND:
        for factor, unit in ((_INCH_OVER_CM, "cm"), (1 / _INCH_OVER_CM, "inch")):
            if abs(scale.mpp / (mpp * factor) - 1) < 0.012:
                right = f"{scale.mpp / factor:.3g}"
                yield f"{scale}; if their unit is {unit}, it is {right}: is the unit right?"


def _check_size(
    reader: SlideReader,
    scale: Scale,
) -> list[str]:
    """Compare the scanned area with glass."""
    side = max(reader.bounds[2:]) * scale.mpp / 1000
    text = f"{scale}, with which the scanned area is {side:,.0f} mm long; an ordinary slide has 76"
    if side > LARGEST_MM:
        raise SlideError(
            f"{reader.path}: {text}, a whole mount up to {LARGEST_MM:g}. Correct the scale",
        )
    return [f"{text}. Is the scale right?"] if side > LARGEST_USUAL_MM else []


def _implausible(scale: Scale) -> str:
    return f"{scale}, which no scanner has; expected {_RANGE} µm/px"


def _three_ways(reader: SlideReader) -> str:
    """Why there is no scale, and how to give one."""
    said, powers = [], []
    for scale in reader.scales:
        if scale.power is None:
            said.append(_implausible(scale))
        else:
            powers.append(f"{scale} (a power alone is not taken as a scale)")
    why = "; ".join([*said, *powers, *reader.notes])
    return (
        f"the slide does not say its µm/px{': ' if why else ''}{why}. Say it in one of three ways: "
        "a column `mpp` in the slide table, --slide-mpp 0.25 for all slides that do not say it, or "
        "the objective's power: a column `objective` or --objective-power 40"
    )
