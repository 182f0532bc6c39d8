"""How far it is from ``cross_validate`` to the work: frames and files on the way.

    python tools/distance.py

Runs a tiny cross-validation of `concat` and of the default with a profiler, and prints for each target
the shortest and the longest stack of the package's own frames at the moments the target is called, and how
many functions of how many files the whole run executed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import survfuse as sf
from survfuse.datasets import simulate
from survfuse.survival.concordance import ComparablePairs
from survfuse.survival.cox import ridge_cox_cv
from survfuse.training.loop import train

PACKAGE = str(Path(sf.__file__).parent)
TARGETS: dict[str, Callable[..., Any]] = {
    "a training epoch": train,
    "a ridge fit": ridge_cox_cv,
    "a concordance": ComparablePairs.concordance,
}


class Profile:
    """Codes of the package that ran, and the stacks above each target."""

    def __init__(self) -> None:
        self.names = {function.__code__: name for name, function in TARGETS.items()}
        self.codes: set[CodeType] = set()
        self.stacks: dict[str, set[tuple[CodeType, ...]]] = {
            name: set() for name in TARGETS
        }

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Record one call."""
        if event != "call" or not frame.f_code.co_filename.startswith(PACKAGE):
            return
        self.codes.add(frame.f_code)
        name = self.names.get(frame.f_code)
        if name is not None:
            self.stacks[name].add(stack_of(frame))


def stack_of(frame: FrameType | None) -> tuple[CodeType, ...]:
    """Codes of the package's own frames from `cross_validate` down to `frame`."""
    stack: list[CodeType] = []
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            stack.append(frame.f_code)
        frame = frame.f_back
    return tuple(stack[::-1])


def main() -> None:
    """Print the distances of two models."""
    with tempfile.TemporaryDirectory() as folder:
        simulate(
            Path(folder), patients=40, tiles=8, tile_dim=8, genes=20, event_rate=0.5
        )
        cohort = sf.load_cohort(Path(folder) / "cohort.yaml")
        short = {"epochs": 2, "min_epochs": 1, "patience": 2, "selection_folds": 2}
        for fusion in ("concat", "anchored"):
            profile = Profile()
            sys.setprofile(profile)
            try:
                model = sf.SurvivalFusion(fusion=fusion, **short)
                sf.cross_validate(
                    model, cohort, folds=2, networks=False, controls=False, bootstrap=0
                )
            finally:
                sys.setprofile(None)
            report(fusion, profile)


def report(fusion: str, profile: Profile) -> None:
    """Print one model's distances."""
    files = {code.co_filename for code in profile.codes}
    print(f"{fusion}: {len(profile.codes)} functions of {len(files)} files ran")
    for name in TARGETS:
        stacks = sorted(profile.stacks[name], key=len)
        if not stacks:
            print(f"  to {name}: never called")
            continue
        show(f"to {name}, shortest", stacks[0])
        show(f"to {name}, longest", stacks[-1])


def show(title: str, stack: tuple[CodeType, ...]) -> None:
    """Print one stack."""
    places = [code.co_filename.removeprefix(PACKAGE + "/") for code in stack]
    print(f"  {title}: {len(stack)} frames in {len(set(places))} files")
    for code, place in zip(stack, places, strict=True):
        print(f"      {place}:{code.co_firstlineno} {code.co_qualname}")


if __name__ == "__main__":
    main()
