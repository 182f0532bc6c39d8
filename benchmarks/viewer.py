"""What the viewer takes of time with many patients.

    python benchmarks/viewer.py [--patients 2000]

A simulated cohort with clinical data and genes (slides change nothing of the table) and a default model
trained on 200 others. Seconds until the server listens; then, in headless Chromium: until the table of
the first page stands, of a filter, of a sort (from the key or click to the end of the drawing), until a
patient's page stands. The median of several.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import survfuse as sf
from survfuse.datasets import simulate
from survfuse.viewer.bundle_study import BundleStudy
from survfuse.viewer.serving import served

TIMES = 5


def study_of(root: Path, patients: int) -> tuple[BundleStudy, float]:
    """A study of so many patients, and the seconds that opening it took."""
    options: dict[str, Any] = {
        "genes": 200,
        "signal": "additive",
        "sites": 5,
        "tiles": 8,
    }
    path = simulate(
        root / "cohort", patients=200, hold_out=patients, tile_dim=16, **options
    )
    model = sf.SurvivalFusion().fit(sf.load_cohort(path))
    bundle = model.save(root / "bundle")
    started = time.perf_counter()
    cohort = sf.load_cohort(path.parent / "new" / "cohort.yaml", need_outcome=False)
    read = time.perf_counter() - started
    print(f"cohort of {len(cohort):,} read in {read:.1f} s")
    started = time.perf_counter()
    study = BundleStudy(sf.SurvivalFusion.load(bundle), cohort, bundle)
    return study, time.perf_counter() - started


def seconds(work: Callable[[], None]) -> float:
    """Median seconds of some work."""
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=2000)
    count = parser.parse_args().patients
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as root:
        study, opened = study_of(Path(root), count)
        print(
            f"{len(study.patients):,} patients predicted and explained in {opened:.2f} s"
        )
        with served(study) as address, sync_playwright() as playwright:
            options = {"args": ["--no-sandbox", "--disable-gpu"]}
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), **options
            )
            page = browser.new_page()

            def first() -> None:
                page.goto(address)
                page.wait_for_selector("tbody tr")

            print(f"first page: {seconds(first):.3f} s")
            print(f"  drawing alone: {drawn(page):.1f} ms")
            steps = {
                "filter by risk": lambda: page.fill("#least-1", "30"),
                "filter by patient": lambda: page.fill("#search", "12"),
                "sort": lambda: page.click("thead button >> nth=3"),
            }
            for name, step in steps.items():
                first()
                before = page.locator("#count").inner_text()
                taken = seconds(step)
                print(
                    f"{name}: {1000 * taken:.0f} ms with the browser's protocol, of which"
                )
                print(
                    f"  drawing {drawn(page):.1f} ms; {before} -> {page.inner_text('#count')}"
                )
            patient = study.patients[0]

            def one() -> None:
                page.goto(f"{address}patient?patient={patient}")
                page.wait_for_selector("#terms tbody tr")

            print(f"page of a patient: {seconds(one):.3f} s")
            browser.close()


def drawn(page: Any) -> float:
    """Milliseconds of the last drawing of the table."""
    return float(page.locator("html").get_attribute("data-drawn"))


if __name__ == "__main__":
    main()
