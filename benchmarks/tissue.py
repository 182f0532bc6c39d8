"""Tissue on painted overviews whose truth is known (docs/decisions/0009).

    OMP_NUM_THREADS=1 python benchmarks/tissue.py [--markdown]

Prints intersection over union with the planted tissue; then how many of 60 chips are found, and the
seconds for 2000 × 2000 px.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from slides import glass
from survfuse.slides.overviews import Overview
from survfuse.slides.tissue import find_tissue


def found(painted: glass.Painted) -> np.ndarray:
    view = Overview(painted.image, painted.scale, painted.mpp)
    return find_tissue(view, 0.5).mask


def chips_found(mask: np.ndarray, truth: np.ndarray) -> str:
    count, labels = cv2.connectedComponents(truth.astype(np.uint8))
    covered = np.bincount(labels[mask], minlength=count)[1:]
    whole = np.bincount(labels.ravel())[1:]
    return f"{(covered > whole / 2).sum()} of {count - 1}"


def row(label: str, value: str, markdown: bool) -> str:
    return f"| {label} | {value} |" if markdown else f"{label:<30}{value:>20}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--markdown", action="store_true")
    markdown = parser.parse_args().markdown
    print(row("scene", "intersection / union", markdown))
    if markdown:
        print("|---|---|")
    for name, paint in glass.SCENES.items():
        scene = paint()
        mask = found(scene)
        label = scene.name if name in ("he", "full") else f"{scene.name} ({name})"
        print(row(label, f"{glass.overlap(mask, scene.tissue):.3f}", markdown))
        if name.startswith("chips"):
            print(row("  chips found", chips_found(mask, scene.tissue), markdown))
    large = glass.chips((2000, 2000))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        found(large)
        seconds.append(time.perf_counter() - start)
    print(f"\n2000 × 2000 px: {min(seconds):.3f} s (best of 5)")


if __name__ == "__main__":
    main()
