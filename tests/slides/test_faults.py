"""Everything that goes wrong on a cluster, in one run of 40 slides."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slide_files import (
    cut_in_the_middle,
    mean_encoder,
    slow_fragile_encoder,
    tiny_slide,
)
from survfuse.executors import make_executor
from survfuse.readers import BagStore, find_features, pack, read_features
from survfuse.slides import ExtractConfig, Record, SlideItem, survey
from survfuse.slides.supervisor import ExtractWatcher, extract

CONFIG = ExtractConfig(tile_px=64, batch=16, tissue="everything")
TESTS = Path(__file__).resolve().parents[1]
BAD = {"cut", "dark", "text", "torn"}


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[SlideItem]:
    """36 good slides, three that are corrupt in different ways, and one that kills its worker."""
    root = tmp_path_factory.mktemp("forty")
    for number in range(36):
        tiny_slide(
            root / f"s{number:02}.tif",
            384,
            tissue=[(0, 0, 384, 320)],
            levels=2,
            seed=number,
        )
    tiny_slide(root / "dark.tif", 448, tissue=[(0, 0, 448, 448)], levels=2, shade=0.6)
    cut_in_the_middle(
        tiny_slide(root / "cut.tif", 768, tissue=[(0, 0, 768, 768)], levels=2),
        0.3,
    )
    torn = tiny_slide(root / "torn.tif", 384, levels=2)
    torn.write_bytes(torn.read_bytes()[:5000])
    (root / "text.tif").write_text("a web page that says 404")
    return [
        SlideItem(path.stem, f"P{path.stem}", path)
        for path in sorted(root.glob("*.tif"))
    ]


def program(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    """A run of its own over all slides, with two workers."""
    code = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
import slide_files
from survfuse.executors import make_executor
from survfuse.slides import ExtractConfig, SlideItem
from survfuse.slides.supervisor import extract
if __name__ == "__main__":
    items = [SlideItem(p.stem, "P" + p.stem, p) for p in sorted(Path({str(folder)!r}).glob("*.tif"))]
    extract(items, ExtractConfig(tile_px=64, batch=16, tissue="everything"), {str(out)!r},
            executor=make_executor("process", workers=2), load=slide_files.slow_fragile_encoder)
"""
    script = out.with_suffix(".py")
    script.write_text(code)
    return subprocess.Popen([sys.executable, str(script)])


def records(out: Path) -> list[dict[str, Any]]:
    return [
        json.loads(path.read_text()) for path in sorted((out / "state").glob("*.json"))
    ]


def wait_for(what: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Wait until something is true, and give it."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def is_gone(pid: int) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        )
    except OSError:
        return True


def is_worked_on(record: dict[str, Any]) -> bool:
    return (
        record["status"] == "running"
        and record["slide_id"] != "dark"
        and not is_gone(record["pid"])
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_forty_slides_and_everything_that_goes_wrong(
    items: list[SlideItem],
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    whole = program(items[0].path.parent, out)
    wait_for(lambda: len(list(out.glob("s*.h5"))) >= 6)
    busy = wait_for(lambda: [one["pid"] for one in records(out) if is_worked_on(one)])
    os.kill(busy[0], signal.SIGKILL)  # one worker, over whichever slide it held
    wait_for(lambda: len(list(out.glob("s*.h5"))) >= 18)
    workers = {one["pid"] for one in records(out)}
    whole.kill()  # then everything
    whole.wait()
    wait_for(lambda: all(is_gone(pid) for pid in workers), 30)  # nobody goes on writing
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.h5")}
    assert 18 <= len(before) < 36
    assert survey(items, out).counts.get("running", 0) == 0

    summary = extract(
        items,
        CONFIG,
        out,
        executor=make_executor("process", workers=2),
        load=slow_fragile_encoder,
    )
    assert summary.counts == {"done": 36, "failed": 3, "quarantined": 1}
    assert {record.slide_id for record in summary.failed} == BAD
    reasons = {record.slide_id: record.reason for record in summary.failed}
    assert "tiles cannot be read" in reasons["cut"]
    assert "SIGSEGV" in reasons["dark"]
    assert "text.tif" in reasons["text"]
    assert "torn.tif" in reasons["torn"]
    for name, written in before.items():
        assert (
            out / name
        ).stat().st_mtime_ns == written  # finished work was not done again
    attempts = {record.slide_id: record.attempts for record in summary.records}
    # but for the killed worker's, and those whose record the kill left unwritten: their bags were taken over
    assert sum(attempts[Path(name).stem] - 1 for name in before) <= 3
    assert max(attempts.values()) <= 4
    assert (
        sum(attempts.values()) >= 40 + 1 + 1
    )  # the dark one twice, the killed ones again

    bags = find_features(out)
    assert set(bags) == {item.slide_id for item in items} - BAD
    store = pack(
        [(slide, f"P{slide}", path) for slide, path in bags.items()],
        tmp_path / "all.bags",
    )
    assert isinstance(store, BagStore)
    assert sorted(slide.slide_id for slide in store.slides) == sorted(bags)
    assert (
        store.tiles
        == summary.tiles
        == sum(len(read_features(path)) for path in bags.values())
    )
    assert list(out.rglob("*.part")) == []
    undisturbed = extract(
        items[3:5],
        CONFIG,
        tmp_path / "again",
        executor=make_executor("inline"),
        load=slow_fragile_encoder,
    )
    for record in undisturbed.records:
        assert (tmp_path / "again" / f"{record.slide_id}.h5").read_bytes() == bags[
            record.slide_id
        ].read_bytes()


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Three machines of one CPU each, in this one; the last may be killed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS))
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
        ray = pytest.importorskip("ray")
        from ray.cluster_utils import Cluster

        made = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "include_dashboard": False},
        )
        try:
            ray.init(address=made.address, logging_level="error", log_to_driver=False)
            made.add_node(num_cpus=1)
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


class KillsANode(ExtractWatcher):
    """Takes a machine away when ten slides have ended."""

    def __init__(self, cluster: Any) -> None:
        self.cluster, self.doomed = cluster, cluster.add_node(num_cpus=1)
        self.killers: list[threading.Thread] = []

    def on_slide(self, record: Record, done: int, waiting: int) -> None:
        if done == 10:
            how = {"allow_graceful": False}
            self.killers.append(
                threading.Thread(
                    target=self.cluster.remove_node,
                    args=(self.doomed,),
                    kwargs=how,
                ),
            )
            self.killers[0].start()


@pytest.mark.slow
def test_forty_slides_on_a_cluster_that_loses_a_machine(
    items: list[SlideItem],
    cluster: Any,
    tmp_path: Path,
) -> None:
    watcher = KillsANode(cluster)
    crew = make_executor("ray", workers=3)
    summary = extract(
        items,
        CONFIG,
        tmp_path / "ray",
        executor=crew,
        load=slow_fragile_encoder,
        watcher=watcher,
    )
    watcher.killers[0].join()
    assert summary.counts == {"done": 36, "failed": 3, "quarantined": 1}
    assert {record.slide_id for record in summary.failed} == BAD
    assert {
        record.slide_id: record.crashes for record in summary.records if record.crashes
    } == {"dark": 2}
    assert (
        41 <= sum(record.attempts for record in summary.records) <= 43
    )  # what the lost machine held, again
    good = [item for item in items if item.slide_id not in BAD]
    extract(
        good,
        CONFIG,
        tmp_path / "inline",
        executor=make_executor("inline"),
        load=mean_encoder,
    )
    assert sorted(find_features(tmp_path / "ray")) == [item.slide_id for item in good]
    for item in good:
        name = f"{item.slide_id}.h5"
        assert (tmp_path / "ray" / name).read_bytes() == (
            tmp_path / "inline" / name
        ).read_bytes()
