"""Kill runs at random moments, start them again, and compare with a run that nobody disturbed.

    python studies/kills.py [crossval train pack predict extract] [--runs 15] [--signal KILL] [--group]
                            [--times 1] [--executor inline] [--seed 0] [-o kills.json]

Every run works in a copy of the same inputs, is sent the signal at a random moment (with ``--times 2``
once more when it was started again), and is then started to its end. All files that are there at the
end are compared byte by byte with those of the undisturbed run. The table counts runs: ``same`` results,
``litter`` (files that only the disturbed run has), slides ``counted`` as deadly, ``processes`` that
outlived the run that was killed. Of the other signals than KILL also the ``exit`` code must be 128 and
their number, without a traceback, and nothing temporary may be left (``left``).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from survfuse._storage import sha256_file, write_json

SMALL = [
    "epochs=6",
    "selection_folds=2",
    "bag_width=8",
    "attention_width=4",
    "max_tiles=16",
    "fusion=concat",
]
MODEL = [
    f"--set=model.{setting}"
    for setting in (*SMALL, "expression_components=4", "device=cpu")
]
GRID = ["--folds=2", "--set=crossval.networks=false", "--set=crossval.controls=false"]
COHORT, SLIDES = "cohort/cohort.yaml", "slides/cohort.yaml"
VERBS: dict[str, list[str]] = {
    "crossval": ["crossval", COHORT, "-o", "out", *MODEL, *GRID],
    "train": ["train", COHORT, "-o", "bundle", "--force", *MODEL],
    "pack": ["pack", SLIDES],
    "predict": ["predict", "bundle", COHORT, "-o", "new.csv", "--force"],
    "extract": ["extract", SLIDES],
}
CARRIED = ("crossval", "extract")  # take --executor
VOLATILE = {
    "run.json",
    "report.html",
    "contact.html",
    "bags.json",
}  # hold times, versions, places
SECONDS_TO_END = 60


def start(folder: Path, words: list[str]) -> subprocess.Popen[str]:
    """Start a command in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "survfuse", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(folder: Path, words: list[str]) -> float:
    """Run a command to its end; return its seconds."""
    began = time.perf_counter()
    process = start(folder, words)
    _, told = process.communicate()
    if process.returncode:
        raise SystemExit(
            f"{folder}: {' '.join(words)}: exit {process.returncode}\n{told}",
        )
    return time.perf_counter() - began


def inputs(root: Path) -> dict[str, Path]:
    """Make what each verb starts from: a folder a verb."""
    given = {verb: root / "given" / verb for verb in VERBS}
    small = ["--patients", "40", "--genes", "50", "--event-rate", "0.5"]
    bags, painted = (
        ["--tiles", "60", "--tile-dim", "16"],
        ["--slides", "--slide-px", "768"],
    )
    given["crossval"].mkdir(parents=True)
    given["extract"].mkdir()
    finish(given["crossval"], ["simulate", "-o", "cohort", *small, *bags])
    finish(given["extract"], ["simulate", "-o", "slides", *small, *painted])
    shutil.copytree(given["crossval"], given["train"])
    shutil.copytree(given["crossval"], given["predict"])
    finish(given["predict"], VERBS["train"])
    shutil.copytree(given["extract"], given["pack"])
    finish(given["pack"], [*VERBS["extract"], "--no-pack"])
    return given


def content(folder: Path) -> dict[str, str]:
    """Hash of every file by its place."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stays(name: str) -> bool:
    """Whether a file has the same bytes whenever it is made."""
    path = Path(name)
    return path.name not in VOLATILE and path.parent.name != "state"


def counted(folder: Path) -> list[str]:
    """Slides that have a crash in their record, or are quarantined."""
    records = [json.loads(path.read_text()) for path in folder.rglob("state/*.json")]
    return [
        one["slide_id"]
        for one in records
        if one["crashes"] or one["status"] == "quarantined"
    ]


def outlives(group: int) -> bool:
    """Whether a process of a session is there after the time that it has to end."""
    until = time.monotonic() + SECONDS_TO_END
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True


def disturb(
    folder: Path,
    words: list[str],
    seconds: float,
    number: signal.Signals,
    group: bool,
) -> dict[str, Any]:
    """Start a command and send it a signal after so many seconds."""
    process = start(folder, words)
    time.sleep(seconds)
    if process.poll() is None:
        (os.killpg if group else os.kill)(process.pid, number)
    _, told = process.communicate()
    found: dict[str, Any] = {"exit": process.returncode, "outlives": False}
    if number != signal.SIGKILL and process.returncode:
        found["told"] = told
        found["left"] = [
            name
            for name in content(folder)
            if name.endswith((".part", ".old", ".lock"))
        ]
    if number != signal.SIGKILL:
        found["outlives"] = outlives(process.pid)
    return found


def one(
    verb: str,
    given: Path,
    place: Path,
    straight: dict[str, str],
    longest: float,
    how: argparse.Namespace,
) -> dict[str, Any]:
    """Disturb a run, end it, and say what is not as it should be."""
    words, number = command(verb, how.executor), signal.Signals[f"SIG{how.signal}"]
    shutil.copytree(given, place)
    row: dict[str, Any] = {"verb": verb, "disturbed": []}
    for _ in range(how.times):
        after = how.chance.uniform(0, longest)
        row["disturbed"].append(
            {
                "after": round(after, 3),
                **disturb(place, words, after, number, how.group),
            },
        )
        if row["disturbed"][-1]["exit"] == 0:
            break
    if row["disturbed"][-1]["exit"] != 0:
        finish(place, words)
    found = content(place)
    row["litter"] = sorted(set(found) - set(straight))
    row["missing"] = sorted(set(straight) - set(found))
    row["differ"] = [
        name for name in straight if stays(name) and found.get(name) != straight[name]
    ]
    row["counted"] = counted(place)
    shutil.rmtree(place)
    return row


def command(verb: str, executor: str) -> list[str]:
    """Words of a verb."""
    return [*VERBS[verb], *(["--executor", executor] if verb in CARRIED else [])]


def wrong_end(row: dict[str, Any], number: signal.Signals) -> bool:
    """Whether a signal that can be met ended the run in another way than it should."""
    # before our own code runs, and after it, the signal ends the interpreter
    good = {0, -number} if number == signal.SIGKILL else {0, 128 + number, -number}
    return any(
        one["exit"] not in good or "Traceback" in one.get("told", "")
        for one in row["disturbed"]
    )


def show(verb: str, rows: list[dict[str, Any]], number: signal.Signals) -> None:
    """Print one line of the table, and whatever was not as it should be."""
    ended = sum(row["disturbed"][0]["exit"] == 0 for row in rows)
    same = sum(not row["differ"] and not row["missing"] for row in rows)
    counts = [sum(bool(row[name]) for row in rows) for name in ("litter", "counted")]
    counts.append(sum(any(one["outlives"] for one in row["disturbed"]) for row in rows))
    counts.append(sum(wrong_end(row, number) for row in rows))
    counts.append(sum(any(one.get("left") for one in row["disturbed"]) for row in rows))
    numbers = [len(rows), ended, same, *counts]
    print(f"{verb:>10}" + "".join(f"{value:>11}" for value in numbers), flush=True)
    for row in rows:
        wrong = {
            name: row[name]
            for name in ("litter", "missing", "differ", "counted")
            if row[name]
        }
        if (
            wrong
            or wrong_end(row, number)
            or any(one.get("left") for one in row["disturbed"])
        ):
            print("  ", json.dumps({**wrong, "disturbed": row["disturbed"]}, indent=1))


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "verbs",
        nargs="*",
        metavar="VERB",
        help=f"of {', '.join(VERBS)}; all by default",
    )
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument(
        "--signal",
        choices=["KILL", "TERM", "HUP", "INT"],
        default="KILL",
    )
    parser.add_argument(
        "--group",
        action="store_true",
        help="to all processes of the run, not to the first",
    )
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument(
        "--executor",
        choices=["inline", "process", "ray"],
        default="inline",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path)
    how = parser.parse_args()
    how.chance = random.Random(how.seed)
    signal.signal(
        signal.SIGINT,
        signal.default_int_handler,
    )  # whoever runs this behind the scenes ignores it
    if how.signal in ("TERM", "HUP"):
        signal.signal(signal.Signals[f"SIG{how.signal}"], signal.SIG_DFL)
    heads = ("runs", "ended", "same", "litter", "counted", "processes", "exit", "left")
    everything = {}
    with tempfile.TemporaryDirectory(prefix="survfuse-kills-") as name:
        root = Path(name)
        given = inputs(root)
        print(f"{'':>10}" + "".join(f"{head:>11}" for head in heads), flush=True)
        for verb in how.verbs or VERBS:
            place = (
                root / "here"
            )  # always the same, for some files hold their own place
            shutil.copytree(given[verb], place)
            longest = finish(place, command(verb, how.executor))
            straight = content(place)
            shutil.rmtree(place)
            rows = [
                one(verb, given[verb], place, straight, longest, how)
                for _ in range(how.runs)
            ]
            show(verb, rows, signal.Signals[f"SIG{how.signal}"])
            everything[verb] = rows
    if how.out is not None:
        write_json(how.out, everything)


if __name__ == "__main__":
    main()
