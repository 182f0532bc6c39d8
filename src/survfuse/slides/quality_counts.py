"""What the judge of tiles said of a slide, tile by tile."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from survfuse.slides.settings import ExtractConfig
from survfuse.slides.tiles import TileBatch


class Tally:
    """Collects background, pen and blur of the chosen tiles of one slide.

    Parameters
    ----------
    chosen : int
        Number of tiles.
    """

    def __init__(self, chosen: int) -> None:
        self.values = {
            name: np.full(chosen, np.nan, np.float32)
            for name in ("background", "pen", "blur")
        }
        self.dropped = {"background": 0, "pen": 0}

    def judge(self, batch: TileBatch, config: ExtractConfig) -> npt.NDArray[np.bool_]:
        """Tell which tiles of a batch are kept, (tiles,)."""
        from survfuse.slides.quality import judge_tiles

        quality = judge_tiles(batch.pixels)
        for name, values in self.values.items():
            values[batch.index] = getattr(quality, name)
        blank = np.asarray(quality.background > config.max_background, bool)
        pen = np.asarray(quality.pen > config.max_pen, bool) & ~blank
        self.dropped["background"] += int(blank.sum())
        self.dropped["pen"] += int(pen.sum())
        return np.asarray(~(blank | pen), bool)

    def medians(self, kept: npt.NDArray[np.bool_]) -> dict[str, float]:
        """Medians over the kept tiles; nothing where there are none."""
        if not kept.any():
            return {}
        return {
            name: round(float(np.median(values[kept])), 5)
            for name, values in self.values.items()
        }
