"""Completion in the shell: the scripts, the names it offers, and that it is quick."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import get_args

import pytest

from survfuse.cli import completions
from survfuse.config import CrossvalConfig
from survfuse.config.fit_config import PRESETS
from survfuse.evaluation.assessment_settings import WAYS
from survfuse.executors import make_executor

SHELLS = ("bash", "zsh", "fish")
IMPORTED = "import sys; from survfuse.__main__ import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"


def asked(words: str, shell: str, how: str = "complete") -> str:
    """What a shell is answered; torch must not have been imported for it."""
    parts = words.split(" ")
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env={
            **os.environ,
            "_SURVFUSE_COMPLETE": f"{how}_{shell}",
            "_TYPER_COMPLETE_ARGS": words,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(parts) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_a_script_that_calls_survfuse(shell: str) -> None:
    script = asked("survfuse", shell, "source")
    assert "survfuse" in script
    assert f"_SURVFUSE_COMPLETE=complete_{shell}" in script


@pytest.mark.parametrize("shell", SHELLS)
def test_verbs_and_options_are_completed(shell: str) -> None:
    answer = asked("survfuse cross", shell)
    assert "crossval" in answer
    assert "train" not in answer.replace("Cross-validate", "")
    assert "--preset" in asked("survfuse crossval --pre", shell)


def test_values_are_completed() -> None:
    assert asked("survfuse train --preset pa", "bash").split() == ["paper"]
    assert asked("survfuse crossval --executor ", "bash").split() == [
        *completions.EXECUTORS,
    ]
    keys = asked("survfuse train --set model.network.ran", "bash").split()
    assert keys == ["model.network.rank="]


def test_the_names_are_those_of_the_program() -> None:
    assert completions.PRESETS == PRESETS
    assert (
        get_args(CrossvalConfig.model_fields["split"].annotation) == completions.SPLITS
    )
    assert set(completions.INTERVALS) == set(WAYS)
    for name in completions.EXECUTORS[:2]:
        assert make_executor(name).name == name
    assert "crossval.quick=" in completions.settings("crossval.qu")
    assert len(completions.settings("model.")) > 50
