from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from running import Diary, StopAfter, Stopped, bits, loaded, members, quick, small
from survfuse import training
from survfuse._errors import CohortError, ConfigError, InputError
from survfuse.cohort import Cohort
from survfuse.cohort.splits import holdout
from survfuse.config import FitConfig
from survfuse.estimators import neural_network
from survfuse.estimators.neural_network import choose_epoch
from survfuse.training import Run, Task

WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "holdout": {
        "selection": "holdout",
        "select_by": "harrell_c",
        "calibration": "km_rank",
    },
    "holdout, out of fold": {"selection": "holdout"},
    "last": {"selection": "last", "calibration": "breslow"},
    "last, out of fold": {"selection": "last"},
    "members": {"members": 2},
    "discrete": {"head": "discrete", "bins": 3},
    "pairwise": {"fusion": "pairwise", "rank": 2, "pair_width": 2},
    "residual": {
        "fusion": "pairwise_residual",
        "rank": 2,
        "pair_width": 2,
        "residual_width": 4,
    },
    "coattention": {"fusion": "coattention", "rank": 2, "query_tokens": 2},
    "km": {"calibration": "km"},
    "anchored": {"fusion": "anchored", "anchor_bags": "mean"},
    "anchored, attention": {"fusion": "anchored"},
}
TRAINED = {
    name: fields for name, fields in WAYS.items() if name != "anchored"
}  # which trains nothing


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort")))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """Every task that is trained while the test runs."""
    seen: list[Task] = []

    def spy(network: Any, task: Task, *rest: Any, **more: Any) -> Run:
        seen.append(task)
        return training.train(network, task, *rest, **more)

    monkeypatch.setattr(neural_network, "train", spy)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("fields", WAYS.values(), ids=WAYS)
def test_two_fits_are_the_same_bit_by_bit(
    cohort: Cohort,
    fields: dict[str, Any],
) -> None:
    first, second = quick(**fields).fit(cohort), quick(**fields).fit(cohort)
    assert bits(first) == bits(second)
    assert np.isfinite(first.predict(cohort).log_risk).all()


def test_another_seed_is_another_model(cohort: Cohort) -> None:
    assert bits(quick().fit(cohort)) != bits(quick(seed=1).fit(cohort))


def test_the_order_of_rows_in_the_files_changes_nothing(tmp_path: Path) -> None:
    models = []
    for turned in (False, True):
        files = small(tmp_path / str(turned))
        if turned:
            assert files.expression is not None
            assert files.slides is not None
            files.patients = files.patients.sample(frac=1, random_state=3)
            files.expression = files.expression.sample(frac=1, random_state=4)
            files.slides = files.slides.sample(frac=1, random_state=5)
        models.append(bits(quick().fit(loaded(files))))
    assert models[0] == models[1]


def test_the_order_in_which_training_patients_are_named_changes_nothing(
    cohort: Cohort,
) -> None:
    ids = list(cohort.patients[:18])
    assert bits(quick().fit(cohort, ids)) == bits(quick().fit(cohort, ids[::-1]))


def test_patients_outside_the_training_set_change_nothing(tmp_path: Path) -> None:
    models = []
    for changed in (False, True):
        files = small(tmp_path / str(changed))
        train = list(files.patients["patient_id"][:16])
        if changed:
            assert files.expression is not None
            for patient in files.patients["patient_id"][16:]:
                files.set(patient, "os_days", 9)
                files.set(patient, "os_event", 1)
                files.set(patient, "sex", "other")
                files.set(patient, "age", 20)
                files.expression.loc[patient] += 2
                for name in files.bags:
                    if name.startswith(f"{patient}_"):
                        files.bags[name] = files.bags[name] * 3
        models.append(bits(quick().fit(loaded(files), train)))
    assert models[0] == models[1]


def test_a_training_patient_does_change_the_model(tmp_path: Path) -> None:
    models = []
    for days in (300, 2000):
        files = small(tmp_path / str(days))
        files.set("002", "os_days", days)
        models.append(bits(quick().fit(loaded(files))))
    assert models[0] != models[1]


@pytest.mark.parametrize("fields", TRAINED.values(), ids=TRAINED)
def test_every_training_run_sees_training_patients_only(
    cohort: Cohort,
    trained: list[Task],
    fields: dict[str, Any],
) -> None:
    ids = cohort.patients[:16]
    quick(**fields).fit(cohort, ids)
    assert trained
    for task in trained:
        assert set(task.source.patients) <= set(ids)  # type: ignore[attr-defined]
        assert not set(task.train) & set(task.validation)
        assert len(task.train) + len(task.validation) == len(task.source.patients)  # type: ignore[attr-defined]


def test_inner_folds_have_transforms_of_their_own(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted: list[tuple[str, ...]] = []
    real = neural_network.Transforms.fit

    def spy(cohort: Cohort, patients: Any, config: Any) -> Any:
        fitted.append(tuple(sorted(patients)))
        return real(cohort, patients, config)

    monkeypatch.setattr(neural_network.Transforms, "fit", spy)
    quick(selection_folds=3).fit(cohort)
    inner, everyone = fitted[:3], fitted[3]
    assert everyone == cohort.patients
    held = [set(everyone) - set(part) for part in inner]
    assert set().union(*held) == set(everyone)
    assert sum(map(len, held)) == len(everyone)


@pytest.mark.parametrize("share", [0.2, 0.25, 0.4, 0.5, 0.8])
def test_the_holdout_is_the_share_that_was_asked_for(
    cohort: Cohort,
    trained: list[Task],
    share: float,
) -> None:
    quick(selection="holdout", holdout_fraction=share, calibration="km").fit(cohort)
    (task,) = trained
    assert len(task.validation) / 24 == pytest.approx(share, abs=0.05)


def test_the_networks_of_a_holdout_keep_the_transforms_they_were_trained_with(
    tmp_path: Path,
) -> None:
    """A column that is incomplete in the holdout alone has an indicator only if the holdout is looked at."""
    files = small(tmp_path)
    event = files.patients["os_event"].to_numpy(int).astype(bool)
    held = np.flatnonzero(holdout(event, 0.25, FitConfig().training.seed))
    files.set(str(files.patients["patient_id"].iloc[held[0]]), "age", "NA")
    model = quick(selection="holdout", holdout_fraction=0.25, calibration="km").fit(
        loaded(files),
    )
    assert model.fitted is not None
    (network,) = members(model)
    read = {shape.name: shape.input_dim for shape in network.config.modalities}
    assert read == model.fitted.transforms.dims
    assert not any(
        "missing" in name for name in model.fitted.transforms.feature_names["clinical"]
    )


def test_a_refit_trains_everyone_for_the_chosen_epochs(cohort: Cohort) -> None:
    diary = Diary()
    model = quick(epochs=5).fit(cohort, hooks=[diary])
    assert model.fitted is not None
    (epochs,) = model.fitted.summary["epochs"]
    refit = [number for label, number in diary.epochs if "refit" in label]
    assert refit == list(range(1, epochs + 1))
    assert {label for label, _ in diary.epochs} == {
        "member 1, inner fold 1",
        "member 1, inner fold 2",
        "member 1, refit",
    }


def test_members_differ_and_the_first_is_the_single_network(cohort: Cohort) -> None:
    alone, pair = (
        quick(selection="last", members=count).fit(cohort) for count in (1, 2)
    )
    assert pair.fitted is not None
    first, second = members(pair)
    weights = bits(pair)
    assert {name: weights[name] for name in weights if name.startswith("model/0/")} == {
        name: value
        for name, value in bits(alone).items()
        if name.startswith("model/0/")
    }
    assert any(
        weights[f"model/0/{name}"] != weights[f"model/1/{name}"]
        for name in first.state_dict()
    )
    assert second.parameter_count() == first.parameter_count()


def test_a_discrete_head_has_no_more_bins_than_event_times(tmp_path: Path) -> None:
    files = small(tmp_path)
    files.patients["os_days"] = np.where(files.patients.index % 4 < 2, 500, 1500)
    model = quick(head="discrete", bins=8).fit(loaded(files))
    assert model.fitted is not None
    assert 1 <= members(model)[0].config.bins <= 2


# -- resuming


@pytest.mark.parametrize("label", ["inner fold 1", "inner fold 2", "refit"])
def test_a_fit_that_was_stopped_goes_on_bit_by_bit(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    label: str,
) -> None:
    fields = {"epochs": 5, "selection": "last"}
    straight = quick(**fields).fit(cohort)
    monkeypatch.setattr(training.loop, "CHECKPOINT_SECONDS", 0.0)
    folder = tmp_path / "checkpoints"
    with pytest.raises(Stopped, match=r"^$"):
        quick(**fields).fit(cohort, hooks=[StopAfter(label, 3)], checkpoints=folder)
    diary = Diary()
    resumed = quick(**fields).fit(cohort, hooks=[diary], checkpoints=folder)
    assert bits(resumed) == bits(straight)
    assert [number for name, number in diary.epochs if label in name] == [4, 5]
    assert not folder.exists()


def test_a_finished_fit_deletes_its_own_checkpoints_alone(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training.loop, "CHECKPOINT_SECONDS", 0.0)
    (tmp_path / "foundation-model.safetensors").write_text("mine")
    quick().fit(cohort, checkpoints=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [
        "foundation-model.safetensors",
    ]


def test_checkpoints_of_another_fit_are_refused(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training.loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(Stopped, match=r"^$"):
        quick().fit(cohort, hooks=[StopAfter("inner fold 1", 2)], checkpoints=tmp_path)
    with pytest.raises(InputError, match=r"a checkpoint of another run"):
        quick(learning_rate=0.02).fit(cohort, checkpoints=tmp_path)


# -- choosing the epoch


def slow_choice(scores: list[list[float | None]]) -> int:
    """Epoch by epoch, the plain mean of what was scored."""
    best, chosen = float("inf"), 0
    for epoch in range(min(map(len, scores))):
        known = [run[epoch] for run in scores if run[epoch] is not None]
        mean = sum(known) / len(known)  # type: ignore[arg-type]
        if mean < best:
            best, chosen = mean, epoch + 1
    return chosen


@given(
    st.lists(
        st.lists(st.integers(-8, 8).map(float), min_size=3, max_size=6),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_the_chosen_epoch_is_that_of_the_slow_oracle(
    runs: list[list[float]],
    blind: bool,
) -> None:
    scores: list[list[float | None]] = [list(run) for run in runs]
    if blind:
        scores.append(
            [None] * 3,
        )  # a fold that cannot be scored has no say, but ends the comparison
    assert choose_epoch(scores) == slow_choice(scores)


def test_only_epochs_that_every_run_reached_are_compared() -> None:
    assert choose_epoch([[3.0, 2.0, 0.0, 0.0], [3.0, 2.5]]) == 2
    assert choose_epoch([[2.0, 1.0, 1.0]]) == 2, "the first of equals"
    assert choose_epoch([[float("inf"), 3.0], [1.0, 3.0]]) == 2


def test_epochs_that_nobody_scored_cannot_be_compared() -> None:
    with pytest.raises(
        CohortError,
        match=r"^no inner fold holds an event, so epochs cannot be compared; set selection: last$",
    ):
        choose_epoch([[None, None], [None, None]])


def test_an_unknown_fusion_lists_the_known(cohort: Cohort) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^unknown fusion 'concatt'; known: .*concat",
    ):
        quick(fusion="concatt").fit(cohort)


def test_the_summary_tells_who_was_learned_from(cohort: Cohort) -> None:
    model = quick().fit(cohort, cohort.patients[:20])
    assert model.fitted is not None
    summary = model.fitted.summary
    assert (summary["cohort"], summary["endpoint"], summary["unit"]) == (
        "tiny",
        "overall survival",
        "days",
    )
    assert (summary["patients"], summary["events"]) == (20, 10)
    assert cohort.outcome is not None
    assert summary["longest_time"] == cohort.outcome["time"][:20].max()
    assert {name: one["patients"] for name, one in summary["modalities"].items()} == {
        "clinical": 20,
        "expression": 20,
        "slides": 20,
    }
    assert summary["parameters"] == members(model)[0].parameter_count()
    assert summary["events_per_parameter"] == pytest.approx(10 / summary["parameters"])
