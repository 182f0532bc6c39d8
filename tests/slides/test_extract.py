"""One slide to one bag, with an encoder that needs nothing."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from slide_files import MeanEncoder, cut_in_the_middle, tiny_mask, tiny_slide
from survfuse._errors import SlideError
from survfuse.readers import read_features
from survfuse.slides import ExtractConfig, Record, SlideItem
from survfuse.slides.extract import extract_slide, is_finished
from survfuse.slides.slide_records import STAGES, Places, read_record, write_record

CONFIG = ExtractConfig(tile_px=64, batch=16)
TISSUE = (256, 256, 512, 512)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_slide(tmp_path_factory.mktemp("slides") / "a.tif")


@pytest.fixture
def item(slide: Path, tmp_path: Path) -> SlideItem:
    """A slide of its own, so that a test may change it."""
    return SlideItem("a", "P", Path(shutil.copy2(slide, tmp_path / "a.tif")))


def run(
    item: SlideItem,
    out: Path,
    config: ExtractConfig = CONFIG,
    encoder: Any = None,
) -> Record:
    return extract_slide(item, config, encoder or MeanEncoder(), out)


def test_a_slide_becomes_a_bag(item: SlideItem, tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = run(item, out)
    read = read_features(out / "a.h5", encoder="mean_colour")
    assert record.status == "done"
    assert len(read) == record.tiles == 64  # 512 px of tissue in tiles of 64
    assert (read.mpp, read.tile_um, read.patch_size_level0, read.coord_unit) == (
        0.5,
        32.0,
        64.0,
        "level0_px",
    )
    assert read.coords is not None
    np.testing.assert_array_equal(np.unique(read.coords), np.arange(256, 768, 64))
    with h5py.File(out / "a.h5") as file:
        assert dict(file["coords"].attrs) == {
            "patch_size": 64,
            "patch_size_level0": 64.0,
            "level0_magnification": 20.0,
            "target_magnification": 20.0,
            "overlap": 0,
        }
        assert file.attrs["key"] == record.key
        assert file.attrs["bounds"].tolist() == [0, 0, 1024, 1024]
    assert read_record(Places(out, "a")) == record
    assert set(record.seconds) == set(STAGES)
    assert record.slide["spacing_source"] == "file"
    assert (record.attempts, record.crashes, record.reason) == (1, 0, "")
    assert sorted(path.name for path in out.iterdir()) == ["a.h5", "quality", "state"]
    assert (out / "quality" / "a.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_features_are_those_of_the_pixels_where_the_coordinates_say(
    item: SlideItem,
    tmp_path: Path,
) -> None:
    """Against plain OpenSlide and the encoder by hand."""
    import openslide

    run(item, tmp_path / "out", CONFIG.model_copy(update={"mpp": 1.0}))
    read = read_features(tmp_path / "out" / "a.h5")
    assert read.coords is not None
    assert read.patch_size_level0 == 128
    whole = openslide.OpenSlide(str(item.path))
    for row in (0, 5, len(read) - 1):
        tile = np.asarray(
            whole.read_region(tuple(read.coords[row].tolist()), 1, (64, 64)),
        )[None, ..., :3]
        np.testing.assert_allclose(
            read.values[row],
            MeanEncoder().encode(tile)[0],
            atol=2e-3,
        )


@pytest.mark.parametrize("given", [{"batch": 1}, {"batch": 1000}, {"threads": 3}])
def test_batches_and_threads_change_no_byte(
    item: SlideItem,
    tmp_path: Path,
    given: dict[str, int],
) -> None:
    run(item, tmp_path / "one")
    run(item, tmp_path / "two", CONFIG.model_copy(update=given))
    assert (tmp_path / "one" / "a.h5").read_bytes() == (
        tmp_path / "two" / "a.h5"
    ).read_bytes()


def written(path: Path) -> tuple[int, int, int]:
    """Which file it is, and when it was last written; reading it may move its access time."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def test_finished_work_is_not_touched(
    item: SlideItem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = run(item, tmp_path)
    before = written(tmp_path / "a.h5")
    monkeypatch.setattr("survfuse.slides.extract.open_slide", None)
    again = run(item, tmp_path)
    assert again == first
    assert written(tmp_path / "a.h5") == before


def test_a_lost_record_is_read_back_from_the_bag(
    item: SlideItem,
    tmp_path: Path,
) -> None:
    first = run(item, tmp_path)
    (tmp_path / "state" / "a.json").unlink()
    encoder = MeanEncoder()
    again = run(item, tmp_path, encoder=encoder)
    assert encoder.seen == 0
    for name in (
        "key",
        "tiles",
        "chosen",
        "quality",
        "tissue",
        "grid",
        "slide",
        "status",
        "dropped",
    ):
        assert getattr(again, name) == getattr(first, name)


def test_a_new_file_time_alone_is_no_new_slide(
    item: SlideItem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = run(item, tmp_path)
    os.utime(item.path, ns=(1, 1))
    encoder = MeanEncoder()
    again = run(item, tmp_path, encoder=encoder)
    assert (encoder.seen, again.key, again.slide["mtime_ns"]) == (0, first.key, 1)
    monkeypatch.setattr(
        "survfuse.slides.extract.hash_slide",
        None,
    )  # size and time are as recorded: not hashed again
    (tmp_path / "a.h5").unlink()
    assert run(item, tmp_path).tiles == first.tiles


def test_another_slide_under_the_same_name_is_extracted_anew(
    item: SlideItem,
    tmp_path: Path,
) -> None:
    first = run(item, tmp_path)
    tiny_slide(item.path, tissue=[(256, 256, 256, 256)], seed=5)
    again = run(item, tmp_path)
    assert again.key != first.key
    assert again.attempts == 2
    assert len(read_features(tmp_path / "a.h5")) == again.tiles < first.tiles


def test_a_damaged_bag_is_made_again(item: SlideItem, tmp_path: Path) -> None:
    run(item, tmp_path)
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(whole[:2000])
    run(item, tmp_path)
    assert (tmp_path / "a.h5").read_bytes() == whole


def edit(path: Path, **places: Any) -> None:
    """Change one number of a bag and set back its time, as a careful hand would."""
    times = path.stat()
    with h5py.File(path, "r+") as file:
        for name, change in places.items():
            file[name][0, 0] += change
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("change", [{"features": 0.5}, {"coords": 64}])
def test_an_edited_bag_is_made_again_and_named(
    item: SlideItem,
    tmp_path: Path,
    change: dict[str, float],
) -> None:
    record = run(item, tmp_path)
    assert record.notes == []
    whole = (tmp_path / "a.h5").read_bytes()
    edit(tmp_path / "a.h5", **change)
    encoder = MeanEncoder()
    again = run(item, tmp_path, encoder=encoder)
    assert again.notes == [
        "its bag was damaged or edited after it was written: extracted anew",
    ]
    assert encoder.seen == record.tiles
    assert (tmp_path / "a.h5").read_bytes() == whole


def test_an_edited_bag_is_not_taken_over_after_a_kill(
    item: SlideItem,
    tmp_path: Path,
) -> None:
    run(item, tmp_path)
    whole = (tmp_path / "a.h5").read_bytes()
    edit(tmp_path / "a.h5", features=0.5)

    class Killed(MeanEncoder):
        def encode(self, pixels: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(item, tmp_path, encoder=Killed())
    run(item, tmp_path)
    assert (tmp_path / "a.h5").read_bytes() == whole


def test_a_copied_bag_is_hashed_once(
    item: SlideItem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from survfuse.slides import extract

    run(item, tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    hashed: list[Path] = []
    real = extract.sha256_file
    monkeypatch.setattr(
        extract,
        "sha256_file",
        lambda path: hashed.append(path) or real(path),
    )
    for _ in range(3):
        assert run(item, tmp_path / "two").attempts == 1
    assert hashed == [tmp_path / "two" / "a.h5"]


def test_a_bag_of_an_older_version_stands(item: SlideItem, tmp_path: Path) -> None:
    record = run(item, tmp_path)
    places = Places(tmp_path, "a")
    write_record(places, replace(record, bag={}))
    assert run(item, tmp_path).bag == {}
    assert is_finished(replace(record, bag={}), record.inputs, places, verify=True)
    known = read_record(places)
    assert known is not None
    assert known.bag == {name: record.bag[name] for name in ("sha256", "stamp")}


def test_no_tissue_is_a_result(tmp_path: Path) -> None:
    path = tiny_slide(tmp_path / "glass.tif", tissue=[])
    record = run(SlideItem("glass", "P", path), tmp_path / "out")
    assert (record.status, record.tiles) == ("empty", 0)
    assert (
        record.reason
        == "no tissue: nothing is stained; bare glass on 100% of what was scanned"
    )
    assert read_features(tmp_path / "out" / "glass.h5").values.shape == (0, 15)
    assert run(SlideItem("glass", "P", path), tmp_path / "out") == record


def test_tiles_of_glass_are_dropped_and_counted(
    item: SlideItem,
    tmp_path: Path,
) -> None:
    record = run(item, tmp_path, CONFIG.model_copy(update={"tissue": "everything"}))
    assert record.chosen == 256
    assert record.tiles == 64
    assert record.dropped == {"background": 192, "pen": 0}
    assert record.quality["background"] < 0.2


def test_a_slide_without_scale_is_refused_and_accepted_with_one(tmp_path: Path) -> None:
    path = tiny_slide(tmp_path / "n.tif", mpp=None)
    out = tmp_path / "out"
    bare = SlideItem("n", "P", path)
    record = run(bare, out)
    assert (record.status, record.final) == ("failed", True)
    for way in ("column `mpp`", "--slide-mpp", "--objective-power"):
        assert way in record.reason
    assert not (out / "n.h5").exists()
    accepted = [
        (replace(bare, mpp=0.5), CONFIG, "column"),
        (bare, CONFIG.model_copy(update={"slide_mpp": 0.5}), "flag"),
        (bare, CONFIG.model_copy(update={"objective_power": 20.0}), "objective"),
        (replace(bare, objective=20.0), CONFIG, "objective"),
    ]
    keys = set()
    for item, config, source in accepted:
        record = run(item, out, config)
        assert (record.status, record.slide["spacing_source"], record.tiles) == (
            "done",
            source,
            64,
        )
        keys.add(record.key)
    assert len(keys) == 1  # the same features, whoever said the scale


@pytest.mark.parametrize("spacing", [0.25, 0.5])
def test_mixed_spacings_give_the_same_field_of_view(
    tmp_path: Path,
    spacing: float,
) -> None:
    size = int(512 / spacing)
    box = (size // 4, size // 4, size // 2, size // 2)
    path = tiny_slide(tmp_path / "s.tif", size, spacing, tissue=[box])
    record = run(SlideItem("s", "P", path), tmp_path / "out")
    read = read_features(tmp_path / "out" / "s.h5")
    assert (record.tiles, read.mpp, read.tile_um) == (64, 0.5, 32.0)
    assert read.patch_size_level0 == 32 / spacing


def test_a_mask_decides(item: SlideItem, tmp_path: Path) -> None:
    mask = tiny_mask(tmp_path / "m.tif", 1024, [(256, 256, 256, 512)])
    masked = replace(item, mask=mask)
    record = run(masked, tmp_path / "out")
    assert (record.tissue["source"], record.tiles) == ("given", 32)
    assert run(masked, tmp_path / "out") == record
    tiny_mask(mask, 1024, [TISSUE])
    assert run(masked, tmp_path / "out").tiles == 64  # another mask is another bag
    assert (
        run(
            replace(item, mask=mask),
            tmp_path / "otsu",
            ExtractConfig(tissue="otsu"),
        ).tissue["source"]
        == "found"
    )


def test_masks_that_are_missing_are_asked_for(item: SlideItem, tmp_path: Path) -> None:
    given = CONFIG.model_copy(update={"tissue": "given"})
    record = run(item, tmp_path, given)
    assert record.reason.startswith(
        "slide 'a' has no tissue mask, and --tissue given takes nothing else",
    )
    record = run(replace(item, mask=tmp_path / "gone.tif"), tmp_path, given)
    assert "gone.tif: no such mask, of slide 'a'" in record.reason


def test_too_many_unreadable_tiles_fail_the_slide(tmp_path: Path) -> None:
    path = tiny_slide(
        tmp_path / "c.tif",
        tissue=[(0, 0, 1024, 1024)],
        compression="jpeg",
    )
    cut_in_the_middle(path, 0.2)
    cut = SlideItem("c", "P", path, mpp=0.5)
    record = run(
        cut,
        tmp_path / "out",
        CONFIG.model_copy(update={"tissue": "everything"}),
    )
    assert record.status == "failed"
    assert (
        "tiles cannot be read, at most 5% may (--limit-unreadable); the first is damaged"
        in record.reason
    )
    assert record.final
    assert record.unreadable > 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["state"]
    lenient = CONFIG.model_copy(update={"tissue": "everything", "max_unreadable": 0.9})
    record = run(cut, tmp_path / "out", lenient)
    assert record.status == "done"
    assert 0 < record.unreadable < 200
    assert (
        record.tiles + record.unreadable + record.dropped["background"]
        == record.chosen
        == 256
    )
    assert len(read_features(tmp_path / "out" / "c.h5")) == record.tiles


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a whole-slide image"),
        (b"text", "not a whole-slide image"),
        (None, "no such file"),
    ],
)
def test_what_is_no_slide_fails_with_its_reason(
    tmp_path: Path,
    content: bytes | None,
    told: str,
) -> None:
    path = tmp_path / "x.svs"
    if content is not None:
        path.write_bytes(content)
    record = run(SlideItem("x", "P", path), tmp_path / "out")
    assert (record.status, record.final) == ("failed", True)
    assert "x.svs" in record.reason
    assert told in record.reason


def test_an_interrupt_gives_the_slide_back(item: SlideItem, tmp_path: Path) -> None:
    class Stops(MeanEncoder):
        def encode(self, tiles: np.ndarray) -> np.ndarray:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        run(item, tmp_path / "out", encoder=Stops())
    record = read_record(Places(tmp_path / "out", "a"))
    assert record is not None
    assert (record.status, record.crashes) == ("pending", 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["state"]


def test_what_is_not_the_slides_fault_is_raised(
    item: SlideItem,
    tmp_path: Path,
) -> None:
    class Breaks(MeanEncoder):
        def encode(self, tiles: np.ndarray) -> np.ndarray:
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left on device"):
        run(item, tmp_path / "out", encoder=Breaks())
    record = read_record(Places(tmp_path / "out", "a"))
    assert record is not None
    assert record.status == "running"


def test_what_the_encoder_refuses_fails_the_slide(
    item: SlideItem,
    tmp_path: Path,
) -> None:
    class Overflows(MeanEncoder):
        def encode(self, tiles: np.ndarray) -> np.ndarray:
            raise SlideError("encoder 'x' gave values that float16 cannot hold")

    assert run(item, tmp_path / "out", encoder=Overflows()).reason.startswith(
        "encoder 'x' gave values",
    )


def test_records_hold_no_stale_bag(item: SlideItem, tmp_path: Path) -> None:
    """A record that says done, of another key than the file's, is not believed."""
    first = run(item, tmp_path)
    write_record(Places(tmp_path, "a"), replace(first, key="other"))
    assert run(item, tmp_path).key == first.key
    write_record(Places(tmp_path, "a"), replace(first, tiles=3))
    assert run(item, tmp_path).tiles == first.tiles


def test_the_record_is_running_while_it_runs(item: SlideItem, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    class Looks(MeanEncoder):
        def encode(self, tiles: np.ndarray) -> np.ndarray:
            seen.append(json.loads((tmp_path / "out" / "state" / "a.json").read_text()))
            return super().encode(tiles)

    run(item, tmp_path / "out", encoder=Looks())
    assert {(told["status"], told["pid"]) for told in seen} == {
        ("running", os.getpid()),
    }


def test_a_slide_that_changes_or_goes_while_it_is_read_is_no_bag(
    item: SlideItem,
    tmp_path: Path,
) -> None:
    class Meddles(MeanEncoder):
        def encode(self, tiles: Any) -> Any:
            os.utime(item.path, ns=(1, 1))
            return super().encode(tiles)

    record = run(item, tmp_path / "out", encoder=Meddles())
    assert (record.status, record.reason) == (
        "failed",
        f"{item.path}: changed while it was read; let it be and start again",
    )
    assert not (tmp_path / "out" / "a.h5").exists()
    assert (
        run(item, tmp_path / "out").status == "done"
    )  # the next run takes it as it is now

    class Removes(MeanEncoder):
        def encode(self, tiles: Any) -> Any:
            item.path.unlink(missing_ok=True)
            return super().encode(tiles)

    record = run(item, tmp_path / "two", encoder=Removes())
    assert "went away while it was read" in record.reason
