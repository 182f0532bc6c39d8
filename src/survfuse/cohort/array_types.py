"""Types of arrays, and of what a transform saves."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Arrays = dict[str, AnyArray]
State = tuple[dict[str, Any], Arrays]
"""JSON and named arrays."""
