"""From a name to an encoder that is ready: the one door, for training and for prediction."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from survfuse._errors import ConfigError
from survfuse.slides.encoders.card import find_card
from survfuse.slides.encoders.encoder import EncoderCard, TileEncoder

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def load_encoder(
    name: str,
    weights: Path | None = None,
    *,
    sha256: str | None = None,
    random_weights: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    batch: int = 64,
) -> TileEncoder:
    """Load an encoder. Nothing is ever fetched.

    Parameters
    ----------
    name : str
        Of a card; see :func:`find_card`.
    weights : Path, optional
        A safetensors file, a torch checkpoint, or the folder that holds one.
    sha256 : str, optional
        What the file's checksum must be; verified before it is read.
    random_weights : int, optional
        A seed: weights are drawn instead of read. To try a pipeline, not to learn
        anything; the name becomes ``<name>_random`` so that nobody mistakes the bags.
    device : str
        ``auto`` takes a GPU where there is one; else as torch names devices.
    precision : {"auto", "fp32", "bf16", "fp16"}
        ``auto``: the card's on a GPU, fp32 elsewhere.
    batch : int
        Tiles computed together, at least 1.

    Raises
    ------
    ConfigError
        When the name is unknown, or these settings do not go together.
    InputError
        When the file cannot be read safely or does not fit the encoder.
    MissingExtraError
        When timm (or cv2, for stain_texture) is not installed.
    """
    card = find_card(name)
    _check_settings(precision, batch)
    if not card.needs_weights:
        return _measured(card, weights, sha256, random_weights)
    _check_weights(card, weights, sha256, random_weights)
    return _network(card, weights, sha256, random_weights, device, precision, batch)


def _check_settings(precision: str, batch: int) -> None:
    if precision not in PRECISIONS:
        raise ConfigError(
            f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}",
        )
    if batch < 1:
        raise ConfigError(f"batch must be at least 1 tile, got {batch}")


def _measured(
    card: EncoderCard,
    weights: Path | None,
    sha256: str | None,
    random_weights: int | None,
) -> TileEncoder:
    from survfuse.slides.encoders.stain_texture import StainTextureEncoder

    if weights is not None or sha256 is not None or random_weights is not None:
        raise ConfigError(
            f"encoder {card.name!r} has no weights; leave weights, sha256 and random_weights out",
        )
    return StainTextureEncoder()


def _check_weights(
    card: EncoderCard,
    weights: Path | None,
    sha256: str | None,
    random_weights: int | None,
) -> None:
    if weights is not None and random_weights is not None:
        raise ConfigError(
            f"encoder {card.name!r}: give weights or random_weights, not both",
        )
    if sha256 is not None and weights is None:
        raise ConfigError(
            f"encoder {card.name!r}: sha256 is the checksum of a file of weights; name it too",
        )
    if weights is None and random_weights is None:
        asked = "ask for access and download" if card.gated else "download"
        raise ConfigError(
            f"encoder {card.name!r} needs its weights: {asked} {card.file} from {card.weights} "
            f"(licence: {card.licence}), then point --weights at the file. To try the pipeline without them, "
            "use --encoder stain_texture, or --random-weights 0",
        )


def _network(
    card: EncoderCard,
    weights: Path | None,
    sha256: str | None,
    random_weights: int | None,
    device: str,
    precision: Precision,
    batch: int,
) -> TileEncoder:
    from survfuse.slides.encoders._timm import import_timm

    import_timm()  # before anything that takes seconds
    from survfuse.slides.encoders.encoder_networks import randomise
    from survfuse.slides.encoders.timm_encoder import TimmEncoder
    from survfuse.slides.encoders.weight_files import fill, read_weights

    where = _device(device)
    origin: dict[str, object]
    if weights is None:
        seed = random_weights or 0
        network, called = randomise(card, seed), f"{card.name}_random"
        # A seed means other weights under another version: here, and only here, versions matter.
        origin = {
            "random_weights": seed,
            "torch": version("torch"),
            "timm": version("timm"),
        }
    else:
        read = read_weights(Path(weights), sha256)
        network, called = fill(card, read), card.name
        origin = {"weights_sha256": read.sha256}
    return TimmEncoder(
        card,
        network,
        origin=origin,
        name=called,
        device=where,
        precision=_precision(card, precision, where),
        batch=batch,
    )


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(
            f"unknown device {name!r}; use auto, cpu, cuda or cuda:1",
        ) from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device {name!r} was asked for, but torch sees no GPU here; use auto or cpu",
        )
    return device


def _precision(card: EncoderCard, asked: Precision, device: torch.device) -> str:
    if asked != "auto":
        return asked
    return card.precision if device.type == "cuda" else "fp32"
