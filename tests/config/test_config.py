from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

import survfuse.config
from survfuse._errors import ConfigError
from survfuse.config import (
    PARAMETER_NAMES,
    PARAMETERS,
    PRESETS,
    CrossvalConfig,
    FitConfig,
    RunConfig,
    apply_overrides,
    build,
    load_config,
    parameters_of,
    preset_values,
    to_yaml,
)
from survfuse.config.sections import SECTIONS

# arXiv 2605.13897 as its authors coded it.
PAPER = {
    "expression_scaling": "none",
    "expression_components": None,
    "expression_top": None,
    "bag_scaling": "none",
    "bag_components": None,
    "fusion": "pairwise",
    "rank": 64,
    "pair_width": 64,
    "raw_pair_width": 32,
    "residual_width": 128,
    "bag_pooling": "attention",
    "bag_width": 512,
    "attention_width": 256,
    "clinical_hidden": (),
    "vector_hidden": (2048, 512, 128),
    "dropout": 0.25,
    "input_dropout": 0.0,
    "head": "cox",
    "loss": "paper",
    "optimizer": "adam",
    "learning_rate": 1e-4,
    "bag_rate": 1.0,
    "weight_decay": 0.3,
    "batch": 2,
    "sampling": "event_balanced",
    "max_tiles": None,
    "epochs": 500,
    "min_epochs": 50,
    "patience": 30,
    "selection": "holdout",
    "select_by": "harrell_c",
    "gradient_clip": None,
    "members": 1,
    "seed": 2021,
    "calibration": "km_rank",
}


def test_the_paper_preset_is_the_paper() -> None:
    config = FitConfig.of("paper")
    parameters = config.parameters()
    assert {name: parameters[name] for name in PAPER} == PAPER
    assert config.preset == "paper"


def test_a_preset_is_a_diff_that_what_is_given_overrides() -> None:
    config = FitConfig.of("paper", rank=8)
    assert (config.network.rank, config.network.pair_width) == (8, 64)
    assert build(FitConfig, {"preset": "paper", "rank": 8}, where="model") == config
    assert FitConfig.of() == FitConfig()
    assert preset_values("default") == {}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_file_with_a_reason_on_each_line(name: str) -> None:
    file = Path(survfuse.config.__file__).parent / "presets" / f"{name}.yaml"
    for line in file.read_text().splitlines():
        is_section = line.endswith(":") and line[:-1] in SECTIONS
        assert is_section or "# " in line, line
    assert {path.stem for path in file.parent.iterdir()} == set(PRESETS)


@pytest.mark.parametrize(
    "cls",
    [FitConfig, CrossvalConfig, RunConfig, *SECTIONS.values()],
)
def test_every_field_carries_its_reason(cls: type[FitConfig]) -> None:
    for name, info in cls.model_fields.items():
        assert info.description, name


def test_a_run_is_frozen() -> None:
    with pytest.raises(ValidationError, match=r"frozen"):
        FitConfig().rank = 3  # type: ignore[misc]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_written_file_alone_repeats_the_run(tmp_path: Path, preset: str) -> None:
    config = RunConfig(
        model=FitConfig.of(
            preset,
            modalities=("clinical", "blood"),
            expression_genes=Path("a b.txt"),
        ),
        crossval=CrossvalConfig(folds=3, seed=9),
        horizons=(12, 36.5),
        tau=60,
    )
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert load_config(path) == config
    written = yaml.safe_load(path.read_text())
    assert set(written["model"]) == {"preset", "fusion", *SECTIONS}
    for name, cls in SECTIONS.items():
        assert set(written["model"][name]) == set(cls.model_fields)


def test_nothing_given_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_config(None) == load_config(tmp_path / "empty.yaml") == RunConfig()


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model: {rank: 8, dropout: 0.5}\n")
    config = load_config(
        path,
        [
            "model.rank=4",
            "model.vector_hidden=[8, 4]",
            "model.expression_components=null",
            "horizons=[12, 24]",
        ],
    )
    assert (config.model.network.rank, config.model.network.dropout) == (4, 0.5)
    assert config.model.network.vector_hidden == (8, 4)
    assert config.model.inputs.expression_components is None
    assert config.horizons == (12.0, 24.0)


def test_overrides_leave_the_given_values_alone() -> None:
    values = {"model": {"rank": 8}}
    assert apply_overrides(values, ["model.rank=2"]) == {"model": {"rank": 2}}
    assert values == {"model": {"rank": 8}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.rnak=4",
            r"^config\.model\.rnak: unknown field; did you mean 'network\.rank'\?$",
        ),
        (
            "crossval.fold=4",
            r"^config\.crossval\.fold: unknown field; did you mean 'folds'\?$",
        ),
        ("modle.rank=4", r"^config\.modle: unknown field; did you mean 'model'\?$"),
        ("zzz=1", r"^config\.zzz: unknown field$"),
        (
            "model.rank",
            r"^--set model\.rank: expected KEY=VALUE, such as model\.network\.rank=32$",
        ),
        ("=3", r"^--set =3: expected KEY=VALUE"),
        (
            "model.rank.more=3",
            r"^config\.model\.network\.rank: .*valid integer.*got \{'more': 3\}$",
        ),
        (
            "model.rank=[1",
            r"^--set model\.rank=\[1: not YAML: while parsing a flow sequence",
        ),
        ("model=3", r"^config\.model: .*got 3$"),
    ],
)
def test_a_mistyped_override_is_answered(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [override])


def test_an_override_cannot_go_inside_a_value() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^--set tau\.x: 'tau' is a value, not a section$",
    ):
        apply_overrides({"tau": 3}, ["tau.x=3"])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rank", 0, "greater than or equal to 1, got 0"),
        ("rank", "many", "valid integer.*got 'many'"),
        ("dropout", 1.0, "less than 1, got 1.0"),
        ("modality_dropout", 1.0, "less than 1, got 1.0"),
        ("learning_rate", 0, "greater than 0, got 0"),
        ("learning_rate", float("nan"), "got nan"),
        ("weight_decay", -1, "greater than or equal to 0, got -1"),
        ("epochs", 0, "greater than or equal to 1, got 0"),
        ("members", 0, "greater than or equal to 1, got 0"),
        ("selection_folds", 1, "greater than or equal to 2, got 1"),
        ("holdout_fraction", 1, "less than 1, got 1"),
        ("expression_min_coverage", 1.1, "less than or equal to 1, got 1.1"),
        ("bins", 1, "greater than or equal to 2, got 1"),
        ("loss", "cox", "'efron', 'breslow' or 'paper', got 'cox'"),
        ("device", "tpu", "'auto', 'cpu' or 'cuda', got 'tpu'"),
        ("head", None, "got None"),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^model\.{PARAMETERS[field]}: .*{message}"):
        FitConfig.of(**{field: value})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": 0}, "batch"),
        ({"batch": -2}, "batch"),
        ({"seed": -1}, "seed"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"weight_decay": float("inf")}, "weight_decay"),
        ({"seed": 2**70}, "seed"),
    ],
)
def test_a_value_that_cannot_work_is_refused_at_birth(
    fields: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        FitConfig.of(**fields)


@pytest.mark.parametrize("horizons", [[float("nan")], [12, float("inf")], ["soon"]])
def test_horizons_are_times(horizons: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"horizons"):
        build(RunConfig, {"horizons": horizons}, where="config")


@pytest.mark.parametrize("tau", [0, -1, float("inf"), float("nan")])
def test_tau_is_a_time(tau: float) -> None:
    with pytest.raises(ConfigError, match=r"tau"):
        build(RunConfig, {"tau": tau}, where="config")


def test_fields_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"'paper' is a Cox loss; a discrete head has its own likelihood",
    ):
        FitConfig.of("paper", head="discrete")
    with pytest.raises(
        ConfigError,
        match=r"expression_gene_sets and expression_components exclude each other",
    ):
        FitConfig.of(expression_gene_sets="sets.gmt", expression_components=32)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_gene_sets_take_the_place_of_components(preset: str, tmp_path: Path) -> None:
    config = FitConfig.of(preset, expression_gene_sets="sets.gmt")
    assert config.inputs.expression_components is None
    assert config == FitConfig.of(
        preset,
        expression_gene_sets="sets.gmt",
        expression_components=None,
    )
    run = load_config(None, ["model.expression_gene_sets=sets.gmt"])
    assert (
        run.model.inputs.expression_gene_sets,
        run.model.inputs.expression_components,
    ) == (
        Path("sets.gmt"),
        None,
    )
    (tmp_path / "run.yaml").write_text(to_yaml(run))
    assert load_config(tmp_path / "run.yaml") == run
    assert FitConfig.of(expression_gene_sets=None).inputs.expression_components == 32


def test_quick_sets_what_is_not_given(tmp_path: Path) -> None:
    quick = CrossvalConfig(quick=True)
    assert (quick.networks, quick.controls, quick.robustness) == (False, False, False)
    assert quick.halves == 0
    assert CrossvalConfig(quick=True, controls=True).controls
    assert CrossvalConfig(quick=False) == CrossvalConfig()
    file = tmp_path / "run.yaml"
    file.write_text("crossval: {robustness: true}\n")
    read = load_config(file, ["crossval.quick=true"]).crossval
    assert (read.robustness, read.networks) == (True, False)
    file.write_text(to_yaml(load_config(file, ["crossval.quick=true"])))
    assert load_config(file).crossval == read


def test_a_batch_of_one_cannot_teach_a_cox_model() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^model: batch: a risk set of 1 patient has no gradient; take 2 or",
    ):
        FitConfig.of(batch=1)
    assert FitConfig.of(batch=1, head="discrete", fusion="concat").training.batch == 1


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^unknown preset 'papr'; known: default, paper$",
    ):
        FitConfig.of("papr")
    with pytest.raises(
        ConfigError,
        match=r"config\.model\.preset: .*'default' or 'paper', got 'papr'",
    ):
        load_config(None, ["model.preset=papr"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- 1\n", "expected a mapping of sections, got list"),
        (b"model: [", "not YAML"),
        (b"model: {rank: \xff}\n", "utf-8|UTF-8|text"),
        (b"1: 2\n", "1: Keys should be strings"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(
    tmp_path: Path,
    content: bytes,
    message: str,
) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"run\.yaml.*({message})"):
        load_config(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: no such file"):
        load_config(tmp_path / "no.yaml")
    with pytest.raises(ConfigError, match="expected a file, got a folder"):
        load_config(tmp_path)


def test_a_preset_over_a_resolved_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(RunConfig()))
    with pytest.raises(ConfigError, match="would change the name alone"):
        load_config(path, ["model.preset=paper"])
    assert load_config(path, ["model.preset=default"]) == RunConfig()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.rank=1", "model.rank=2"], "model.rank is given twice; give it once"),
        (["model={rank: 1, rank: 2}"], "key 'rank' appears twice"),
        (["model.rank=" + "9" * 5000], "a number of 5000 digits"),
        (["model.rank=\udcff"], "not YAML"),
        (
            ["model.expression_genes='a\\0b'".replace("'", '"')],
            "expected a path, .*the character NUL",
        ),
        (["model.expression_genes=" + "x" * 300], "expected a path, .*too long"),
    ],
)
def test_what_a_command_line_can_hold_is_answered(
    overrides: list[str],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, overrides)


def test_a_key_twice_in_the_file_is_refused_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("model:\n  rank: 4\n  rank: 5\n")
    with pytest.raises(
        ConfigError,
        match=r"run\.yaml: not YAML: key 'rank' appears twice",
    ):
        load_config(tmp_path / "run.yaml")


def test_of_many_faults_some_are_told() -> None:
    with pytest.raises(
        ConfigError,
        match=r"k0: unknown field; .*; and 80 more$",
    ) as told:
        build(RunConfig, {f"k{i}": "x" * 10_000 for i in range(100)}, where="run.yaml")
    assert len(str(told.value)) < 10_000


# -- names from before there were sections


def test_every_parameter_has_one_field() -> None:
    assert len(PARAMETERS) == len(PARAMETER_NAMES) == len(FitConfig().parameters()) - 2
    for name, path in PARAMETERS.items():
        section, _, field = path.partition(".")
        assert field in SECTIONS[section].model_fields, name


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters_make_the_configuration_again(preset: str) -> None:
    config = FitConfig.of(preset, seed=3, search="grid", search_trials=4)
    assert FitConfig.of(**config.parameters()) == config
    assert FitConfig.model_validate(config.model_dump()) == config
    assert parameters_of(config.model_dump()) == {
        **config.parameters(),
        "search_space": None,
    }


def test_a_search_space_takes_both_names() -> None:
    spaces = ({"network.rank": [2]}, {"rank": [2]})
    configs = [FitConfig.of(search="grid", search_space=space) for space in spaces]
    assert configs[0] == configs[1]
    assert configs[0].search.space == {"rank": (2,)}


def test_a_file_with_old_names_is_read_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "model: {rank: 8, selection: last, calibration: {method: km}, fusion: concat}\n",
    )
    notes: list[str] = []
    config = load_config(path, ["model.selection_folds=3"], notes.append).model
    assert (config.network.rank, config.selection.method) == (8, "last")
    assert (config.calibration.method, config.selection.folds) == ("km", 3)
    assert notes == [
        f"{path}: fields now have sections; read model.rank as model.network.rank, "
        "model.selection as model.selection.method",
        "--set model.selection_folds is now --set model.selection.folds",
    ]
    path.write_text(to_yaml(RunConfig(model=config)))
    notes.clear()
    assert load_config(path, ["model.network.rank=8"], notes.append).model == config
    assert notes == []


def test_overrides_win_whichever_name_they_use(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    for text in ("model: {rank: 8, search: grid}", "model: {network: {rank: 8}}"):
        path.write_text(text)
        for name in ("rank", "network.rank"):
            assert load_config(path, [f"model.{name}=4"]).model.network.rank == 4
        trials = load_config(path, ["model.search.trials=4"]).model.search.trials
        assert trials == 4


def test_the_same_field_under_both_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model: {rank: 8, network: {rank: 4}}\n")
    with pytest.raises(
        ConfigError,
        match=r"model\.rank and model\.network\.rank are the same field",
    ):
        load_config(path)
    with pytest.raises(ConfigError, match=r"model\.rank is given twice"):
        load_config(None, ["model.network.rank=1", "model.rank=2"])


def test_an_old_file_of_every_field_and_another_preset_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"model": {"preset": "default", "rank": 16}}))
    with pytest.raises(ConfigError, match=r"gives rank… itself"):
        load_config(path, ["model.preset=paper"])


def test_a_field_in_the_wrong_section_is_named() -> None:
    with pytest.raises(
        ConfigError,
        match=r"model\.network\.epoch: unknown field$",
    ):
        load_config(None, ["model.network.epoch=3"])
    with pytest.raises(ConfigError, match=r"did you mean 'training\.epochs'\?"):
        load_config(None, ["model.epoch=3"])


def test_a_copy_changes_fields_by_either_name() -> None:
    config = FitConfig.of("paper")
    copy = config.model_copy(
        update={"rank": 3, "network": {"bins": 4}, "search": "grid"},
    )
    assert (copy.network.rank, copy.network.bins, copy.search.method) == (3, 4, "grid")
    assert copy.network.pair_width == config.network.pair_width == 64
    assert config.network.rank == 64


def test_the_identity_has_the_same_form_as_before_there_were_sections() -> None:
    identity = FitConfig.of(search="grid", search_space={"rank": [1, 2]}).identity()
    assert {"preset", "fusion", *PARAMETERS} == set(identity)
    assert identity["search_space"] == {"rank": [1, 2]}
    assert (identity["selection"], identity["clinical_hidden"]) == ("inner_folds", [])
