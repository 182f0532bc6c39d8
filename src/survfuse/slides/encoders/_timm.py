"""The one place that imports timm and torchvision.

timm needs torchvision, whose wheel on the registry is built for CUDA. Beside a CPU build
of torch its import fails with "operator torchvision::nms does not exist", because the
compiled half of torchvision cannot be loaded. Nothing here uses that half: telling torch
the signatures of the two operators named at import time is enough.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from survfuse._errors import MissingExtraError

_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[
    object
] = []  # a torch Library takes its schemas with it when it is collected


def import_timm() -> ModuleType:
    """Import timm, also beside a torch and a torchvision built for different machines.

    Raises
    ------
    MissingExtraError
        When timm or torchvision is not installed.
    """
    import_torchvision()
    try:
        return import_module("timm")
    except ImportError as error:
        raise _missing(error) from error


def import_torchvision() -> ModuleType:
    """Import torchvision; see this module's description.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    """
    try:
        return import_module("torchvision")
    except ImportError as error:
        raise _missing(error) from error
    except RuntimeError as error:
        if not _is_the_trap(error):
            raise
    _forget_half_imported()
    _define_operators()
    return import_module("torchvision")


def _is_the_trap(error: RuntimeError) -> bool:
    import torch

    return torch.version.cuda is None and "torchvision::nms does not exist" in str(
        error,
    )


def _define_operators() -> None:
    import torch

    if _libraries:
        return
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in _OPERATORS:
        library.define(name + _SIGNATURE)  # type: ignore[no-untyped-call]
    _libraries.append(library)


def _forget_half_imported() -> None:
    for name in [
        name for name in sys.modules if name.partition(".")[0] == "torchvision"
    ]:
        del sys.modules[name]


def _missing(error: ImportError) -> MissingExtraError:
    name = error.name or "timm"
    return MissingExtraError(
        f"{name} is needed for this encoder: pip install 'survfuse[encoders]' "
        "(or choose encoder stain_texture, which needs no network)",
    )
