"""The job files in examples/ say what the command line understands."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from survfuse.cli import app
from survfuse.executors import Shard

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def understood(arguments: list[str]) -> dict[str, object]:
    """Parse arguments of `survfuse extract`; what it does not know is refused."""
    group: Any = typer.main.get_command(app)
    context = group.commands["extract"].make_context("extract", list(arguments))
    return dict(context.params)


def test_the_slurm_script() -> None:
    path = EXAMPLES / "slurm_extract.sh"
    text = path.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", path], check=True)
    options = re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", text, flags=re.M)
    assert len(options) == text.count("#SBATCH")
    assert dict(options)["array"] == "0-15"
    (line,) = re.findall(r"^srun survfuse extract (.*)$", text, flags=re.M)
    given = understood([word for word in shlex.split(line) if word != "$@"])
    assert (given["shard"], given["executor"], given["workers"], given["readers"]) == (
        "slurm",
        "process",
        1,
        4,
    )
    environment = {
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_ARRAY_TASK_COUNT": "16",
        "SLURM_ARRAY_TASK_MIN": "0",
    }
    assert Shard.parse("slurm", environment) == Shard(3, 16)


@pytest.mark.parametrize(
    ("code", "ended"),
    [(0, 0), (3, 0), (1, 1), (2, 2), (137, 137)],
)
def test_the_slurm_script_hands_on_what_must_be_tried_again(
    tmp_path: Path,
    code: int,
    ended: int,
) -> None:
    """With a stand-in for `srun` that ends as the command would."""
    srun = tmp_path / "srun"
    srun.write_text(f'#!/bin/bash\necho "$@" > {tmp_path}/called\nexit {code}\n')
    srun.chmod(0o755)
    done = subprocess.run(
        ["bash", EXAMPLES / "slurm_extract.sh", "my cohort.yaml", "--encoder", "uni"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    assert done.returncode == ended
    called = (tmp_path / "called").read_text()
    assert called.startswith(
        "survfuse extract my cohort.yaml --encoder uni --shard slurm",
    )


def test_the_kubernetes_job() -> None:
    job = yaml.safe_load(
        (EXAMPLES / "kubernetes_extract.yaml").read_text(encoding="utf-8"),
    )
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert container["command"] == ["survfuse", "extract"]
    given = understood(container["args"])
    assert (given["shard"], given["encoder"], given["cohort"]) == (
        "k8s",
        "uni",
        Path("/study/cohort.yaml"),
    )
    environment = {one["name"]: one["value"] for one in container["env"]}
    shard = Shard.parse("k8s", {**environment, "JOB_COMPLETION_INDEX": "15"})
    assert (spec["completionMode"], shard) == (
        "Indexed",
        Shard(15, spec["completions"]),
    )
    codes = {
        tuple(rule["onExitCodes"]["values"]): rule["action"]
        for rule in spec["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule
    }
    assert codes == {(2,): "FailJob", (3,): "FailIndex"}
    assert (
        spec["template"]["spec"]["restartPolicy"] == "Never"
    )  # what podFailurePolicy needs
