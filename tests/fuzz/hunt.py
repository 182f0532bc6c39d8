"""Feed changed files to a reader in a child process, and note what is not answered by an error of ours.

    python -m fuzz.hunt --long                               every reader a million times (in folder tests)
    python -m fuzz.hunt hdf5 torch --seconds 60              some readers for a minute each
    python -m fuzz.hunt hdf5 --only 1234 --keep /tmp/found   make one input again and keep it
    python -m fuzz.hunt hdf5 --atheris --long                let atheris choose the bytes

Execution number N of a seed is always the same input. A finding is any exception that is not a
SurvfuseError, a death, more than 10 s, or more than 1 GiB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzz.mutations import mutate
from fuzz.readers import READERS, Reader

SECONDS_LIMIT = 10.0
MEMORY_LIMIT = 2**30  # bytes beyond what the child had before
ADDRESS_LIMIT = 6 * 2**30
STARTING_SECONDS = 120.0


@dataclass
class Hunt:
    """What came of one reader."""

    reader: str
    executions: int = 0
    refused: int = 0
    findings: list[tuple[int, str]] = field(default_factory=list)

    def __str__(self) -> str:
        first: dict[str, tuple[int, str]] = {}
        for number, what in self.findings:
            first.setdefault(
                f"{what.partition(':')[0]}{what.rpartition('(')[2]}",
                (number, what),
            )
        counts = f"{self.executions} executions, {self.refused} refused, {len(self.findings)} escaped"
        lines = [f"{self.reader}: {counts}"]
        return "\n".join(
            lines + [f"  first at {number}: {what}" for number, what in first.values()],
        )


class Inputs:
    """The changed inputs of a reader, each made in one folder.

    Parameters
    ----------
    reader : Reader
    folder : path
        Empty.
    seed : int
    """

    def __init__(self, reader: Reader, folder: Path, seed: int) -> None:
        self.reader, self.seed, self.place = reader, seed, folder / "input"
        reader.write(folder / "seeds")
        self.seeds = sorted(
            path for path in (folder / "seeds").iterdir() if path.is_dir()
        )

    def make(self, number: int) -> Path:
        """Lay down input `number` and return its folder."""
        random = Random(f"{self.seed}/{number}")
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(random.choice(self.seeds), self.place)
        files = sorted(
            path for path in self.place.rglob(self.reader.changed) if path.is_file()
        )
        changed = random.choice(files)
        changed.write_bytes(mutate(changed.name, changed.read_bytes(), random))
        self.reader.alter(self.place)
        return self.place


def child(name: str, folder: Path, seed: int, start: int, executions: int) -> None:
    """Read inputs from number `start` on; a line of JSON before and after each."""
    from survfuse._errors import SurvfuseError

    warnings.simplefilter("ignore")
    inputs = Inputs(READERS[name], folder, seed)
    READERS[name].read(_whole(inputs))  # loads what is loaded lazily
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + ADDRESS_LIMIT, hard))
    quiet = open(os.devnull, "w")  # noqa: SIM115
    out, sys.stdout = sys.stdout, quiet
    for number in range(start, start + executions):
        place, before, what = inputs.make(number), _peak(), "read"
        print(json.dumps([number]), file=out, flush=True)
        try:
            READERS[name].read(place)
        except SurvfuseError:
            what = "refused"
        except BaseException as error:  # noqa: BLE001 - that is what is hunted
            frame = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {str(error)[:200]} ({Path(frame.filename).name}:{frame.lineno})"
        if _peak() - before > MEMORY_LIMIT:
            what = f"memory: {(_peak() - before) / 2**20:.0f} MiB ({what})"
        print(json.dumps([number, what]), file=out, flush=True)


def _whole(inputs: Inputs) -> Path:
    shutil.rmtree(inputs.place, ignore_errors=True)
    shutil.copytree(inputs.seeds[0], inputs.place)
    return inputs.place


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def hunt(
    name: str,
    *,
    seconds: float | None = None,
    executions: int = 2**62,
    seed: int = 0,
    start: int = 0,
    patience: float = SECONDS_LIMIT,
) -> Hunt:
    """Hunt in one reader until time or executions are used up; children that die are replaced.

    The clock starts with the first execution. An execution hangs when it takes more than `patience` seconds.
    """
    found = Hunt(name)
    until: float | None = None
    while found.executions < executions and (until is None or time.monotonic() < until):
        left = executions - found.executions
        for message in _messages(name, seed, start + found.executions, left, patience):
            if until is None:
                until = time.monotonic() + (1e9 if seconds is None else seconds)
            if isinstance(message, str):
                found.findings.append((start + found.executions, message))
                found.executions += 1
                break
            if len(message) == 2:
                found.executions += 1
                found.refused += message[1] == "refused"
                if message[1] not in ("read", "refused"):
                    found.findings.append((message[0], message[1]))
            if time.monotonic() > until:
                return found
    return found


def _messages(
    name: str,
    seed: int,
    start: int,
    executions: int,
    patience: float,
) -> Iterator[list | str]:
    """Lines of a child, and how it ended where it did not end well."""
    import select

    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "fuzz.hunt",
            name,
            "--child",
            folder,
            "--seed",
            str(seed),
        ]
        command += ["--start", str(start), "--executions", str(min(executions, 10**9))]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        assert process.stdout is not None
        pending, started = b"", False
        try:
            while True:
                longest = patience if started else STARTING_SECONDS
                if not select.select([process.stdout], [], [], longest)[0]:
                    yield f"hang: more than {longest:.0f} s"
                    return
                piece = os.read(process.stdout.fileno(), 2**16)
                if not piece:
                    break
                *lines, pending = (pending + piece).split(b"\n")
                started = True
                yield from map(json.loads, lines)
            code = process.wait()
            if not started:
                raise RuntimeError(f"the child for {name} did not start (exit {code})")
            if code:
                yield f"death: {signal.Signals(-code).name if code < 0 else f'exit {code}'}"
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def atheris_hunt(name: str, executions: int, seed: int) -> None:
    """Let atheris choose the bytes of the largest file of the first seed (led by coverage of Python)."""
    import atheris

    from survfuse._errors import SurvfuseError

    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(READERS[name], Path(folder), seed)
        place = _whole(inputs)
        target = max(
            (path for path in place.rglob("*") if path.is_file()),
            key=lambda path: path.stat().st_size,
        )
        (corpus := Path(folder) / "corpus").mkdir()
        (corpus / "seed").write_bytes(target.read_bytes())
        atheris.instrument_all()

        def once(data: bytes) -> None:
            target.write_bytes(data)
            inputs.reader.alter(place)
            try:
                inputs.reader.read(place)
            except SurvfuseError:
                return

        limits = [
            f"-runs={executions}",
            f"-seed={seed + 1}",
            "-timeout=10",
            "-rss_limit_mb=4096",
            "-max_len=65536",
        ]
        atheris.Setup([sys.argv[0], *limits, str(corpus)], once)
        atheris.Fuzz()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "readers",
        nargs="*",
        choices=[*READERS, []],
        help="all by default",
    )
    parser.add_argument("--seconds", type=float, help="for each reader")
    parser.add_argument("--executions", type=int, default=2**62, help="for each reader")
    parser.add_argument(
        "--long",
        action="store_true",
        help="the same as --executions 1000000",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--start",
        type=int,
        default=0,
        help="number of the first execution",
    )
    parser.add_argument(
        "--only",
        type=int,
        help="make one input, keep it, read it and show what comes",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        default=Path("found"),
        help="where --only leaves its input",
    )
    parser.add_argument(
        "--atheris",
        action="store_true",
        help="let atheris choose the inputs",
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    said = parser.parse_args()
    names = said.readers or list(READERS)
    executions = 10**6 if said.long else said.executions
    if said.child:
        child(names[0], said.child, said.seed, said.start, executions)
    elif said.only is not None:
        said.keep.mkdir(parents=True)
        print(
            READERS[names[0]].read(
                Inputs(READERS[names[0]], said.keep, said.seed).make(said.only),
            ),
        )
    elif said.atheris:
        atheris_hunt(names[0], executions, said.seed)
    else:
        found = []
        for name in names:
            found.append(
                hunt(
                    name,
                    seconds=said.seconds,
                    executions=executions,
                    seed=said.seed,
                    start=said.start,
                ),
            )
            print(found[-1], flush=True)
        escaped = sum(len(one.findings) for one in found)
        print(
            f"all: {sum(one.executions for one in found)} executions, {escaped} escaped",
        )
        sys.exit(1 if escaped else 0)


if __name__ == "__main__":
    main()
