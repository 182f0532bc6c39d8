from __future__ import annotations

import json
from pathlib import Path

import pytest

from prior_cohorts import risk_cohort
from running import Command
from survfuse.readers.priors import read_prior, shipped_priors


@pytest.fixture
def cohorts(tmp_path: Path) -> list[Path]:
    """Two cohort files with one planted risk."""
    return [risk_cohort(tmp_path / str(seed), seed).write() for seed in (1, 2)]


def test_fit_writes_a_prior_that_show_reads(
    command: Command, cohorts: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "our-prior"
    ended = command("prior", "fit", *cohorts, "-o", out)
    assert ended.code == 0
    assert ended.out.endswith(f"prior: {out}\n")
    steps = [json.loads(line) for line in ended.err.splitlines()]
    assert steps == [
        {"event": "fit", "done": 1, "of": 2},
        {"event": "fit", "done": 2, "of": 2},
    ]
    prior = read_prior(out)
    assert prior.name == "our_prior"
    assert prior.slope > 0.5
    shown = command("prior", "show", out, "--json", tmp_path / "p.json")
    assert shown.code == 0
    for text in (
        "our_prior",
        "overall survival",
        "2: site1, site2",
        f"{prior.slope:.3f} ± {prior.slope_spread:.3f}",
        "GENE1",
        "not for: effects of treatment",
    ):
        assert text in shown.out
    numbers = json.loads((tmp_path / "p.json").read_text())
    assert numbers["slope"] == prior.slope
    assert numbers["card"]["events"] == prior.card["events"]


def test_options_reach_the_fit(
    command: Command, cohorts: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "prior"
    options = ("--name", "ours", "--offsets", "none", "--quiet")
    ended = command("prior", "fit", cohorts[0], "-o", out, *options)
    assert (ended.code, ended.err) == (0, "")
    prior = read_prior(out)
    assert prior.name == "ours"
    assert prior.card["cohorts"][0]["offset"] == []


def test_a_folder_that_begins_with_a_digit_gives_a_name(
    command: Command, cohorts: list[Path], tmp_path: Path
) -> None:
    ended = command("prior", "fit", *cohorts, "-o", tmp_path / "2024-v1", "--quiet")
    assert ended.code == 0
    assert read_prior(tmp_path / "2024-v1").name == "prior_2024_v1"


def test_an_existing_folder_is_refused_before_the_work(
    command: Command, tmp_path: Path
) -> None:
    ended = command("prior", "fit", tmp_path / "absent.yaml", "-o", tmp_path)
    assert ended.code == 2
    assert "exists already; give a new folder" in ended.err


def test_one_cohort_twice_is_refused(
    command: Command, cohorts: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "prior"
    ended = command("prior", "fit", cohorts[0], cohorts[0], "-o", out)
    assert ended.code == 2
    assert "hold the same patients and values; give it once" in ended.err
    assert not out.exists()


def test_show_of_no_prior_lists_the_shipped_ones(command: Command) -> None:
    ended = command("prior", "show", "nowhere")
    assert ended.code == 2
    assert ", ".join(shipped_priors()) in ended.err


@pytest.mark.parametrize("name", shipped_priors())
def test_shipped_priors_are_shown(command: Command, name: str) -> None:
    ended = command("prior", "show", name)
    assert ended.code == 0
    for text in (name, "licence", "provenance", "not for: patients of TCGA"):
        assert text in ended.out
