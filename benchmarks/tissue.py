"""Tissue on painted overviews whose truth is known: our finder against lazyslide's (docs/decisions/0008).

    OMP_NUM_THREADS=1 python benchmarks/tissue.py [--markdown]

Prints intersection over union with the planted tissue for our default, for ``--tissue lazyslide`` (its
threshold on saturation within our guards) and for ``lazyslide.pp.find_tissues`` as it comes; then how many of
60 chips each finds, and the seconds for 2000 × 2000 px.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from slides import glass
from survfuse.slides.lazyslide import stained_by_lazyslide
from survfuse.slides.overviews import Overview
from survfuse.slides.tissue import find_tissue

AS_IT_COMES = {
    "to_hsv": False,
    "filter_artifacts": True,
    "threshold": 7,
    "min_tissue_area": 1e-3,
    "min_hole_area": 1e-5,
}


def finders(painted: glass.Painted) -> dict[str, np.ndarray]:
    view = Overview(painted.image, painted.scale, painted.mpp)
    return {
        "ours": find_tissue(view, 0.5).mask,
        "lazyslide in our guards": find_tissue(view, 0.5, method="lazyslide").mask,
        "lazyslide as it comes": stained_by_lazyslide(
            painted.image,
            painted.mpp,
            **AS_IT_COMES,
        ),
    }


def chips_found(mask: np.ndarray, truth: np.ndarray) -> str:
    count, labels = cv2.connectedComponents(truth.astype(np.uint8))
    found = (
        np.bincount(labels[mask], minlength=count)[1:]
        > np.bincount(labels.ravel())[1:] / 2
    )
    return f"{found.sum()} of {count - 1}"


def row(cells: list[str], markdown: bool) -> str:
    if markdown:
        return "| " + " | ".join(cells) + " |"
    return f"{cells[0]:<22}" + "".join(f"{cell:>26}" for cell in cells[1:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--markdown", action="store_true")
    markdown = parser.parse_args().markdown
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    painted = {name: scene() for name, scene in glass.SCENES.items()}
    names = list(finders(painted["he"]))
    print(row(["intersection / union", *names], markdown))
    if markdown:
        print("|---|" + "---|" * len(names))
    for name, scene in painted.items():
        found = finders(scene)
        label = scene.name if name in ("he", "full") else f"{scene.name} ({name})"
        print(
            row(
                [
                    label,
                    *(
                        f"{glass.overlap(mask, scene.tissue):.3f}"
                        for mask in found.values()
                    ),
                ],
                markdown,
            ),
        )
        if name.startswith("chips"):
            counts = (chips_found(mask, scene.tissue) for mask in found.values())
            print(row(["  chips found", *counts], markdown))
    large = glass.chips((2000, 2000))
    view = Overview(large.image, large.scale, large.mpp)
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        find_tissue(view, 0.5)
        spent.append(time.perf_counter() - start)
    print(f"\n2000 × 2000 px: {min(spent):.3f} s (best of 5)")


if __name__ == "__main__":
    main()
