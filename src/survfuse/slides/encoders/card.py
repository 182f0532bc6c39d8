"""A name resolves to a card: what an encoder is, what it needs, what it gives.

Importing this loads neither torch nor timm, so command lines can list encoders at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from survfuse._errors import ConfigError
from survfuse.readers.slide_features import normalise_encoder
from survfuse.slides.encoders.encoder import LEAST_PX, EncoderCard, TileEncoder
from survfuse.slides.encoders.encoder_cards import PUBLISHED
from survfuse.slides.encoders.stain_names import STAIN_TEXTURE

__all__ = ["ENCODERS", "EncoderCard", "TileEncoder", "find_card", "to_markdown"]

ENCODERS: Mapping[str, EncoderCard] = MappingProxyType(
    {card.name: card for card in (STAIN_TEXTURE, *PUBLISHED)},
)


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
        return ENCODERS[wanted]
    near = get_close_matches(wanted, ENCODERS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"unknown encoder {name!r}; known: {', '.join(ENCODERS)}{hint}")


def to_markdown() -> str:
    """Render all cards as the tables of the documentation page."""
    return "\n".join([_table(), "", *(_notes(card) for card in ENCODERS.values())])


def _table() -> str:
    rows = [
        "| encoder | features | tile | µm/px (basis) | pooling | licence | access | GPU precision |",
        "|---|---:|---:|---|---|---|---|---|",
    ]
    for card in ENCODERS.values():
        rows.append(
            f"| `{card.name}` | {card.dim} | {card.px} px | {card.mpp} ({card.basis}) | {card.pooling} "
            f"| {card.licence} | {_access(card)} | {card.precision if card.needs_weights else '–'} |",
        )
    return "\n".join(rows)


def _access(card: EncoderCard) -> str:
    if not card.needs_weights:
        return "nothing to download"
    return "on request" if card.gated else "open"


def _notes(card: EncoderCard) -> str:
    lines = [f"- **`{card.name}`**: {card.summary}. {card.source}."]
    if card.needs_weights:
        lines.append(
            f"  Weights: `{card.file}` from <{card.weights}>; timm `{card.arch}`.",
        )
        lines.append(f"  Normalised by mean {card.mean}, sd {card.std}.")
    if card.px_step is not None:
        others = "any" if card.px_step == 1 else f"multiples of {card.px_step} px"
        lines.append(f"  Other tile sides: {others} from {LEAST_PX} px.")
    lines += [f"  Not verified: {told}." for told in card.unverified]
    return "\n".join(lines)
