"""What a simulation is asked for, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, get_args

from survfuse._errors import ConfigError
from survfuse.datasets.outcomes import Signal, Unit

Layout = Literal["cohort", "chimera"]
LARGEST = 16384  # px of 0.5 µm, side of a painted slide


@dataclass(frozen=True)
class Plan:
    """Parameters of :func:`simulate`, as they are written into ``simulation.json``."""

    patients: int
    event_rate: float
    signal: Signal
    strength: float
    tiles: int
    tile_dim: int
    genes: int
    slides: int
    missing: Mapping[str, float] = field(default_factory=dict)
    sites: int = 0
    site_hazard: float = 0.0
    leak: bool = False
    hold_out: int = 0
    seed: int = 0
    unit: Unit = "months"
    images: bool = False
    slide_px: int = 1536
    defects: bool = False
    layout: Layout = "cohort"

    def check(self) -> None:
        """Refuse numbers that make no cohort.

        Raises
        ------
        ConfigError
            Names the parameter and the numbers it may take.
        """
        least = {"patients": 8, "tiles": 4, "tile_dim": 1, "slides": 1, "slide_px": 256}
        least |= {"sites": 0, "hold_out": 0, "seed": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise ConfigError(
                    f"{name}: at least {minimum}, got {getattr(self, name)}",
                )
        self._check_outcome()
        if self.slide_px > LARGEST:
            raise ConfigError(
                f"slide_px: at most {LARGEST} (a slide is painted in memory), got {self.slide_px}",
            )
        if self.defects and not self.images:
            raise ConfigError(
                "defects: belong to slides with pixels; ask for images (--slides) too",
            )

    def _check_outcome(self) -> None:
        choices = {"signal": Signal, "unit": Unit, "layout": Layout}
        for name, literal in choices.items():
            known, value = get_args(literal), getattr(self, name)
            if value not in known:
                raise ConfigError(
                    f"{name}: expected one of {', '.join(known)}, got {value!r}",
                )
        if not (isfinite(self.strength) and self.strength >= 0):
            raise ConfigError(
                f"strength: expected a finite number >= 0, got {self.strength}",
            )
        if not 0 < self.event_rate < 1:
            raise ConfigError(
                f"event_rate: expected a share between 0 and 1, got {self.event_rate}",
            )
        if not 0 < round(self.event_rate * self.patients) < self.patients:
            raise ConfigError(
                f"event_rate: {self.event_rate} of {self.patients} patients leaves no events "
                "or no censoring",
            )
