"""Versions of what the numbers depend on."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

from survfuse._version import __version__


def versions() -> dict[str, str]:
    """Versions of survfuse, Python and the libraries that compute."""
    return {
        "survfuse": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "scipy", "pandas")},
        "platform": f"{sys.platform} {platform.machine()}",
    }
