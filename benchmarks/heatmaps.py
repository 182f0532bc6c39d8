"""What maps cost: seconds, bytes and memory of every format.

    python benchmarks/heatmaps.py [--tiles 20000 400000] [--repeats 3]

A slide with so many tiles of 112 px on 40 % of its area, and the scores that a model with slides and
one interaction gives; without an image of it, so that nothing but the maps is measured. Pictures
and TIFF are of four scores, as `survfuse explain --maps` draws them; the rest has all eight. Each size
runs in a process of its own: the best time of some, by the clock and of the processor (which others
who use the machine do not lengthen; ratios are of it), the size of the files, and the most memory that
the process held for itself beyond what the map itself takes. Beside them what NumPy and `json` need for
the same numbers: `savez_compressed` of coordinates and scores, and `json.dump` of a list of tiles.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from measuring import OwnPeak

from survfuse.maps import FORMATS, MapOptions, Score, SlideMap, TilePlaces, write_files
from survfuse.maps.scores import percentiles, smoothed

STEP, ON_TISSUE = 112, 0.4
RISKS = ("tile_risk", "contribution", "cluster_risk", "slides*clinical")


def make(tiles: int) -> SlideMap:
    """A map of a slide with tissue in patches."""
    rng = np.random.default_rng(0)
    columns = round((tiles / ON_TISSUE * 1.4) ** 0.5)
    rows = -(-round(tiles / ON_TISSUE) // columns)
    across, down = np.meshgrid(np.arange(columns), np.arange(rows))
    waves = (
        np.sin(across / 23)
        + np.cos(down / 17)
        + 0.3 * rng.standard_normal(across.shape)
    )
    chosen = np.sort(np.argsort(-waves.ravel())[:tiles])
    corners = np.stack([across.ravel(), down.ravel()], axis=1)[chosen] * float(STEP)
    places = TilePlaces(corners, float(STEP))
    scores = {}
    for name in RISKS:
        values = rng.standard_normal(tiles) * 0.3
        scores[name] = Score(name, name, "log-risk", "diverging", values, 1.0)
    plain = SlideMap("P", "slides", "S", places, scores)
    risk = scores["tile_risk"].values
    clusters = rng.integers(0, 24, tiles)
    share = np.full(tiles, 1 / tiles)
    further = (
        (
            "tile_risk_smoothed",
            "log-risk",
            "diverging",
            smoothed(risk, plain.lattice),
            1.0,
            0.0,
        ),
        ("percentile", "percentile", "diverging", percentiles(risk), 50.0, 50.0),
        ("attention", "share of the bag", "sequential", share, 1.0, 0.0),
        ("cluster", "cluster", "categories", clusters.astype(float), 1.0, 0.0),
    )
    for name, unit, kind, values, limit, centre in further:
        scores[name] = Score(name, name, unit, kind, values, limit, centre)
    return SlideMap("P", "slides", "S", places, scores, clusters, 0.5)


def as_npz(drawn: SlideMap, folder: Path) -> list[Path]:
    path = folder / "plain.npz"
    numbers = {
        name: score.values.astype(np.float32) for name, score in drawn.scores.items()
    }
    np.savez_compressed(path, coords=drawn.places.corners, **numbers)
    return [path]


def as_json(drawn: SlideMap, folder: Path) -> list[Path]:
    path = folder / "plain.json"
    columns = {name: score.values.tolist() for name, score in drawn.scores.items()}
    tiles = []
    for number, corner in enumerate(drawn.places.corners.tolist()):
        values = {name: column[number] for name, column in columns.items()}
        tiles.append({"corner": corner, "scores": values})
    with path.open("w") as file:
        json.dump(tiles, file)
    return [path]


def measured(
    work: Callable[[], Iterable[Path]],
    repeats: int,
) -> tuple[float, float, int, float]:
    """Seconds by the clock and of the processor, bytes and MB of a piece of work."""
    best, busy = np.inf, np.inf
    with OwnPeak() as peak:
        for _ in range(repeats):
            start, started = time.perf_counter(), time.process_time()
            files = list(work())
            best = min(best, time.perf_counter() - start)
            busy = min(busy, time.process_time() - started)
    return best, busy, sum(path.stat().st_size for path in files), peak.megabytes


def measure(tiles: int, repeats: int) -> None:
    """Write every format; prints a row each."""
    drawn = make(tiles)
    lattice = drawn.lattice
    print(
        f"{tiles:,} tiles, a map of {lattice.columns} x {lattice.rows} px", flush=True
    )
    with tempfile.TemporaryDirectory(prefix="survfuse-maps-") as place:
        folder = Path(place)
        write_files(drawn, folder)  # imports and fonts
        plain = {
            "NumPy": measured(lambda: as_npz(drawn, folder), repeats),
            "json": measured(lambda: as_json(drawn, folder), repeats),
        }
        rows = dict(plain)
        for name in FORMATS:
            options = MapOptions((name,))
            rows[name] = measured(
                lambda o=options: write_files(drawn, folder, o), repeats
            )
        rows["all"] = measured(lambda: write_files(drawn, folder), repeats)
    for name, (seconds, busy, size, memory) in rows.items():
        ratios = [f"{busy / plain[other][1]:6.2f}x {other}" for other in plain]
        print(
            f"{name:>8} {seconds:7.2f} s, processor {busy:6.2f} s ({', '.join(ratios)}) "
            f"{size / 1e6:7.1f} MB on disk, "
            f"own memory {memory:6.0f} MB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tiles", type=int, nargs="+", default=[20_000, 400_000])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for tiles in given.tiles:
        child = context.Process(target=measure, args=(tiles, given.repeats))
        child.start()
        child.join()


if __name__ == "__main__":
    main()
