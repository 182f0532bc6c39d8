"""Ragged weighted sums, forward and backward: how fast is each form against the baseline.

The baseline is the obvious form without a Python loop, `index_add` of the weighted
tiles, timed in the same process. Prints one line per form: median time, how many
times as fast as the baseline, and whether repeated runs give the same bits.

    OMP_NUM_THREADS=2 python benchmarks/pooling.py [--patients 176] [--tiles 1500] [--width 512]

A last block runs a slide branch on one large bag without gradients, whole and in
chunks: time and the most memory beyond the bag itself.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from survfuse.models.branches import BagBranch
from survfuse.models.pooling import segment_sum, segments

Form = Callable[[Tensor, Tensor, Tensor], Tensor]


def index_add(tiles: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    out = tiles.new_zeros(len(offsets) - 1, tiles.shape[1])
    return out.index_add(0, segments(offsets, len(tiles)), tiles * weights[:, None])


def segment_reduce(tiles: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    return torch.segment_reduce(
        tiles * weights[:, None],
        "sum",
        offsets=offsets,
        axis=0,
        initial=0,
    )


def sparse_csr(tiles: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    columns = torch.arange(len(tiles))
    size = (len(offsets) - 1, len(tiles))
    return (
        torch.sparse_csr_tensor(
            offsets,
            columns,
            weights,
            size=size,
            check_invariants=False,
        )
        @ tiles
    )


FORMS: dict[str, Form] = {
    "index_add (baseline)": index_add,
    "segment_reduce": segment_reduce,
    "sparse csr matmul": sparse_csr,
    "embedding_bag (ours)": segment_sum,
}


def measure(
    form: Form,
    tiles: Tensor,
    weights: Tensor,
    offsets: Tensor,
    repeats: int,
) -> tuple[float, bool]:
    """Median seconds of forward and backward, and whether all runs agree bit by bit."""
    seconds, first, same = [], None, True
    upstream = torch.randn(
        len(offsets) - 1,
        tiles.shape[1],
        generator=torch.Generator().manual_seed(1),
    )
    for _ in range(repeats + 1):
        leaves = tiles.clone().requires_grad_(), weights.clone().requires_grad_()
        start = time.perf_counter()
        out = form(*leaves, offsets)
        out.backward(upstream)
        seconds.append(time.perf_counter() - start)
        result = (out.detach(), leaves[0].grad, leaves[1].grad)
        first = first or result
        same = same and all(
            torch.equal(a, b) for a, b in zip(result, first, strict=True)
        )
    return statistics.median(seconds[1:]), same


def ragged(patients: int, tiles: int, width: int, repeats: int) -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(tiles // 2, 3 * tiles // 2, (patients,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    values = torch.randn(int(offsets[-1]), width, generator=generator)
    weights = torch.rand(len(values), generator=generator)
    print(
        f"{patients} patients, {len(values)} tiles x {width}, {torch.get_num_threads()} threads",
    )
    baseline = None
    for name, form in FORMS.items():
        seconds, same = measure(form, values, weights, offsets, repeats)
        baseline = baseline or seconds
        print(
            f"  {name:22s} {seconds * 1e3:7.0f} ms  {baseline / seconds:5.2f}x  same bits: {same}",
        )


def resident() -> float:
    """Resident memory of this process, MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def large_bag(tiles: int, chunk: int) -> None:
    """Run one bag (tiles, 1024) of half precision; print time and peak memory beyond the bag."""
    branch = BagBranch(1024, 512, 256, "attention", 0.25).eval()
    branch.chunk_tiles = chunk
    bag, offsets = (
        torch.full((tiles, 1024), 0.5, dtype=torch.float16),
        torch.tensor([0, tiles]),
    )
    with torch.no_grad():
        branch(bag[:64], torch.tensor([0, 64]))
    before, samples, done = resident(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            samples.append(resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    with torch.no_grad():
        branch(bag, offsets)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    extra = max(samples) - before
    print(
        f"  {tiles} tiles x 1024 in chunks of {chunk:7d}: {seconds:6.2f} s, {extra:6.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=176)
    parser.add_argument("--tiles", type=int, default=1500)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--bag", type=int, default=200_000)
    parser.add_argument(
        "--chunk",
        type=int,
        default=None,
        help="only the large bag, in chunks of this size",
    )
    given = parser.parse_args()
    if given.chunk:
        large_bag(given.bag, given.chunk)
        return
    ragged(given.patients, given.tiles, given.width, given.repeats)
    for chunk in (
        given.bag,
        65536,
        16384,
        4096,
    ):  # own processes: peak memory never falls again
        command = [
            sys.executable,
            __file__,
            "--bag",
            str(given.bag),
            "--chunk",
            str(chunk),
        ]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    warnings.filterwarnings(
        "ignore",
        message="Sparse CSR tensor support is in beta state",
    )
    main()
