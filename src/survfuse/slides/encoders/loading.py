"""From a name to an encoder that is ready, for training and for prediction."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from survfuse._errors import ConfigError, MissingExtraError
from survfuse.slides.encoders.card import ENCODERS, find_card
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
    if precision not in PRECISIONS:
        raise ConfigError(
            f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}",
        )
    if batch < 1:
        raise ConfigError(f"batch must be at least 1 tile, got {batch}")
    _check_weights(card, weights, sha256, random_weights)
    if not card.needs_weights:
        return ENCODERS.build(card.name)
    return ENCODERS.build(
        card.name,
        weights=weights,
        sha256=sha256,
        random_weights=random_weights,
        device=device,
        precision=precision,
        batch=batch,
    )


def _check_weights(
    card: EncoderCard,
    weights: Path | None,
    sha256: str | None,
    random_weights: int | None,
) -> None:
    which = f"encoder {card.name!r}"
    if not card.needs_weights:
        if weights is None and sha256 is None and random_weights is None:
            return
        raise ConfigError(
            f"{which} has no weights; leave weights, sha256 and random_weights out",
        )
    if weights is not None and random_weights is not None:
        raise ConfigError(f"{which}: give weights or random_weights, not both")
    if sha256 is not None and weights is None:
        raise ConfigError(
            f"{which}: sha256 is the checksum of a file of weights; name it too",
        )
    if weights is None and random_weights is None:
        get = "ask for access and download" if card.gated else "download"
        raise ConfigError(
            f"{which} needs its weights: {get} {card.file} from {card.weights} "
            f"(licence: {card.licence}), then point --weights at the file. To try the pipeline "
            "without them, use --encoder stain_texture, or --random-weights 0",
        )


def load_stain_texture(card: EncoderCard) -> TileEncoder:
    """Return the encoder of the card `stain_texture`."""
    try:
        from survfuse.slides.encoders.stain_texture import StainTextureEncoder
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is needed for encoder {card.name}: pip install 'survfuse[slides]'",
        ) from error
    return StainTextureEncoder()


def load_network(
    card: EncoderCard,
    *,
    weights: Path | None,
    sha256: str | None,
    random_weights: int | None,
    device: str,
    precision: Precision,
    batch: int,
) -> TileEncoder:
    """Return the timm network of a card; parameters as of :func:`load_encoder`."""
    from survfuse.slides.encoders._timm import import_timm

    import_timm()  # before anything that takes seconds
    from survfuse.slides.encoders.encoder_networks import randomise
    from survfuse.slides.encoders.timm_encoder import TimmEncoder
    from survfuse.slides.encoders.weight_files import fill, read_weights

    place = _device(device)
    if precision == "auto":
        precision = card.precision if place.type == "cuda" else "fp32"
    origin: dict[str, object]
    if weights is None:
        seed = random_weights or 0
        network, name = randomise(card, seed), f"{card.name}_random"
        # another version draws other weights from a seed: here, and only here, versions matter
        origin = {
            "random_weights": seed,
            "torch": version("torch"),
            "timm": version("timm"),
        }
    else:
        read = read_weights(Path(weights), sha256)
        network, name = fill(card, read), card.name
        origin = {"weights_sha256": read.sha256}
    return TimmEncoder(
        card,
        network,
        origin=origin,
        name=name,
        device=place,
        precision=precision,
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
