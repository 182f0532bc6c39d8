"""What the colours of a map mean, in a strip below it; and a scale bar."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from survfuse._types import ByteArray
from survfuse.maps.colours import CATEGORIES, colours
from survfuse.maps.scores import CLIPPED, Score
from survfuse.maps.slide_map import SlideMap

INK, MUTED, WHITE = (0x1F, 0x29, 0x33), (0x4E, 0x5A, 0x67), (255, 255, 255)
TITLE_PX, TEXT_PX, LINE_PX = 19, 14, 20
BAR_PX = (440, 18)
MOST_HEIGHT = 1200
GREY = "Grey: models of other patients would draw another map, so its direction is not shown."
RESEARCH = "For research use only."


def legend(
    slide_map: SlideMap,
    name: str,
    width: int,
    alpha: float = 1.0,
    *,
    remarks: tuple[str, ...] = (),
) -> ByteArray:
    """The legend of a map: title, colour bar with its ends and unit, and what must be known.

    Parameters
    ----------
    slide_map : SlideMap
    name : str
        Of the score.
    width : int, px
    alpha : float
        Opacity of the map, which the colour bar has on white.
    remarks : tuple of str
        Further lines.

    Returns
    -------
    array of uint8, (height, width, 3)
    """
    score = slide_map.score(name)
    strip = _Strip(width)
    strip.write(score.title, TITLE_PX, bold=True)
    tiles = f"{slide_map.tiles:,} tile{'' if slide_map.tiles == 1 else 's'}"
    where = f"patient {slide_map.patient_id} · slide {slide_map.slide_id} · {tiles}"
    strip.write(where, colour=MUTED)
    if score.kind == "categories":
        strip.swatches(
            np.unique(score.values[np.isfinite(score.values)]).astype(int), alpha
        )
    else:
        strip.bar(score, alpha)
    for line in (*_says(score), *remarks, *slide_map.notes, RESEARCH):
        strip.write(line, colour=MUTED)
    return strip.pixels()


def with_scale_bar(picture: ByteArray, um_per_px: float | None) -> ByteArray:
    """Draw a scale bar into the lower left corner of a picture; none where the scale is unknown.

    Parameters
    ----------
    picture : array of uint8, (height, width, 3)
    um_per_px : float or None, µm/px
        Of the picture.
    """
    height, width = picture.shape[:2]
    if um_per_px is None or width < 120 or height < 60:
        return picture
    um = _round_length(um_per_px * width / 5)
    text = f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} µm"
    length, font = round(um / um_per_px), typeface(TEXT_PX)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    box = max(length, round(font.getlength(text))) + 20
    draw.rectangle((10, height - 48, 10 + box, height - 10), fill=WHITE, outline=INK)
    draw.text((10 + box / 2, height - 33), text, INK, font, anchor="mm")
    left = 10 + (box - length) // 2
    draw.rectangle((left, height - 21, left + length - 1, height - 17), fill=INK)
    return np.asarray(image)


def ends(score: Score) -> tuple[float, ...]:
    """Values that a colour bar names, from its lower end to its upper one."""
    if score.kind == "diverging":
        return (score.centre - score.limit, score.centre, score.centre + score.limit)
    return (score.centre, score.centre + score.limit)


def as_text(value: float, signed: bool) -> str:
    """A value at a colour bar."""
    text = f"{value:.3g}".replace("-", "−")
    return f"+{text}" if signed and value > 0 else text


class _Strip:
    """A white strip that lines are written on, from above; it grows as they need.

    Parameters
    ----------
    width : int, px
    """

    def __init__(self, width: int) -> None:
        self._image = Image.new("RGB", (width, MOST_HEIGHT), WHITE)
        self._draw = ImageDraw.Draw(self._image)
        self._width, self._top = width, 0

    def write(
        self,
        text: str,
        size: int = TEXT_PX,
        *,
        bold: bool = False,
        colour: tuple[int, int, int] = INK,
    ) -> None:
        """Write a text, in as many lines as it needs."""
        font = typeface(size, bold=bold)
        for line in _wrapped(text, font, self._width):
            if self._top + LINE_PX <= MOST_HEIGHT:
                self._draw.text((0, self._top), line, colour, font)
                self._top += size + 6

    def bar(self, score: Score, alpha: float) -> None:
        """Draw a colour bar, its ends and its unit."""
        self._top += 6
        wide, tall = min(BAR_PX[0], self._width - 2), BAR_PX[1]
        last, font = wide - 1, typeface(TEXT_PX)
        low, high = score.directions
        if low:
            self._draw.text((0, self._top), f"− {low}", INK, font)
            self._draw.text((last, self._top), f"{high} +", INK, font, anchor="ra")
            self._top += LINE_PX
        places = ends(score)
        share = np.linspace(places[0], places[-1], wide)[None]
        rgb = on_white(colours(score, share, alpha))
        self._image.paste(Image.fromarray(rgb.repeat(tall, axis=0)), (0, self._top))
        frame = (0, self._top, last, self._top + tall)
        self._draw.rectangle(frame, outline=MUTED)
        self._top += tall + 3
        signed = score.kind == "diverging" and score.centre == 0
        for number, value in enumerate(places):
            x, anchor = (
                last * number / (len(places) - 1),
                "lmr"[2 * number // (len(places) - 1)],
            )
            self._draw.text(
                (x, self._top), as_text(value, signed), INK, font, anchor + "a"
            )
        self._top += LINE_PX
        self.write(f"unit: {score.unit}; the colours end at the values written")
        self._top += 2

    def swatches(self, numbers: Any, alpha: float) -> None:
        """Draw the colour of each category beside its number."""
        self._top += 6
        left, font = 0, typeface(TEXT_PX)
        for number in numbers:
            if left + 62 > self._width:
                left, self._top = 0, self._top + 26
            rgba = np.array(
                [[[*CATEGORIES[number % len(CATEGORIES)], round(255 * alpha)]]]
            )
            fill = tuple(on_white(rgba.astype(np.uint8))[0, 0].tolist())
            box = (left, self._top, left + 18, self._top + 18)
            self._draw.rectangle(box, fill=fill, outline=MUTED)
            self._draw.text(
                (left + 24, self._top + 9), str(number), INK, font, anchor="lm"
            )
            left += 62
        self._top += 28

    def pixels(self) -> ByteArray:
        """What was drawn."""
        return np.asarray(self._image)[: self._top + 4]


def on_white(rgba: ByteArray) -> ByteArray:
    """Colours as they are on white, (…, 3)."""
    opacity = rgba[..., 3:].astype(np.float64) / 255
    return np.rint(rgba[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)


def _says(score: Score) -> list[str]:
    """Sentences about a score."""
    lines = [GREY] if score.grey else []
    if score.says:
        lines.append(score.says[0].upper() + score.says[1:] + ".")
    if score.unit == "log-risk":
        lines.append(
            f"{CLIPPED:g} % of the tiles of the patient lie within the colours; the rest have the "
            "last one. Where no tile lies, there is no colour.",
        )
    return lines


def _round_length(um: float) -> float:
    """The largest of 1, 2, 5, 10, ... that is not above a length."""
    power = 10.0 ** math.floor(math.log10(um))
    return max(step * power for step in (1, 2, 5) if step * power <= um * 1.0001)


def _wrapped(text: str, font: Any, width: int) -> list[str]:
    """A text in lines of a width; a word that is wider is cut."""
    lines = [""]
    for piece in text.split():
        longer = f"{lines[-1]} {piece}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        while len(piece) > 1 and font.getlength(piece) > width:
            piece = piece[: max(1, len(piece) * 9 // 10 - 1)] + "…"
        lines.append(piece)
    return [line for line in lines if line]


@lru_cache
def typeface(size: int, *, bold: bool = False) -> Any:
    """The font of the figures, which Matplotlib brings."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf", name), size)
