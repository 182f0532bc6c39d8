"""What a slide's file says of its scale, in every place where files say it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from survfuse._errors import SlideError

PLAUSIBLE_MPP = (0.08, 4.0)
"""µm/px of level 0 of scanners, from 40x on a fine camera to 2.5x: 0.05 for 0.5 and 5 for 0.5 lie
outside."""
SCREEN_MPP = 20.0
"""From here on (1270 dots per inch) a resolution is that of a screen or printer, left there by a
program."""
MICRONS_PER_POWER = 10.0
"""µm/px times objective power: 20x is 0.5 µm/px, 40x is 0.25 µm/px."""
OBLONG, NEARLY_OBLONG = 0.05, 0.02
MOST_ELEMENTS = 200_000
"""Of OME-XML; some per plane."""
RESOLUTION_TAGS = "the file's resolution tags"

_TAG_UNITS = {"centimeter": 1e4, "inch": 25400.0}
_LENGTHS = {
    "pm": 1e-6,
    "Å": 1e-4,
    "nm": 1e-3,
    "µm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "in": 25400.0,
    "inch": 25400.0,
    "mil": 25.4,
    "thou": 25.4,
    "pt": 25400.0 / 72,
}
"""µm in one unit of OME-XML."""
_NUMBER = r"([0-9.]+(?:[eE][-+]?[0-9]+)?)"
_IN_TEXT = {
    "MPP": re.compile(rf"\bMPP\s*=\s*{_NUMBER}"),
    "openslide.mpp-x": re.compile(
        rf"<name>openslide\.mpp-x</name>\s*<value[^>]*>{_NUMBER}",
    ),
}
_POWER_IN_TEXT = {
    "AppMag": re.compile(rf"\bAppMag\s*=\s*{_NUMBER}"),
    "openslide.objective-power": re.compile(
        rf"<name>openslide\.objective-power</name>\s*<value[^>]*>{_NUMBER}",
    ),
}
_OWN_NAMES = {
    "aperio": "the file's description (MPP)",
    "generic-tiff": RESOLUTION_TAGS,
    "hamamatsu": RESOLUTION_TAGS,
    "dicom": "the file's PixelSpacing",
}


@dataclass(frozen=True)
class Scale:
    """One statement of µm/px of level 0.

    Attributes
    ----------
    mpp : float, µm/px
    source : str
        Where it stands, in words.
    power : float or None
        Of the objective, where `mpp` is only 10 divided by it.
    """

    mpp: float
    source: str
    power: float | None = None

    @property
    def plausible(self) -> bool:
        """Whether a scanner can have it."""
        return PLAUSIBLE_MPP[0] <= self.mpp <= PLAUSIBLE_MPP[1]

    def __str__(self) -> str:
        if self.power is None:
            return f"{self.source}: {self.mpp:g} µm/px"
        return f"{self.source}: {self.power:g}x, about {self.mpp:g} µm/px"


def of_power(power: float, source: str) -> Scale:
    """Return the usual scale of an objective, 10 / power µm/px."""
    return Scale(MICRONS_PER_POWER / power, source, power)


def file_scales(
    said: Mapping[str, str],
    size: tuple[int, int],
) -> tuple[tuple[Scale, ...], tuple[str, ...]]:
    """Collect what a file says of its scale, best source first; powers of objectives last.

    Parameters
    ----------
    said : mapping of str to str
        Properties, by OpenSlide's names.
    size : tuple of int, px
        Width and height of level 0.

    Returns
    -------
    scales : tuple of Scale
        Implausible ones too.
    notes : tuple of str
        What could not be understood.

    Raises
    ------
    SlideError
        When pixels are wider than high, or higher than wide, by more than 5 %.
    """
    text = said.get("tiff.ImageDescription") or said.get("openslide.comment") or ""
    image, notes = ome_image(text, size)
    scales = []
    for across, down, source in _pairs(said, text, image, size, notes):
        if across and down:
            scales.append(_square(across, down, source, notes))
        elif across or down:
            notes.append(
                f"{source} says µm/px along one axis only ({across or down:g}); taken as not said",
            )
    return (*scales, *_objectives(said, text, image)), tuple(notes)


def _pairs(
    said: Mapping[str, str],
    text: str,
    image: Mapping[str, str] | None,
    size: tuple[int, int],
    notes: list[str],
) -> Iterator[tuple[float | None, float | None, str]]:
    """µm/px along x and y with their source, best first; None where an axis is not said."""
    vendor = said.get("openslide.vendor", "")

    def axes(
        template: str,
        names: Sequence[str],
    ) -> list[float | None]:
        return [_number(said.get(template.format(name))) for name in names]

    if image is not None:
        across, down = (_ome_length(image, axis, notes) for axis in "XY")
        yield across, down, "the file's OME-XML (PhysicalSizeX)"
    across, down = axes("openslide.mpp-{}", "xy")
    yield across, down, _OWN_NAMES.get(vendor, "the file (openslide.mpp-x)")
    if vendor == "dicom":
        across, down = axes("dicom.ImagedVolume{}", ("Width", "Height"))
        if across and down:  # mm
            across, down = across * 1000 / size[0], down * 1000 / size[1]
            yield across, down, "the file's ImagedVolumeWidth"
    elif vendor == "aperio":
        unit = _TAG_UNITS.get(said.get("tiff.ResolutionUnit", ""))
        across, down = axes("tiff.{}Resolution", "XY")
        if unit and across and down and unit / across < SCREEN_MPP:
            yield unit / across, unit / down, RESOLUTION_TAGS
    else:
        for name, mpp in _matches(_IN_TEXT, text):
            yield mpp, mpp, f"the file's description ({name})"


def _square(
    across: float,
    down: float,
    source: str,
    notes: list[str],
) -> Scale:
    """Mean of both axes."""
    apart = abs(across / down - 1)
    scale = Scale((across + down) / 2, source)
    text = f"{source}: pixels are {across:g} µm wide and {down:g} µm high"
    if apart > OBLONG and scale.mpp < SCREEN_MPP:
        raise SlideError(
            f"{text}; square ones are expected (up to 5 % apart). If that is right, resample the "
            "slide; else correct the file",
        )
    if apart > NEARLY_OBLONG:
        notes.append(f"{text}; their mean is taken")
    return scale


def _objectives(
    said: Mapping[str, str],
    text: str,
    image: Mapping[str, str] | None,
) -> Iterator[Scale]:
    own = _number(said.get("openslide.objective-power"))
    if own is not None:
        yield of_power(own, "the file's objective")
        return
    for name, power in _matches(_POWER_IN_TEXT, text):
        yield of_power(power, f"the file's description ({name})")
    nominal = _number((image or {}).get("power"))
    if nominal is not None:
        yield of_power(nominal, "the file's OME-XML (NominalMagnification)")


def _matches(
    patterns: Mapping[str, re.Pattern[str]],
    text: str,
) -> Iterator[tuple[str, float]]:
    for name, pattern in patterns.items():
        match = pattern.search(text)
        value = _number(match[1]) if match else None
        if value is not None:
            yield name, value


def ome_image(
    text: str,
    size: tuple[int, int],
) -> tuple[dict[str, str] | None, list[str]]:
    """Read what OME-XML says of the image of this size: attributes of its `Pixels`, and `power`.

    Parameters
    ----------
    text : str
        Description of a TIFF; anything else than OME-XML gives None.
    size : tuple of int, px
        Width and height.

    Returns
    -------
    image : dict or None
    notes : list of str
        Why it could not be read.
    """
    if "<OME" not in text[:4096]:
        return None, []
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None, ["the file's OME-XML declares entities; it was not read"]
    if text.count("<") > MOST_ELEMENTS:
        return None, [
            f"the file's OME-XML has more than {MOST_ELEMENTS:,} elements; it was not read",
        ]
    parser = ElementTree.XMLParser(encoding="utf-8")  # whatever it says itself
    try:
        root = ElementTree.fromstring(text.strip().strip("\0").encode(), parser)
    except (ElementTree.ParseError, ValueError) as error:
        return None, [f"the file's OME-XML is broken and was not read ({error})"]
    width, height = map(str, size)
    for image in root.iter():
        pixels = image.find("{*}Pixels")
        if pixels is None or (pixels.get("SizeX"), pixels.get("SizeY")) != (
            width,
            height,
        ):
            continue
        attributes = dict(pixels.attrib)
        lens = image.find("{*}ObjectiveSettings")
        for objective in root.iterfind(".//{*}Objective"):
            if lens is not None and objective.get("ID") == lens.get("ID"):
                attributes["power"] = objective.get("NominalMagnification", "")
                break
        return attributes, []
    return None, [
        f"the file's OME-XML has no image of {width} × {height} px; its scale was not read",
    ]


def ome_lengths(
    text: str,
    size: tuple[int, int],
) -> tuple[float, float] | None:
    """Return µm/px along x and y as OME-XML says it of the image of this size, else None."""
    image, notes = ome_image(text, size)
    if image is None:
        return None
    across, down = (_ome_length(image, axis, notes) for axis in "XY")
    return None if across is None or down is None else (across, down)


def _ome_length(
    image: Mapping[str, str],
    axis: str,
    notes: list[str],
) -> float | None:
    """µm of one pixel; without a unit, OME means µm."""
    name = f"PhysicalSize{axis}"
    value, unit = _number(image.get(name)), image.get(f"{name}Unit", "µm")
    if value is None:
        return None
    length = _LENGTHS.get(unit.strip().replace("\u03bc", "µ"))
    if length is None:
        notes.append(
            f"the file's OME-XML gives {name} {value:g} in {unit!r}, which is no length",
        )
        return None
    return value * length


def _number(text: str | None) -> float | None:
    """A number > 0 that is finite, else None."""
    try:
        value = float(text or 0)
    except ValueError:
        return None
    return value if 0 < value < 1e9 else None
