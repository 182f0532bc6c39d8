"""The registry of tile encoders: a name gives the card and the function that loads the encoder.

Importing this loads neither torch nor timm, so command lines can list encoders at once.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from importlib.resources import files
from typing import TypeVar

import yaml

from survfuse._errors import ConfigError
from survfuse._registry import Registry, resolve
from survfuse.readers.slide_features import normalise_encoder
from survfuse.slides.encoders.encoder import LEAST_PX, EncoderCard, TileEncoder

__all__ = [
    "ENCODERS",
    "EncoderCard",
    "TileEncoder",
    "find_card",
    "register_encoder",
    "to_markdown",
]

Build = TypeVar("Build", bound=Callable[..., TileEncoder])

ENCODERS: Registry[TileEncoder] = Registry("tile encoder", group="survfuse.encoders")
"""Names of all encoders; other packages add theirs (docs/extending.md)."""
_CARDS: dict[str, EncoderCard] = {}


def register_encoder(card: EncoderCard) -> Callable[[Build], Build]:
    """Decorate the class or function that builds the encoder of a card.

    It is called without arguments where the card needs no weights, else with the keyword
    arguments of :func:`survfuse.slides.encoders.load_encoder`.

    Parameters
    ----------
    card : EncoderCard
        Its name is in small letters, with underscores.
    """
    if card.name != normalise_encoder(card.name):
        raise ValueError(
            f"encoder {card.name!r} must be called {normalise_encoder(card.name)!r}",
        )
    register = ENCODERS.register(
        card.name,
        summary=card.summary,
        source=card.source,
    )

    def add(build: Build) -> Build:
        register(build)
        _CARDS[card.name] = card
        return build

    return add


def find_card(name: str) -> EncoderCard:
    """Look an encoder up; hyphens and underscores, capitals and small letters are one.

    Raises
    ------
    ConfigError
        When there is no such encoder; names those there are.

    Examples
    --------
    >>> find_card("UNI2-h").dim
    1536
    """
    wanted = normalise_encoder(name)
    if wanted in ENCODERS:
        return _CARDS[wanted]
    near = get_close_matches(wanted, ENCODERS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"unknown encoder {name!r}; known: {', '.join(ENCODERS)}{hint}")


def to_markdown() -> str:
    """Render all cards as the tables of the documentation page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("survfuse.slides", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("encoders.md.j2")
    return template.render(cards=_CARDS.values(), least_px=LEAST_PX)


def _register_own() -> None:
    text = (files(__package__) / "encoder_cards.yaml").read_text(encoding="utf-8")
    for fields in yaml.safe_load(text):
        card = EncoderCard(**fields)

        def build(
            card: EncoderCard = card,
            **settings: object,
        ) -> TileEncoder:
            name = "load_network" if card.needs_weights else "load_stain_texture"
            load = resolve(f"survfuse.slides.encoders.loading:{name}")
            encoder: TileEncoder = load(card, **settings)
            return encoder

        register_encoder(card)(build)


_register_own()
