from __future__ import annotations

import json
from pathlib import Path

import pytest

from running import Command
from survfuse.cli import doctor


def told(command: Command, tmp_path: Path) -> dict[str, dict[str, str]]:
    assert command("doctor", "--json", tmp_path / "d.json").code == 0
    found: dict[str, dict[str, str]] = json.loads((tmp_path / "d.json").read_text())
    return found


def test_extras_and_the_library_behind_openslide(
    command: Command,
    tmp_path: Path,
) -> None:
    import openslide

    found = told(command, tmp_path)
    for name in (
        "openslide-bin",
        "openslide-python",
        "tifffile",
        "timm",
        "ray",
    ):
        assert found[name]["status"] == "ok"
    assert found["openslide library"] == {
        "status": "ok",
        "detail": openslide.__library_version__,
    }


def test_what_is_too_old_is_said(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions = {"openslide-bin": "4.0.0.12", "torch": "2.9.1+cpu"}
    monkeypatch.setattr(doctor, "version", lambda name: versions.get(name, "99"))
    monkeypatch.setattr("openslide.__library_version__", "3.4.1")
    found = told(command, tmp_path)
    assert found["openslide-bin"]["status"] == found["torch"]["status"] == "OLD"
    assert found["openslide-bin"]["detail"].startswith(
        "4.0.0.12; 4.0.1.1 or later is needed",
    )
    assert found["openslide library"]["detail"].startswith(
        "3.4.1; 4.0.1.1 or later is needed",
    )
    assert found["numpy"] == {"status": "ok", "detail": "99"}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("4.0.1.2", (4, 0, 1, 2)),
        ("2.13.0+cpu", (2, 13, 0)),
        ("1.0rc1", (1, 0)),
        ("", ()),
        ("dev", ()),
    ],
)
def test_versions_are_compared_by_number(text: str, numbers: tuple[int, ...]) -> None:
    assert doctor._numbers(text) == numbers


def test_shipped_priors_are_listed(command: Command, tmp_path: Path) -> None:
    assert told(command, tmp_path)["priors"] == {
        "status": "ok",
        "detail": "tcga_pancancer",
    }
