"""`doctor`: what is installed, what is missing, and what that costs."""

from __future__ import annotations

import platform
import re
from importlib.metadata import (
    EntryPoint,
    PackageNotFoundError,
    distributions,
    requires,
    version,
)

import typer

from survfuse.cli.options import JsonFile

Finding = tuple[str, str]
"""Status and detail."""


def doctor(json: JsonFile = None) -> None:
    """Check the installation: versions, optional parts, threads, GPU, data."""
    findings = _findings()
    width = max(map(len, findings))
    for name, (status, detail) in findings.items():
        typer.echo(f"{name:<{width}}  {status:<8} {detail}")
    if json is not None:
        from survfuse._storage import write_json

        content = {}
        for name, (status, detail) in findings.items():
            content[name] = {"status": status, "detail": detail}
        write_json(json, content)


def _findings() -> dict[str, Finding]:
    import torch

    from survfuse.datasets.download import local_folder
    from survfuse.readers.priors import shipped_priors

    requirements = _requirements()
    findings = {"python": ("ok", platform.python_version())}
    for name, (extra, lowest) in requirements.items():
        findings[name] = _check_package(name, extra, lowest)
    library = _check_openslide(requirements["openslide-bin"][1])
    if library is not None:
        findings["openslide library"] = library
    for package in distributions():
        for point in package.entry_points:
            if point.group.startswith("survfuse."):
                findings[f"{point.group}: {point.name}"] = _check_plugin(point)
    findings["threads"] = ("ok", str(torch.get_num_threads()))
    findings["gpu"] = ("absent", "none; networks train on the CPU")
    if torch.cuda.is_available():
        findings["gpu"] = ("ok", torch.cuda.get_device_name())
    findings["priors"] = ("ok", ", ".join(shipped_priors()) or "none is shipped")
    folder = local_folder("")
    findings["local data"] = ("absent", "set SURVFUSE_DATA to a local copy")
    if folder:
        findings["local data"] = ("ok", str(folder))
    return findings


def _requirements() -> dict[str, tuple[str, str]]:
    """Required and optional packages: the extra that brings each, and the lowest version."""
    rows: dict[str, tuple[str, str]] = {}
    for line in requires("survfuse") or []:
        name = re.match(r"[^ <>=!~;\[(]+", line)
        extra = line.partition("extra ==")[2].strip(" '\"")
        lowest = re.search(r">=\s*([\d.]+)", line.split(";")[0])
        if name and extra != "test":
            rows.setdefault(name[0], (extra, lowest[1] if lowest else ""))
    return rows


def _check_package(
    name: str,
    extra: str,
    lowest: str,
) -> Finding:
    try:
        installed = version(name)
    except PackageNotFoundError:
        if extra:
            return "absent", f"optional: pip install 'survfuse[{extra}]'"
        return "MISSING", "required; install survfuse again"
    if _numbers(installed) < _numbers(lowest):
        return "OLD", f"{installed}; {lowest} or later is needed: pip install -U {name}"
    return "ok", installed


def _check_openslide(lowest: str) -> Finding | None:
    """Version of the OpenSlide library that is really loaded: it need not be openslide-bin's."""
    try:
        import openslide
    except (ImportError, OSError):
        return None
    loaded = str(openslide.__library_version__)
    numbers = _numbers(loaded)
    if numbers < _numbers(lowest)[: len(numbers)]:
        return (
            "OLD",
            f"{loaded}; {lowest} or later is needed, earlier ones misread files: "
            "pip install openslide-bin",
        )
    return "ok", loaded


def _check_plugin(point: EntryPoint) -> Finding:
    """Package and version of a plug-in, or why it cannot be imported."""
    from survfuse._errors import ConfigError
    from survfuse._registry import load_plugin

    try:
        load_plugin(point)
    except ConfigError as error:
        return "BROKEN", str(error)
    return "ok", f"{point.dist.name} {point.dist.version}" if point.dist else ""


def _numbers(text: str) -> tuple[int, ...]:
    """Leading numbers of a version.

    >>> _numbers("2.13.0+cpu") < _numbers("2.9")
    False
    """
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()
