"""Full and read-only disks: every verb that writes, on every fault, with what it says and what it leaves.

A tiny cohort is prepared on a sound disk. Then each verb writes to a small disk of its own (a tmpfs) that
is too small by more and more, that is read-only, whose target has too long a name, or where a device
stands in the place of the target. Expected of each: exit 2 (3 where part of the work is kept), a message
that names the way out, no traceback, and nothing left on the disk that only gets in the way.

    sudo python studies/disks.py [VERB ...] [--json disks.json]

Linux only, as root: disks are mounted.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from survfuse._storage import write_json

SHARES = (0.7, 0.3, 0.05)  # of what the verb writes on a sound disk
ROOM = 2**30
PAGE = 4096
QUICK = [
    f"--set=model.{setting}"
    for setting in (
        "fusion=concat",
        "epochs=2",
        "min_epochs=1",
        "selection_folds=2",
        "expression_components=4",
        "bag_width=4",
        "attention_width=3",
        "max_tiles=4",
    )
]
FULL_DEVICE = os.makedev(1, 7)
MOST_SECONDS = 600


@dataclass(frozen=True)
class Verb:
    """One command.

    Attributes
    ----------
    words : tuple of str
        The command line; ``{out}`` is the target, ``{work}`` the folder of what was prepared.
    copied : str
        What is copied to the target first, from the prepared folder; the verb adds to it.
    """

    words: tuple[str, ...]
    copied: str = ""


VERBS = {
    "init": Verb(("init", "{out}")),
    "simulate": Verb(
        (
            "simulate",
            "-o",
            "{out}",
            "--patients",
            "20",
            "--tiles",
            "20",
            "--tile-dim",
            "16",
            "--genes",
            "50",
        ),
    ),
    "pack": Verb(("pack", "{work}/study/cohort.yaml", "-o", "{out}")),
    "extract": Verb(("extract", "{work}/slides/cohort.yaml", "-o", "{out}")),
    "crossval": Verb(
        (
            "crossval",
            "{work}/study/cohort.yaml",
            "-o",
            "{out}",
            "-q",
            "--folds",
            "2",
            *QUICK,
        ),
    ),
    "train": Verb(("train", "{work}/study/cohort.yaml", "-o", "{out}", "-q", *QUICK)),
    "predict": Verb(
        ("predict", "{work}/bundle", "{work}/study/cohort.yaml", "-o", "{out}.csv"),
    ),
    "evaluate": Verb(("evaluate", "{work}/risks.csv", "-o", "{out}")),
    "report": Verb(("report", "{out}"), copied="run"),
    "demo": Verb(
        (
            *("demo", "-o", "{out}", "--no-slides", "--patients", "30", "--new", "4"),
            *("--tiles", "4", "--genes", "20"),
        ),
    ),
}


@dataclass(frozen=True)
class Outcome:
    """What a verb did on one disk; `left` are the new files there."""

    verb: str
    fault: str
    code: int
    seconds: float
    said: str
    left: tuple[str, ...]

    @property
    def in_order(self) -> bool:
        """Whether it ended as documented and left no temporary file."""
        expected = {0} if self.fault == "none" else {0, 2, 3}
        litter = any(Path(name).name.endswith((".part", ".old")) for name in self.left)
        return self.code in expected and "Traceback" not in self.said and not litter


def survfuse(
    *words: str,
    temporary: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    own = {} if temporary is None else {"TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "survfuse", *words]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=MOST_SECONDS,
        env={**os.environ, **own},
    )


def prepare(work: Path) -> None:
    """Make what the verbs read, on a sound disk."""
    made = [
        survfuse("init", f"{work}/study"),
        survfuse(
            *(
                "simulate",
                "-o",
                f"{work}/slides",
                "--slides",
                "--patients",
                "8",
                "--slide-px",
                "256",
            ),
            *("--genes", "20"),
        ),
        survfuse(
            "train",
            f"{work}/study/cohort.yaml",
            "-o",
            f"{work}/bundle",
            "-q",
            *QUICK,
        ),
        survfuse(
            "crossval",
            f"{work}/study/cohort.yaml",
            "-o",
            f"{work}/run",
            "-q",
            "--folds",
            "2",
            *QUICK,
        ),
    ]
    for step in made:
        if step.returncode:
            raise SystemExit(f"cannot prepare: {step.args}\n{step.stderr}")
    with (
        (work / "study" / "patients.csv").open() as source,
        (work / "risks.csv").open("w") as target,
    ):
        writer = csv.writer(target)
        writer.writerow(["patient_id", "time", "event", "log_risk"])
        for row in csv.DictReader(source):
            writer.writerow(
                [
                    row["patient_id"],
                    row["months"],
                    row["relapse"],
                    float(row["age"]) / 10,
                ],
            )


@contextmanager
def disk(size: int) -> Iterator[Path]:
    """Mount a disk of so many bytes."""
    place = Path(tempfile.mkdtemp(prefix="disk-"))
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "survfuse-disk", place],
        check=True,
    )
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()


def files(place: Path) -> set[str]:
    """Everything under a folder, relative to it."""
    return {str(file.relative_to(place)) for file in place.rglob("*")}


def attempt(name: str, fault: str, work: Path, place: Path, target: str) -> Outcome:
    """Run one verb on a prepared disk."""
    before = files(place)
    words = [word.format(out=place / target, work=work) for word in VERBS[name].words]
    start = time.perf_counter()
    ended = survfuse(*words)
    seconds = time.perf_counter() - start
    left = tuple(sorted(files(place) - before))
    said = ended.stderr.strip().replace(str(place), "DISK")
    return Outcome(name, fault, ended.returncode, round(seconds, 1), said, left)


def copied(name: str, work: Path, place: Path) -> int:
    """Put what a verb adds to on its disk; return its bytes."""
    if not VERBS[name].copied:
        return 0
    shutil.copytree(work / VERBS[name].copied, place / "out")
    return used(place)


def used(place: Path) -> int:
    """Bytes taken of a mounted disk."""
    whole = os.statvfs(place)
    return (whole.f_blocks - whole.f_bfree) * whole.f_frsize


def outcomes(name: str, work: Path) -> Iterator[Outcome]:
    """Try one verb on each fault."""
    with disk(ROOM) as place:
        before = copied(name, work, place)
        yield attempt(name, "none", work, place, "out")
        need = max(used(place) - before, PAGE)
    for share in SHARES:
        with disk(before + max(PAGE, int(need * share))) as place:
            copied(name, work, place)
            yield attempt(name, f"full ({share:.0%} of the room)", work, place, "out")
    with disk(ROOM) as place:
        copied(name, work, place)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        yield attempt(name, "read-only", work, place, "out")
    with disk(ROOM) as place:
        yield attempt(name, "name too long", work, place, "n" * 252)
    with disk(ROOM) as place:
        target = "out.csv" if name == "predict" else "out"
        os.mknod(place / target, 0o666 | stat.S_IFCHR, FULL_DEVICE)
        outcome = attempt(name, "a device is there", work, place, "out")
        if not (place / target).is_char_device():
            raise SystemExit(f"{name} replaced a device")
        yield outcome


def main() -> None:
    """Print the table; exit 1 where something is out of order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verbs", nargs="*", metavar="VERB", help=", ".join(VERBS))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    done = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prepare(work)
        for name in asked.verbs or VERBS:
            for outcome in outcomes(name, work):
                done.append(outcome)
                last = outcome.said.splitlines()[-1] if outcome.said else ""
                mark = "  " if outcome.in_order else "!!"
                print(
                    f"{mark} {name:9} {outcome.fault:24} exit {outcome.code} {outcome.seconds:6.1f} s",
                    end="",
                )
                print(f"  {len(outcome.left):3} left  {last[:160]}", flush=True)
    if asked.json is not None:
        write_json(asked.json, [asdict(outcome) for outcome in done])
    sys.exit(0 if all(outcome.in_order for outcome in done) else 1)


if __name__ == "__main__":
    main()
