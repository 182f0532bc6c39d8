"""`survfuse extract`: from a cohort file to packed bags, told in words and exit codes."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from running import Command
from slide_files import tiny_mask, tiny_slide
from survfuse.cohort import load_cohort
from survfuse.readers import read_features

PATIENTS = ("P1", "P2", "P3")


class Study:
    """Three patients with a slide each, and a cohort file about them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for number, patient in enumerate(PATIENTS):
            tiny_slide(
                root / "slides" / f"{patient}_1.tif",
                640,
                seed=number,
                tissue=[(64, 64, 512, 512)],
            )
        self.rows = [
            "slide_id,patient_id",
            *(f"{patient}_1,{patient}" for patient in PATIENTS),
        ]
        self.section = "images: slides, encoder: stain_texture"
        self.write()

    def write(self) -> None:
        (self.root / "slides.csv").write_text("\n".join(self.rows) + "\n")
        self.cohort.write_text(
            f"name: t\nslides: {{table: slides.csv, features: features, {self.section}}}\n",
            encoding="utf-8",
        )

    @property
    def cohort(self) -> Path:
        return self.root / "cohort.yaml"

    @property
    def features(self) -> Path:
        return self.root / "features"

    def add(self, slide: str, **how: object) -> None:
        how = {"tissue": [(64, 64, 384, 384)], **how}
        tiny_slide(self.root / "slides" / f"{slide}.tif", 512, **how)  # type: ignore[arg-type]
        self.rows.append(f"{slide},{slide}")
        self.write()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_extract_then_load(study: Study, command: Command) -> None:
    assert command("validate", study.cohort).code == 2
    ended = command("extract", study.cohort, "--json", study.root / "e.json", "-q")
    assert (ended.code, ended.err) == (0, "")
    assert "3 slides: 3 done; 27 tiles" in ended.out
    assert f"contact sheet: {study.features / 'contact.html'}" in ended.out
    assert "packed: 3 slides, 27 tiles x " in ended.out
    cohort = load_cohort(study.cohort, need_outcome=False)
    assert cohort.present["slides"].all()
    assert cohort.problems == ()
    told = json.loads((study.root / "e.json").read_text())
    assert (told["slides"], told["counts"], told["tiles"]) == (3, {"done": 3}, 27)
    assert {record["slide_id"] for record in told["records"]} == {
        "P1_1",
        "P2_1",
        "P3_1",
    }
    assert read_features(study.features / "P1_1.h5", encoder="stain_texture").mpp == 0.5


def test_called_again_it_finds_everything_done(study: Study, command: Command) -> None:
    command("extract", study.cohort, "-q")
    before = {path: path.stat().st_mtime_ns for path in study.features.glob("*.h5")}
    ended = command("extract", study.cohort)
    assert ended.code == 0
    assert json.loads(ended.err.splitlines()[0]) == {
        "event": "start",
        "slides": 3,
        "waiting": 0,
    }
    assert {
        path: path.stat().st_mtime_ns for path in study.features.glob("*.h5")
    } == before


def test_failed_slides_are_named_and_the_rest_is_packed(
    study: Study,
    command: Command,
) -> None:
    study.add("P4", mpp=None)
    study.add("P5", tissue=[])
    ended = command("extract", study.cohort)
    assert ended.code == 3
    assert "5 slides: 3 done, 1 empty, 1 failed; 27 tiles" in ended.out
    assert "empty: P5: no tissue: nothing is stained; bare glass on 100%" in ended.out
    assert "packed: 4 slides" in ended.out
    assert "failed: P4 (1 attempts): " in ended.out
    assert ended.err.splitlines()[-1] == "error: 1 of 5 slides have no features: P4"
    lines = [
        json.loads(line) for line in ended.err.splitlines() if line.startswith("{")
    ]
    assert [line["event"] for line in lines] == ["start"] + ["slide"] * 5
    assert "column `mpp`" in lines[4]["reason"]
    cohort = load_cohort(study.cohort, need_outcome=False)
    assert any(
        "1 slide(s) without a feature file: P4" in str(problem)
        for problem in cohort.problems
    )
    status = command("extract", study.cohort, "--status")
    assert (status.code, status.err) == (3, "")
    assert "failed: P4 (1 attempts): " in status.out
    ended = command("extract", study.cohort, "--slide-mpp", "0.5", "-q")
    assert ended.code == 0
    assert "5 slides: 4 done, 1 empty" in ended.out
    assert command("extract", study.cohort, "--status").code == 0


def test_notes_of_slides_are_printed_once_each(study: Study, command: Command) -> None:
    ended = command("extract", study.cohort, "--slide-mpp", "0.25", "-q", "--no-pack")
    assert ended.code == 0
    notes = [line for line in ended.out.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: P1_1, P2_1, P3_1: --slide-mpp: 0.25 µm/px, but the file's resolution tags: 0.5 µm/px; "
        "the latter was followed",
    ]


def test_status_before_anything_touches_nothing(study: Study, command: Command) -> None:
    ended = command(
        "extract",
        study.cohort,
        "--status",
        "--json",
        study.root / "s.json",
    )
    assert (ended.code, ended.out) == (0, "3 slides: 3 pending; 0 tiles\n")
    assert json.loads((study.root / "s.json").read_text())["counts"] == {"pending": 3}
    assert not study.features.exists()


def test_shards_then_the_whole(
    study: Study,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = command("extract", study.cohort, "--shard", "0/2", "-q")
    assert ended.code == 0
    assert "2 slides: 2 done" in ended.out
    assert "shard 0/2" in ended.out
    assert "packed" not in ended.out
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "8")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    ended = command("extract", study.cohort, "--shard", "slurm", "-q")
    assert "1 slides: 1 done" in ended.out
    ended = command("extract", study.cohort)
    assert '"waiting": 0' in ended.err
    assert "packed: 3 slides" in ended.out
    assert command("extract", study.cohort, "--shard", "2/2").code == 2


def test_masks_are_taken_by_name(study: Study, command: Command) -> None:
    tiny_mask(study.root / "masks" / "P1_1_mask.tif", 640, [(64, 64, 224, 512)])
    study.section += ", masks: masks"
    study.write()
    command("extract", study.cohort, "-q", "--json", study.root / "e.json")
    records = json.loads((study.root / "e.json").read_text())["records"]
    assert [record["tissue"]["source"] for record in records] == [
        "given",
        "found",
        "found",
    ]
    tiny_mask(study.root / "masks" / "Q9_mask.tif", 640, [])
    ended = command("extract", study.cohort, "-q")
    assert ended.code == 2
    assert "Q9_mask.tif" in ended.err
    ended = command(
        "extract",
        study.cohort,
        "--masks",
        study.root / "slides",
        "-o",
        study.root / "other",
    )
    assert ended.code == 2
    assert "is the slide itself, not its mask" in ended.err


def test_masks_beside_their_slides_are_named_in_the_table(
    study: Study,
    command: Command,
) -> None:
    tiny_mask(study.root / "slides" / "P1_1_mask.tif", 640, [(64, 64, 224, 512)])
    study.rows = [
        "slide_id,patient_id,mask",
        "P1_1,P1,P1_1_mask.tif",
        "P2_1,P2,",
        "P3_1,P3,",
    ]
    study.write()
    assert (
        command("extract", study.cohort, "-q", "--json", study.root / "e.json").code
        == 0
    )
    records = json.loads((study.root / "e.json").read_text())["records"]
    assert [record["tissue"]["source"] for record in records] == [
        "given",
        "found",
        "found",
    ]


def test_another_place_is_not_packed(study: Study, command: Command) -> None:
    ended = command(
        "extract",
        study.cohort,
        "-o",
        study.root / "other",
        "--set",
        "overlap=0.5",
        "-q",
    )
    assert ended.code == 0
    assert (
        f"not packed: the cohort file does not say `features: {study.root / 'other'}`"
        in ended.out
    )
    assert not study.features.exists()
    ended = command("extract", study.cohort, "-o", study.root / "other", "-q")
    assert ended.code == 2
    assert "overlap is 0.5 there, 0.0 here" in ended.err


def test_the_cohort_file_gives_scale_and_encoder(
    study: Study,
    command: Command,
) -> None:
    study.section += ", mpp: 1.0"
    study.write()
    command("extract", study.cohort, "-q", "--no-pack")
    assert read_features(study.features / "P1_1.h5").mpp == 1.0
    assert not (study.root / ".survfuse").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--encoder", "uni2_h"],
            "features would be of 'uni2_h', but the cohort file declares `encoder: stain_",
        ),
        (["--encoder", "unni", "--no-pack"], "unknown encoder 'unni'"),
        (["--tissue", "magic"], "extract.tissue"),
        (["--set", "overlp=0.5"], "did you mean 'overlap'"),
        (
            ["--executor", "magic"],
            "unknown executor 'magic'; known: inline, process, ray",
        ),
        (["--workers", "3"], "inline computes in one process; choose process or ray"),
        (["--shard", "3"], "expected i/N such as 3/16"),
        (["--modality", "blood"], "expected a section `blood:`"),
        (["--masks", "nowhere"], "no such folder of tissue masks"),
    ],
)
def test_wrong_options_are_refused_before_any_work(
    study: Study,
    command: Command,
    options: list[str],
    told: str,
) -> None:
    ended = command("extract", study.cohort, *options)
    assert ended.code == 2
    assert told in ended.err
    assert not study.features.exists()


def test_a_cohort_file_without_a_folder_of_features(
    study: Study,
    command: Command,
) -> None:
    study.cohort.write_text(
        "name: t\nslides: {table: slides.csv, images: slides, packed: t.bags}\n",
    )
    ended = command("extract", study.cohort)
    assert ended.code == 2
    assert "names no folder of features, so say -o FOLDER" in ended.err


def test_unsafe_ids_are_refused_by_name(study: Study, command: Command) -> None:
    study.rows = ["slide_id,patient_id,path", "../../x,P1,slides/P1_1.tif"]
    study.section = "encoder: stain_texture"
    study.write()
    ended = command("extract", study.cohort)
    assert ended.code == 2
    assert "slide id '../../x' holds '/'" in ended.err


@pytest.mark.slow
def test_processes_write_the_same_bags(study: Study, command: Command) -> None:
    command("extract", study.cohort, "-q")
    before = {path.name: path.read_bytes() for path in study.features.glob("*.h5")}
    ended = command(
        "extract",
        study.cohort,
        "-o",
        study.root / "two",
        "--executor",
        "process",
        "--workers",
        "2",
        "-q",
    )
    assert ended.code == 0
    assert {
        path.name: path.read_bytes() for path in (study.root / "two").glob("*.h5")
    } == before


@pytest.mark.slow
def test_a_time_limit_gives_the_slide_back(study: Study) -> None:
    """SIGTERM in the middle: the record says pending, no crash is counted, and the next run goes on."""
    study.add("large", tissue=[(0, 0, 512, 512)])
    code = (
        f"import sys, time; sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})\n"
        "import survfuse.slides.encoders as e, slide_files as f\n"
        "e.load_encoder = lambda *a, **k: f.SlowEncoder()\n"
        "from survfuse.cli import main\n"
        f"sys.argv = ['survfuse', 'extract', {str(study.cohort)!r}, '--no-pack', '--set', 'batch=1']\n"
        "main()\n"
    )
    ended = subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(study.features.glob(".*.h5.*.part")) and ended.poll() is None:
        time.sleep(0.02)
    ended.terminate()
    _, told = ended.communicate(timeout=60)
    assert ended.returncode == 143, told
    records = [
        json.loads(path.read_text())
        for path in (study.features / "state").glob("*.json")
    ]
    assert {record["status"] for record in records} <= {"pending", "done"}
    assert "pending" in {record["status"] for record in records}
    assert {record["crashes"] for record in records} == {0}
    assert list(study.features.rglob("*.part")) == []


@pytest.mark.slow
def test_help_and_status_load_nothing_heavy(study: Study) -> None:
    for words in (["--help"], [str(study.cohort), "--status"]):
        code = (
            "import sys\n"
            "from survfuse.cli import app\n"
            f"app(['extract', *{words!r}], standalone_mode=False)\n"
            "print(sorted(set(sys.modules) & {'torch', 'timm', 'cv2', 'openslide', 'tifffile', 'ray'}))"
        )
        ended = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stdout.splitlines()[-1] == "[]"


def test_a_full_or_locked_disk_is_nobodys_fault(
    study: Study,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def locked(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("survfuse.slides.supervisor.contact_sheet", locked)
    ended = command("extract", study.cohort, "-q")
    assert ended.code == 2
    assert (
        "cannot be written (Read-only file system); make room there or choose another -o"
        in ended.err
    )


def test_a_scale_of_nothing_is_not_taken_as_none_given(
    study: Study,
    command: Command,
) -> None:
    ended = command("extract", study.cohort, "--mpp", 0)
    assert ended.code == 2
    assert "greater than 0" in ended.err
