"""What a worker does with slide after slide, on whatever machine it sits."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse._errors import ConfigError
from survfuse.slides.extract import extract_slide
from survfuse.slides.settings import ExtractConfig
from survfuse.slides.slide_list import SlideItem
from survfuse.slides.slide_records import Record

if TYPE_CHECKING:
    from survfuse.slides.encoders.card import TileEncoder

LoadEncoder = Callable[[ExtractConfig], "TileEncoder"]


def encoder_of(config: ExtractConfig) -> TileEncoder:
    """Load the encoder that a configuration names."""
    from survfuse.slides.encoders import load_encoder

    return load_encoder(
        config.encoder,
        config.weights,
        sha256=config.sha256,
        random_weights=config.random_weights,
        device=config.device,
        precision=config.precision,
        batch=config.batch,
    )


@dataclass
class ExtractWork:
    """What a worker does, slide after slide, with one encoder that it loads at the first.

    Attributes
    ----------
    config : ExtractConfig
    out : Path
    identity : mapping
        Of the encoder where the run was started; a worker's must be the same.
    executor : str
        Noted in records.
    load : callable
        Makes the encoder from `config`.
    """

    config: ExtractConfig
    out: Path
    identity: dict[str, Any]
    executor: str = "inline"
    load: LoadEncoder = encoder_of
    encoder: TileEncoder | None = field(default=None, repr=False, compare=False)

    def __call__(self, item: SlideItem) -> Record:
        """Extract one slide.

        Raises
        ------
        ConfigError
            When the encoder comes out otherwise here than where the run was started.
        """
        if self.encoder is None:
            self.encoder = self.load(self.config)
            self._check(dict(self.encoder.identity()))
        return extract_slide(
            item,
            self.config,
            self.encoder,
            self.out,
            executor=self.executor,
        )

    def _check(self, mine: dict[str, Any]) -> None:
        differ = [
            name
            for name in sorted({*mine, *self.identity})
            if mine.get(name) != self.identity.get(name)
        ]
        if differ:
            told = ", ".join(
                f"{name} {mine.get(name)!r}, not {self.identity.get(name)!r}"
                for name in differ
            )
            raise ConfigError(
                f"worker on {socket.gethostname()}: the encoder is not the one of the run ({told}); make the "
                "machines alike, or say --precision and --device",
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "encoder": None}
