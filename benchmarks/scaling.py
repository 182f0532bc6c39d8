"""What training costs as cohorts and bags grow: seconds and memory of an epoch, features on disk.

    python benchmarks/scaling.py cohorts [--sizes 100 1000 10000]
    python benchmarks/scaling.py bags [--sizes 1000 10000 100000 1000000]
    python benchmarks/scaling.py gpu

`cohorts`: simulated cohorts, 100 tiles of 512 features a patient, packed on disk; gated attention of
width 256, every tile of every patient, `batch: auto`, `memory_mb: 256`. `bags`: 8 patients with ever
larger bags of 128 features, one whole-cohort step an epoch. `gpu`: tiles a second of the paper's
attention on a GPU, in float32 and bfloat16, and the share of its memory bandwidth that reading every
tile twice takes; says so where there is no GPU.

Printed for each size: seconds of the second of two epochs, microseconds a tile, how many times those
of the next smaller size, and the most memory that the process held for itself in both, beyond what it
held before (own), and the same with mapped pages of the feature file (all).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from measuring import OwnPeak, Peak
from preparing import prepared

from survfuse.config import FitConfig
from survfuse.datasets.simulate import simulate
from survfuse.models.branches import BagBranch
from survfuse.training import Hook, Run, train

WIDE = {
    "bag_width": 256,
    "attention_width": 128,
    "bag_components": None,
    "bag_scaling": "none",
}
MEMORY_MB = 256


class Watch(Hook):
    """Watches memory while epochs are trained."""

    def __init__(self) -> None:
        self.own, self.all = OwnPeak(), Peak()

    def on_start(self, run: Run) -> None:
        """Begin to watch."""
        self.all = Peak()
        self.own = OwnPeak()
        self.own.__enter__()

    def on_end(self, run: Run) -> None:
        """Stop watching."""
        self.own.__exit__()


def measured(folder: Path, config: FitConfig) -> tuple[int, float, float, float]:
    """Tiles, seconds of the second epoch, and memory of both (own, all) in MB."""
    network, task = prepared(folder, config, epochs=2)
    watcher = Watch()
    history = train(network, task, config, hooks=[watcher]).history
    tiles = int(task.source.tile_counts(task.train)["slides"].sum())
    return tiles, history[1].seconds, watcher.own.megabytes, watcher.all.so_far()


def grow(sizes: Sequence[int], *, bags: bool) -> None:
    config = FitConfig.of(
        fusion="concat",
        max_tiles=None,
        memory_mb=MEMORY_MB,
        device="cpu",
        **WIDE,
    )
    print(
        f"{'tiles each' if bags else 'patients':>10s}{'tiles':>11s}{'s per epoch':>13s}{'us a tile':>11s}"
        f"{'times before':>14s}{'own MB':>8s}{'all MB':>8s}",
    )
    before = None
    for size in sizes:
        with tempfile.TemporaryDirectory() as place:
            shape = (
                {"patients": 8, "tiles": size, "tile_dim": 128}
                if bags
                else {"patients": size, "tiles": 100, "tile_dim": 512}
            )
            simulate(
                Path(place) / "c",
                genes=50,
                signal="additive",
                event_rate=0.5,
                seed=0,
                **shape,
            )
            tiles, seconds, own, whole = measured(Path(place) / "c", config)
        ratio = (
            ""
            if before is None
            else f"{seconds / before[1]:.1f} ({tiles / before[0]:.1f})"
        )
        print(
            f"{size:10,d}{tiles:11,d}{seconds:13.2f}{1e6 * seconds / tiles:11.1f}{ratio:>14s}"
            f"{own:8.0f}{whole:8.0f}",
            flush=True,
        )
        before = (tiles, seconds)
    print("in brackets: how many times as many tiles")


def gpu() -> None:
    if not torch.cuda.is_available():
        print("torch sees no GPU: nothing measured")
        return
    device = torch.device("cuda")
    tiles, features, width, attention = 400_000, 1024, 512, 256
    offsets = torch.arange(0, tiles + 1, 2_000, device=device)
    rows = torch.randn(tiles, features, device=device, dtype=torch.float16)
    copy = torch.empty_like(rows)
    bandwidth = 2 * rows.numel() * rows.itemsize / _seconds(lambda: copy.copy_(rows))
    print(f"{torch.cuda.get_device_name()}: copies {bandwidth / 1e9:.0f} GB/s")
    for dtype in (torch.float32, torch.bfloat16):
        branch = (
            BagBranch(features, width, attention, "attention", 0.25).to(device).train()
        )
        branch.compute_dtype = dtype
        upstream = torch.randn(len(offsets) - 1, width, device=device)

        def step(branch: BagBranch = branch, upstream: torch.Tensor = upstream) -> None:
            branch.zero_grad()
            made = branch.train_step(rows, offsets)
            assert made is not None
            made[0].backward(upstream)

        seconds = _seconds(step)
        share = 2 * rows.numel() * rows.itemsize / seconds / bandwidth
        print(
            f"{dtype}: {tiles / seconds / 1e6:.2f} million tiles/s, {share:.1%} of the bandwidth limit",
        )


def _seconds(work: Callable[[], object]) -> float:
    work()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(5):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["cohorts", "bags", "gpu"])
    parser.add_argument("--sizes", type=int, nargs="+")
    given = parser.parse_args()
    if given.what == "gpu":
        gpu()
    else:
        usual = (
            [1_000, 10_000, 100_000, 1_000_000]
            if given.what == "bags"
            else [100, 1_000, 10_000]
        )
        grow(given.sizes or usual, bags=given.what == "bags")


if __name__ == "__main__":
    if "OMP_WAIT_POLICY" not in os.environ:  # read once, when torch is loaded
        os.execve(
            sys.executable,
            [sys.executable, *sys.argv],
            {**os.environ, "OMP_WAIT_POLICY": "passive"},
        )
    main()
