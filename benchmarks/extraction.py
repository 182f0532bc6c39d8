"""Slides to features: tiles per second end to end, against the obvious loop.

All run on the same slides in one go, with an encoder that does nothing, so that reading is what is
measured. The baseline is plain sequential OpenSlide: one `read_region` a tile. Slides are pyramids of JPEG
tiles, full of tissue, written by this script.

    OMP_NUM_THREADS=1 python benchmarks/extraction.py [--slides 2] [--px 16384] [--rounds 2] [--skip-memory]

Prints tiles per second and the ratio to the baseline, the share of our time that is neither reading and
decoding nor the encoder, peak memory for 500 and 20,000 tiles, and a bag of 200,000 tiles written, read and
packed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TILE, MPP, DIM = 224, 0.5, 1024
NATIVE = 256


def tissue(size: int = 1024) -> np.ndarray:
    """Eosin-pink tissue with dark nuclei, (size, size, 3); seamless enough when repeated."""
    import cv2

    rng = np.random.default_rng(0)
    pixels = np.full((size, size, 3), (212.0, 150.0, 192.0)) + rng.normal(
        0,
        10,
        (size, size, 1),
    )
    for x, y in rng.integers(0, size, (size * size // 500, 2)):
        cv2.circle(pixels, (int(x), int(y)), int(rng.integers(4, 9)), (92, 62, 140), -1)
    return np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


def write_slide(path: Path, px: int) -> Path:
    """Write a pyramid of `px` x `px` level-0 pixels at 0.5 µm/px whose every tile is tissue."""
    import cv2
    import tifffile

    base = tissue()
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        level, side = 0, px
        while side >= 512:
            small = cv2.resize(
                base,
                (1024 >> min(level, 2),) * 2,
                interpolation=cv2.INTER_AREA,
            )
            small = np.tile(small, (1 << min(level, 2), 1 << min(level, 2), 1))
            coded = []
            for shift in range(0, 768, 37):
                cut = np.ascontiguousarray(
                    small[shift : shift + NATIVE, (shift * 7) % 768 :][
                        :, :NATIVE, ::-1
                    ],
                )
                coded.append(
                    cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, 80])[
                        1
                    ].tobytes(),
                )
            many = (-(-side // NATIVE)) ** 2
            scale = 1e4 / (MPP * 2**level)
            file.write(
                (coded[(at * 7919) % len(coded)] for at in range(many)),
                shape=(side, side, 3),
                dtype=np.uint8,
                tile=(NATIVE, NATIVE),
                compression="jpeg",
                photometric="ycbcr",
                subsampling=(2, 2),
                subfiletype=1 if level else 0,
                resolution=(scale, scale),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
            level, side = level + 1, side // 2
    return path


def plain(paths: list[Path]) -> int:
    """The obvious loop: open, one region a tile, drop the alpha channel."""
    import openslide

    count = 0
    for path in paths:
        with openslide.OpenSlide(str(path)) as slide:
            width, height = slide.dimensions
            for y in range(0, height - TILE + 1, TILE):
                for x in range(0, width - TILE + 1, TILE):
                    np.asarray(
                        slide.read_region((x, y), 0, (TILE, TILE)).convert("RGB"),
                    )
                    count += 1
    return count


@dataclass(frozen=True)
class Idle:
    """An encoder that does nothing, so that all the rest is measured."""

    dim: int = DIM
    px: int = TILE
    name: str = "idle"

    @property
    def card(self) -> Any:
        """Any card that takes these tiles."""
        from survfuse.slides.encoders import find_card

        return find_card("stain_texture")

    def identity(self) -> dict[str, Any]:
        """Its name."""
        return {"name": self.name}

    def encode(self, tiles: np.ndarray) -> np.ndarray:
        """Zeros, (tiles, dim)."""
        return np.zeros((len(tiles), self.dim), np.float16)


def idle(config: Any) -> Any:
    return Idle()


def ours(paths: list[Path], workers: int, out: Path) -> tuple[int, dict[str, float]]:
    """`survfuse extract`, whole: tissue, tiles, quality, bags, thumbnails, records."""
    from survfuse.executors import make_executor
    from survfuse.slides import ExtractConfig, SlideItem
    from survfuse.slides.supervisor import extract

    items = [SlideItem(path.stem, path.stem, path) for path in paths]
    executor = make_executor(
        "inline" if workers == 1 else "process",
        workers=workers,
        threads=1,
    )
    summary = extract(items, ExtractConfig(), out, executor=executor, load=idle)
    summary.raise_failed()
    return summary.tiles, summary.seconds


def speed(slides: int, px: int, rounds: int, folder: Path) -> None:
    """Print tiles per second of every way, interleaved over `rounds`."""
    paths = [write_slide(folder / f"s{number}.tif", px) for number in range(slides)]
    size = sum(path.stat().st_size for path in paths) / 2**20
    print(
        f"{slides} slides of {px} x {px} px, {size:.0f} MiB, tiles of {TILE} px at {MPP} µm/px",
    )
    shares: list[dict[str, float]] = []
    runs = iter(range(10**6))

    def extract_with(workers: int) -> int:
        count, seconds = ours(paths, workers, folder / f"out{next(runs)}")
        if workers == 1:
            shares.append(seconds)
        return count

    ways: dict[str, Callable[[], int]] = {
        "OpenSlide, one region a tile (baseline)": lambda: plain(paths),
        "survfuse, 1 process": lambda: extract_with(1),
        "survfuse, 2 processes": lambda: extract_with(2),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            count = way()
            rates[name].append(count / (time.perf_counter() - start))
    base = statistics.median(next(iter(rates.values())))
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"  {name:42s} {rate:8.0f} tiles/s   x {rate / base:.2f}")
    tell_shares(shares)


def tell_shares(shares: list[dict[str, float]]) -> None:
    """Print where one process spent its time."""
    total = {stage: sum(one[stage] for one in shares) for stage in shares[0]}
    everything = sum(total.values())
    inside = sum(total.get(stage, 0.0) for stage in ("open", "read", "encode"))
    told = ", ".join(
        f"{stage} {seconds / everything:.1%}" for stage, seconds in total.items()
    )
    print(f"  of one process' time: {told}")
    print(
        f"  neither reading and decoding nor the encoder: {1 - inside / everything:.1%}",
    )


def peak(path: Path) -> None:
    """Extract one slide and print the most memory this process ever held; run in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        count, _ = ours([path], 1, Path(name) / "out")
    status = Path(
        "/proc/self/status",
    ).read_text()  # rusage would still count the parent before exec
    kilobytes = int(
        next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[
            1
        ],
    )
    print(json.dumps({"tiles": count, "peak": kilobytes / 1024}))


def memory() -> None:
    """Print peak memory for a small and a large slide."""
    for px in (5120, 32000):
        with tempfile.TemporaryDirectory() as name:
            path = write_slide(Path(name) / "s.tif", px)
            command = [sys.executable, __file__, "--peak", str(path)]
            told = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(told.stdout.splitlines()[-1])
        print(f"  {found['tiles']:6d} tiles: peak {found['peak']:.0f} MiB")


def large_bag(tiles: int = 200_000, dim: int = 1536) -> None:
    """Write, read and pack one bag of `tiles` tiles."""
    from survfuse.readers import read_features
    from survfuse.readers.bags import pack
    from survfuse.slides.bag_writer import BagWriter

    rng = np.random.default_rng(0)
    block = rng.standard_normal((512, dim)).astype(np.float16)
    places = rng.integers(0, 100_000, (512, 2))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "big.h5"
        start = time.perf_counter()
        bag = BagWriter(path, dim=dim, expected=tiles)
        for at in range(0, tiles, 512):
            many = min(512, tiles - at)
            bag.append(block[:many], places[:many])
        bag.finish(encoder="idle", places={"patch_size": TILE}, about={"mpp": MPP})
        wrote = time.perf_counter()
        features = read_features(path)
        read = time.perf_counter()
        store = pack([("big", "p", path)], Path(name) / "big.bags")
        packed = time.perf_counter()
        size = path.stat().st_size / 2**20
        assert features.values.shape == (tiles, dim) == (store.tiles, store.dim)
    print(
        f"  a bag of {tiles} x {dim} ({size:.0f} MiB): written in {wrote - start:.1f} s, read in "
        f"{read - wrote:.1f} s, packed in {packed - read:.1f} s",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--slides", type=int, default=2)
    parser.add_argument("--px", type=int, default=16384)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    how = parser.parse_args()
    if how.peak:
        peak(how.peak)
        return
    with tempfile.TemporaryDirectory() as name:
        speed(how.slides, how.px, how.rounds, Path(name))
    if not how.skip_memory:
        memory()
        large_bag()


if __name__ == "__main__":
    main()
