"""`doctor`: what is installed, what is missing, and what that costs."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version

import typer

from survfuse.cli.options import JsonFile


def doctor(json: JsonFile = None) -> None:
    """Check the installation: versions, optional parts, threads, GPU, data."""
    found = _look()
    width = max(len(name) for name in found)
    for name, (status, told) in found.items():
        typer.echo(f"{name:<{width}}  {status:<8} {told}")
    if json is not None:
        from survfuse._storage import write_json

        write_json(
            json,
            {
                name: {"status": status, "detail": told}
                for name, (status, told) in found.items()
            },
        )


def _look() -> dict[str, tuple[str, str]]:
    import torch

    from survfuse.datasets.download import local_folder

    found = {"python": ("ok", platform.python_version())}
    for name, extra, floor in _requirements():
        found[name] = _installed(name, extra, floor)
    library = _openslide()
    if library is not None:
        found["openslide library"] = library
    gpu = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else "none; networks train on the CPU"
    )
    found["threads"] = ("ok", str(torch.get_num_threads()))
    found["gpu"] = ("ok" if torch.cuda.is_available() else "absent", gpu)
    folder = local_folder("")
    told = (
        ("ok", str(folder))
        if folder
        else ("absent", "set SURVFUSE_DATA to a local copy")
    )
    found["local data"] = told
    return found


def _requirements() -> list[tuple[str, str, str]]:
    """Required and optional distributions: name, the extra that brings it, the lowest version."""
    rows: dict[str, tuple[str, str]] = {}
    for line in requires("survfuse") or []:
        name = line.split(";")[0].strip()
        name = name[
            : next(
                (i for i, letter in enumerate(name) if letter in " <>=!~[("),
                len(name),
            )
        ]
        extra = line.partition("extra ==")[2].strip(" '\"")
        floor = re.search(r">=\s*([\d.]+)", line.split(";")[0])
        if extra != "test":
            rows.setdefault(name, (extra, floor[1] if floor else ""))
    return [(name, *row) for name, row in rows.items()]


def _installed(name: str, extra: str, floor: str) -> tuple[str, str]:
    try:
        there = version(name)
    except PackageNotFoundError:
        if extra:
            return "absent", f"optional: pip install 'survfuse[{extra}]'"
        return "MISSING", "required; install survfuse again"
    if _numbers(there) < _numbers(floor):
        return "OLD", f"{there}; {floor} or later is needed: pip install -U {name}"
    return "ok", there


def _openslide() -> tuple[str, str] | None:
    """Tell the OpenSlide library that is really loaded: it need not be openslide-bin's."""
    try:
        import openslide
    except (ImportError, OSError):
        return None
    there = str(openslide.__library_version__)
    floor = next(
        (floor for name, _, floor in _requirements() if name == "openslide-bin"),
        "",
    )
    if _numbers(there) < _numbers(floor)[: len(_numbers(there))]:
        return (
            "OLD",
            f"{there}; {floor} or later is needed, earlier ones misread files: pip install openslide-bin",
        )
    return "ok", there


def _numbers(text: str) -> tuple[int, ...]:
    """Leading numbers of a version.

    >>> _numbers("2.13.0+cpu") < _numbers("2.9")
    False
    """
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()
