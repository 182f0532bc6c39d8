from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from survfuse._digests import write_cached_json
from survfuse._errors import (
    CohortError,
    InputError,
    MissingExtraError,
    NotComputableError,
)
from survfuse._storage import read_json, to_json, write_json
from survfuse.config import FitConfig
from survfuse.tuning.search import (
    SearchResult,
    describe_search,
    describe_searches,
    search,
    trial_file,
)

SPACE = {"rank": [2, 4, 8], "dropout": [0.1, 0.3]}
BEST = {"rank": 8, "dropout": 0.3}


class Bench:
    """Scores configurations by a formula, and remembers which it was asked for."""

    def __init__(self, broken: Sequence[int] = ()) -> None:
        self.asked: list[tuple[int, float]] = []
        self.broken = broken

    def __call__(self, config: FitConfig, label: str) -> tuple[float, tuple[int, ...]]:
        assert (config.search.method, config.search.space) == ("none", None)
        self.asked.append((config.network.rank, config.network.dropout))
        if config.network.rank in self.broken:
            raise NotComputableError(f"rank {config.network.rank} is broken")
        return config.network.rank / 10 + config.network.dropout, (config.network.rank,)


def found(
    bench: Callable[..., Any],
    folder: Path | None = None,
    key: str = "k",
    **fields: Any,
) -> SearchResult:
    given = {
        "search": "grid",
        "search_space": SPACE,
        "fusion": "pairwise",
        "seed": 3,
        **fields,
    }
    return search(FitConfig.of(**given), ("clinical",), bench, folder=folder, key=key)


def test_a_grid_tries_the_given_values_and_every_combination() -> None:
    bench = Bench()
    result = found(bench)
    assert bench.asked[0] == (16, 0.5)
    assert sorted(bench.asked[1:]) == sorted(
        (r, d) for r in (2, 4, 8) for d in (0.1, 0.3)
    )
    assert result.log["chosen"] == 0
    assert result.log["values"] == {"rank": 16, "dropout": 0.5}
    assert (result.log["possible"], result.log["stopped"], result.log["note"]) == (
        6,
        "nothing left",
        "",
    )


@pytest.mark.parametrize("how", ["grid", "optuna"])
def test_the_best_is_chosen_and_searches_no_more(how: str) -> None:
    if how == "optuna":
        pytest.importorskip("optuna")
    result = found(Bench(), search=how, rank=1, dropout=0.0, search_trials=40)
    assert result.log["values"] == BEST
    config = result.config
    assert (
        config.network.rank,
        config.network.dropout,
        config.search.method,
        config.search.space,
    ) == (
        8,
        0.3,
        "none",
        None,
    )
    assert config == FitConfig.of(
        fusion="pairwise",
        seed=3,
        rank=8,
        dropout=0.3,
        search_trials=40,
    )
    best = result.log["trials"][result.log["chosen"]]
    assert best["score"] == max(trial["score"] for trial in result.log["trials"])
    assert best["epochs"] == [8]
    to_json(result.log)


def test_equal_scores_keep_the_given_configuration() -> None:
    result = found(lambda config, label: (1.0, ()))
    assert result.log["chosen"] == 0
    assert len(result.log["trials"]) == 7


def test_nothing_is_computed_twice() -> None:
    bench = Bench()
    found(bench, rank=4, dropout=0.1)
    assert len(bench.asked) == len(set(bench.asked)) == 6


def test_optuna_stops_when_a_small_space_is_exhausted() -> None:
    pytest.importorskip("optuna")
    bench = Bench()
    result = found(bench, search="optuna", search_trials=500)
    assert len(bench.asked) == len(set(bench.asked)) == 7
    assert result.log["stopped"] == "nothing left"


def test_optuna_is_seeded_and_stays_in_its_ranges() -> None:
    pytest.importorskip("optuna")
    space = {
        "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
        "rank": {"low": 2, "high": 9},
    }

    def values(seed: int) -> list[dict[str, Any]]:
        log = found(
            lambda config, label: (-abs(config.training.learning_rate - 0.01), ()),
            search="optuna",
            search_space=space,
            search_trials=15,
            seed=seed,
        ).log
        return [trial["values"] for trial in log["trials"]]

    first = values(0)
    assert first == values(0)
    assert first[1:] != values(1)[1:]
    assert len(first) == 15
    assert all(
        1e-4 <= one["learning_rate"] <= 1e-1 and one["rank"] in range(2, 10)
        for one in first[1:]
    )


def test_a_failed_trial_is_kept_with_its_reason() -> None:
    result = found(Bench(broken=(8, 16)))
    failed = [trial for trial in result.log["trials"] if trial["state"] == "failed"]
    assert len(failed) == 3
    assert {trial["reason"] for trial in failed} == {
        "rank 8 is broken",
        "rank 16 is broken",
    }
    assert all(trial["score"] is None for trial in failed)
    assert result.log["values"] == {"rank": 4, "dropout": 0.3}
    assert result.log["note"] == "3 of 7 trials failed"


def test_values_that_do_not_go_together_fail_without_a_fit() -> None:
    bench = Bench()
    result = found(bench, search_space={"rank": [4, -1]}, rank=2)
    assert result.log["values"] == {"rank": 4}
    assert [trial["state"] for trial in result.log["trials"]] == [
        "done",
        "done",
        "failed",
    ]
    assert (
        "trial 2.network.rank: Input should be greater than or equal to 1"
        in result.log["trials"][2]["reason"]
    )
    assert len(bench.asked) == 2


def test_when_all_fail_the_first_reason_is_raised() -> None:
    def evaluate(config: FitConfig, label: str) -> tuple[float, tuple[int, ...]]:
        raise CohortError(f"{label}no events")

    with pytest.raises(CohortError, match=r"^trial 0, no events$"):
        found(evaluate)


def test_what_is_no_answer_of_ours_ends_the_search() -> None:
    def evaluate(config: FitConfig, label: str) -> tuple[float, tuple[int, ...]]:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        found(evaluate)


# -- budgets


def test_search_trials_is_a_limit() -> None:
    bench = Bench()
    result = found(bench, search_trials=3)
    assert len(bench.asked) == 3
    assert result.log["stopped"] == "search_trials"


def test_no_trial_begins_when_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(
        "survfuse.tuning.search.clock.perf_counter",
        lambda: float(next(ticks)),
    )
    bench = Bench()
    result = found(bench, search_seconds=25.0)
    assert len(bench.asked) == 3, "10 seconds each: the third begins at 20"
    assert result.log["stopped"] == "search_seconds"
    assert result.log["seconds"] == 30
    assert (
        "25 seconds were over after 3 trials; another machine may choose otherwise"
        in result.log["note"]
    )


def test_a_model_without_options_is_fitted_as_given() -> None:
    bench = Bench()
    result = found(bench, search_space=None, fusion="anchored", search="grid")
    assert len(bench.asked) == 1
    assert (
        result.log["note"] == "this model has nothing to search; it was fitted as given"
    )
    assert result.log["values"] == {}


# -- resuming


@pytest.mark.parametrize("how", ["grid", "optuna"])
def test_a_killed_search_goes_on_and_finds_the_same(tmp_path: Path, how: str) -> None:
    if how == "optuna":
        pytest.importorskip("optuna")
    fields = {"search": how, "rank": 1, "search_trials": 6}
    whole = found(Bench(), **fields)

    class Killed(Bench):
        def __call__(
            self,
            config: FitConfig,
            label: str,
        ) -> tuple[float, tuple[int, ...]]:
            if len(self.asked) == 3:
                raise KeyboardInterrupt
            return super().__call__(config, label)

    first, second = Killed(), Bench()
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        found(first, tmp_path, **fields)
    again = found(second, tmp_path, **fields)
    assert len(second.asked) == len(whole.log["trials"]) - 3
    assert not set(first.asked) & set(second.asked)
    plain = [
        {k: v for k, v in t.items() if k != "seconds"} for t in again.log["trials"]
    ]
    assert plain == [
        {k: v for k, v in t.items() if k != "seconds"} for t in whole.log["trials"]
    ]
    assert again.config == whole.config


def test_trials_of_another_fit_are_refused(tmp_path: Path) -> None:
    found(Bench(), tmp_path, key="a")
    with pytest.raises(
        InputError,
        match=r"trial-0.json: a trial of another fit .* differ\); delete it",
    ):
        found(Bench(), tmp_path, key="b")
    kept = read_json(trial_file(tmp_path, 0))
    write_json(
        trial_file(tmp_path, 0),
        {"format": kept["format"], "version": 1, "key": "a", "trial": {}},
    )
    with pytest.raises(
        InputError,
        match=r"trial-0.json: a trial of another fit",
    ):  # version 1: no digest
        found(Bench(), tmp_path, key="a")


def test_a_kept_trial_of_other_values_is_computed_anew(tmp_path: Path) -> None:
    found(Bench(), tmp_path)
    kept = read_json(trial_file(tmp_path, 2))
    del kept["sha256"]
    kept["trial"]["values"] = {"rank": 99, "dropout": 0.1}
    write_cached_json(trial_file(tmp_path, 2), {}, kept)
    bench = Bench()
    found(bench, tmp_path)
    assert len(bench.asked) == 1


def test_a_damaged_trial_is_computed_anew_with_a_note(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = found(Bench(), tmp_path)
    place = trial_file(tmp_path, 2)
    text = place.read_text()
    score = str(whole.log["trials"][2]["score"])
    for damaged in (
        text.replace(score, score.replace("0.", "9.", 1)),
        text[:-40],
        "[]",
    ):
        assert damaged != text
        place.write_text(damaged)
        caplog.clear()
        bench = Bench()
        again = found(bench, tmp_path)
        assert len(bench.asked) == 1
        assert again.config == whole.config
        (note,) = caplog.messages
        assert note.startswith("a kept result is damaged and is computed anew: ")
        assert str(place) in note


# -- words, extras


def test_optuna_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "optuna":
            raise ImportError("no optuna")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        MissingExtraError,
        match=r"pip install 'survfuse\[tune\]' \(search: grid does without",
    ):
        found(Bench(), search="optuna")


def test_a_search_is_told_in_a_sentence() -> None:
    log = found(Bench(broken=(16,))).log
    assert (
        describe_search(log)
        == "grid search, 7 trials on inner folds: rank 8, dropout 0.3; 1 of 7 trials failed"
    )
    told = describe_searches([log, log, found(Bench()).log])
    assert (
        "searched in every fit (grid, 7 trials) by the log partial likelihood out of fold"
        in told
    )
    assert (
        "on the 5 inner folds of the training patients. Chosen: rank 8, dropout 0.3 (2 of 3 fits);"
        in told
    )
    assert told.endswith("Notes: 1 of 7 trials failed.")
    nothing = found(Bench(), search_space=None, fusion="anchored").log
    assert "1 trial on inner folds: the model as given" in describe_search(nothing)
