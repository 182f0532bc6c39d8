"""A format of feature files: numbers as text, a line for each tile."""

from pathlib import Path

import numpy as np

from survfuse._errors import FeatureFileError
from survfuse.readers.formats import feature_format
from survfuse.readers.slide_features import Draft, ReadOptions


@feature_format("numbers", ".numbers", summary="a line of numbers for each tile")
def read_numbers(path: Path, encoder: str | None, options: ReadOptions) -> Draft:
    """Read (tiles, dim) features; what all formats share is checked afterwards."""
    try:
        values = np.loadtxt(path, np.float32, ndmin=2)
    except ValueError as error:
        raise FeatureFileError(f"{path}: expected lines of numbers ({error})") from None
    return Draft(values, tool="numbers", encoder=encoder)
