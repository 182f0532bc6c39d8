"""`doctor`: what is installed, what is missing, and what that costs."""

from __future__ import annotations

import platform
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

        write_json(json, {name: {"status": status, "detail": told} for name, (status, told) in found.items()})


def _look() -> dict[str, tuple[str, str]]:
    import torch

    from survfuse.datasets.download import local_folder

    found = {"python": ("ok", platform.python_version())}
    for name, extra in _requirements():
        found[name] = _installed(name, extra)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; networks train on the CPU"
    found["threads"] = ("ok", str(torch.get_num_threads()))
    found["gpu"] = ("ok" if torch.cuda.is_available() else "absent", gpu)
    folder = local_folder("")
    told = ("ok", str(folder)) if folder else ("absent", "set SURVFUSE_DATA to a local copy")
    found["local data"] = told
    return found


def _requirements() -> list[tuple[str, str]]:
    """Names of required and optional distributions, with the extra that brings them."""
    rows: dict[str, str] = {}
    for line in requires("survfuse") or []:
        name = line.split(";")[0].strip()
        name = name[: next((i for i, letter in enumerate(name) if letter in " <>=!~[("), len(name))]
        extra = line.partition("extra ==")[2].strip(" '\"")
        if extra not in {"test", "docs"}:
            rows.setdefault(name, extra)
    return list(rows.items())


def _installed(name: str, extra: str) -> tuple[str, str]:
    try:
        return "ok", version(name)
    except PackageNotFoundError:
        if extra:
            return "absent", f"optional: pip install 'survfuse[{extra}]'"
        return "MISSING", "required; install survfuse again"
