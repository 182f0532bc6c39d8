"""How large a pixel is: said by the file or by the user, never guessed; who else says it must agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
"""Two scales so many times apart are never of one slide; an adapter of the camera makes up to 2.5."""
USUAL_MPP = (0.15, 2.1)
LARGEST_MM, LARGEST_USUAL_MM = 200.0, 80.0
"""Glass of a whole mount, and of an ordinary slide with some room."""
_ROUND = (0.23, 0.25, 0.46, 0.5, 1.0)
_INCH_OVER_CM = 2.54


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


@dataclass(frozen=True)
class _Claim:
    """A scale with who made it: the slide's row of the table, its file, or a flag of the whole run."""

    scale: Scale
    of: str
    source: str

    def agrees(self, other: _Claim) -> bool:
        one, two = self.scale, other.scale
        limit = 1 + SAME_SCALE if one.power is two.power is None else SAME_POWER
        return _times(one, two) <= limit


def slide_spacing(
    reader: SlideReader,
    *,
    column: float | None = None,
    power: float | None = None,
    stated: float | None = None,
    stated_power: float | None = None,
) -> Spacing:
    """Decide the spacing of level 0, and hold every other source against it.

    The slide table's column is about this very slide and comes first; then the file, then the table's
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
    given = _given(column, power, stated, stated_power)
    for claim in given:
        if not claim.scale.plausible:
            raise SlideError(f"{reader.path}: {_implausible(claim.scale)}; correct it")
    claims = [*given, *(_Claim(scale, "file", "file") for scale in reader.scales)]
    chosen = _first(claims)
    if chosen is None:
        raise SlideError(f"{reader.path}: {_three_ways(reader)}")
    others = [claim for claim in claims if claim is not chosen]
    seconded = any(chosen.agrees(claim) for claim in others)
    notes = []
    for claim in others:
        if not chosen.agrees(claim) and not _is_screen(claim):
            _refuse(reader, chosen, claim, seconded)
            notes.append(_differ(chosen, claim))
    if not seconded:
        notes += _doubts(chosen.scale)
    return Spacing(
        chosen.scale.mpp,
        chosen.source,
        (*notes, *_size(reader, chosen.scale)),
    )


def _given(
    column: float | None,
    power: float | None,
    stated: float | None,
    stated_power: float | None,
) -> list[_Claim]:
    """What the user says, by table and by flag."""
    claims = []
    if column is not None:
        claims.append(
            _Claim(Scale(column, "the slide table's column `mpp`"), "table", "column"),
        )
    if power is not None:
        claims.append(
            _Claim(
                of_power(power, "the slide table's column `objective`"),
                "table",
                "objective",
            ),
        )
    if stated is not None:
        claims.append(_Claim(Scale(stated, "--slide-mpp"), "flag", "flag"))
    if stated_power is not None:
        claims.append(
            _Claim(of_power(stated_power, "--objective-power"), "flag", "objective"),
        )
    return claims


def _first(claims: Sequence[_Claim]) -> _Claim | None:
    """The claim that is followed. A power that the file names is not: scanners differ at the same power."""

    def rank(claim: _Claim) -> int:
        if claim.source == "column":
            return 0
        return {"file": 1, "table": 2, "flag": 3}[claim.of]

    known = [
        claim
        for claim in claims
        if claim.scale.plausible and (claim.of != "file" or claim.scale.power is None)
    ]
    return min(known, key=rank, default=None)


def _refuse(reader: SlideReader, chosen: _Claim, other: _Claim, seconded: bool) -> None:
    """Stop where one of two sources must be wrong and nothing says which."""
    if chosen.of == other.of == "flag":
        wrong, way = True, "give one of both flags"
    elif chosen.of == "flag":
        wrong = other.scale.plausible
        way = (
            "a flag is for slides that say nothing. Say which is right in this slide's row of the slide "
            "table, column `mpp` or `objective`"
        )
    else:
        wrong = (
            other.of != "flag"
            and other.scale.plausible
            and not seconded
            and _times(chosen.scale, other.scale) >= GROSS
        )
        way = (
            "one of them is wrong. Say the right one in the slide table, so that two agree: columns `mpp` "
            "and `objective`"
        )
    if wrong:
        raise SlideError(
            f"{reader.path}: {chosen.scale}, but {other.scale}{_kind(chosen, other)}; {way}",
        )


def _differ(chosen: _Claim, other: _Claim) -> str:
    why = "" if other.scale.plausible else f", which no scanner has ({_range()})"
    return f"{other.scale}{why}, but {chosen.scale}{_kind(chosen, other)}; the latter was followed"


def _kind(chosen: _Claim, other: _Claim) -> str:
    """Name the mistake that a ratio looks like."""
    times = _times(chosen.scale, other.scale)
    for factor, looks in (
        (10, "a factor of ten"),
        (100, "a factor of 100"),
        (1000, "mm or nm for µm"),
    ):
        if abs(times / factor - 1) < 0.25 and times > GROSS:
            return f" ({looks})"
    if (
        chosen.scale.power is other.scale.power is None
        and abs(times / _INCH_OVER_CM - 1) < SAME_SCALE
    ):
        return " (as an inch is to a cm)"
    return ""


def _is_screen(claim: _Claim) -> bool:
    return claim.scale.source == RESOLUTION_TAGS and claim.scale.mpp >= SCREEN_MPP


def _times(one: Scale, two: Scale) -> float:
    """How many times the larger is the smaller."""
    return max(one.mpp / two.mpp, two.mpp / one.mpp)


def _doubts(scale: Scale) -> Iterator[str]:
    """What is strange about a scale that only one source says."""
    if not USUAL_MPP[0] <= scale.mpp <= USUAL_MPP[1]:
        yield (
            f"{scale}, which is unusual (slides have {USUAL_MPP[0]:g} to {USUAL_MPP[1]:g}) and said by "
            "nothing else; is it a factor of ten off?"
        )
    for mpp in _ROUND:
        for factor, right in ((_INCH_OVER_CM, "cm"), (1 / _INCH_OVER_CM, "inch")):
            if (
                scale.source == RESOLUTION_TAGS
                and abs(scale.mpp / (mpp * factor) - 1) < 0.012
            ):
                yield f"{scale}; if their unit is {right}, it is {scale.mpp / factor:.3g}: is the unit right?"


def _size(reader: SlideReader, scale: Scale) -> tuple[str, ...]:
    """Hold the scanned area against glass."""
    side = max(reader.bounds[2:]) * scale.mpp / 1000
    if side <= LARGEST_USUAL_MM:
        return ()
    text = f"{scale}, with which the scanned area is {side:,.0f} mm long; an ordinary slide has 76"
    if side > LARGEST_MM:
        raise SlideError(
            f"{reader.path}: {text}, a whole mount up to {LARGEST_MM:g}. Correct the scale",
        )
    return (f"{text}. Is the scale right?",)


def _range() -> str:
    return f"{PLAUSIBLE_MPP[0]:g} to {PLAUSIBLE_MPP[1]:g}"


def _implausible(scale: Scale) -> str:
    return f"{scale}, which no scanner has; expected {_range()} µm/px"


def _three_ways(reader: SlideReader) -> str:
    said = [_implausible(scale) for scale in reader.scales if scale.power is None]
    named = [
        f"{scale} (a power alone is not taken as a scale)"
        for scale in reader.scales
        if scale.power is not None
    ]
    why = "; ".join([*said, *named, *reader.notes])
    return (
        f"the slide does not say its µm/px{': ' if why else ''}{why}. Say it in one of three ways: a column "
        "`mpp` in the slide table, --slide-mpp 0.25 for all slides that do not say it, or the objective's "
        "power: a column `objective` or --objective-power 40"
    )
