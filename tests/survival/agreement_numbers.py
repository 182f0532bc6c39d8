"""R's numbers on the patients of `reference/agreement.csv` (the script beside it made them)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent / "reference"
DATA = pd.read_csv(FOLDER / "agreement.csv")
LINES = (FOLDER / "agreement_R.txt").read_text().splitlines()


def numbers(label: str) -> list[float]:
    """All numbers that R printed after `label`."""
    lines = [line for line in LINES if line.startswith(f"{label} ")]
    (rest,) = [
        rest
        for line in lines
        if not (rest := line[len(label) :].split())[0][0].isalpha()
    ]
    return [float(x) for x in rest]
