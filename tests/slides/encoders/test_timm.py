"""The trap of a torchvision built for CUDA beside a torch built for the CPU."""

from __future__ import annotations

import subprocess
import sys

import pytest

from survfuse._errors import MissingExtraError
from survfuse.slides.encoders import _timm


@pytest.mark.slow
def test_a_fresh_interpreter_imports_timm_without_a_warning() -> None:
    code = "from survfuse.slides.encoders._timm import import_timm; print(import_timm().__name__)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "timm"), done.stderr


def test_twice_is_once() -> None:
    assert _timm.import_timm() is _timm.import_timm()
    assert len(_timm._libraries) <= 1


@pytest.mark.parametrize("absent", ["timm", "torchvision"])
def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(
        MissingExtraError,
        match=r"^\w+ is needed for this encoder: pip install 'survfuse\[encoders\]'",
    ):
        _timm.import_timm()


def test_any_other_failure_of_torchvision_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(name: str) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(_timm, "import_module", refuse)
    with pytest.raises(RuntimeError, match=r"^the disk is on fire$"):
        _timm.import_torchvision()
