"""Every public function is a gate: malformed arguments, by the name of the parameter, never give a number."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from survfuse import losses, metrics, paper, readers
from survfuse._errors import InputError
from survfuse.readers import ReadOptions

N = 12
TIME = np.array([2.0, 4, 5, 7, 8, 9, 10, 11, 3, 6, 12, 13])
EVENT = np.array([1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1])
RISK = np.random.default_rng(0).normal(size=N)
TIMES = np.array([3.0, 5.0, 8.0])
SURVIVAL = np.exp(-np.outer(np.exp(RISK), TIMES) / 20)
AT_ONE = SURVIVAL[:, 1]
ONE_TIME = {
    "calibration_curve",
    "net_benefit",
    "net_benefit_influence",
    "observed_expected_at",
}

COLUMN: dict[str, Any] = {
    "text": ["high"] * N,
    "numbers as text": ["1"] * N,
    "None": None,
    "a number": 3.0,
    "a column (n, 1)": "two-dimensional",
    "too short": "short",
    "too long": "long",
    "NaN": "with NaN",
    "infinite": "with inf",
    "complex": "complex",
    "masked": "masked",
    "durations": pd.to_timedelta(np.arange(1, N + 1), unit="D"),
    "durations of numpy": np.arange(1, N + 1).astype("timedelta64[ns]"),
    "durations of Python": [datetime.timedelta(days=d) for d in range(1, N + 1)],
    "dates": pd.date_range("2020-01-01", periods=N),
    "dates of Python": [datetime.date(2020, 1, d) for d in range(1, N + 1)],
    "a mapping": {"time": 1},
    "ragged": [[1.0], [1.0, 2.0]] * (N // 2),
    "None inside": [None] + [1.0] * (N - 1),
    "pandas.NA inside": pd.array([None] + [1] * (N - 1), dtype="Int64"),
    "text inside": ["x"] + [1.0] * (N - 1),
    "with a gradient": torch.ones(N, requires_grad=True),
    "sparse": torch.eye(N).to_sparse(),
}
NUMBER: dict[str, Any] = {
    "NaN": np.nan,
    "infinite": np.inf,
    "0": 0,
    "-1": -1,
    "text": "soon",
    "a list": [3.0, 4.0],
    "a duration": pd.Timedelta(days=3),
    "a date": datetime.date(2020, 1, 1),
    "complex": 1j,
    "a flag": True,
}
WHOLE: dict[str, Any] = {
    "-1": -1,
    "2.5": 2.5,
    "NaN": np.nan,
    "text": "3",
    "None": None,
    "a flag": True,
}
CHOICE: dict[str, Any] = {
    "unknown": "best",
    "None": None,
    "a list": ["uno"],
    "a number": 1,
}
PATH: dict[str, Any] = {
    "None": None,
    "a number": 5,
    "nothing": "",
    "NaN": np.nan,
    "a list": ["a.csv"],
}
TEXT: dict[str, Any] = {
    "a number": 5,
    "nothing": "",
    "NaN": np.nan,
    "a list": ["a"],
    "bytes": b"a",
}
FLAG: dict[str, Any] = {"text": "no", "a number": 1, "None": None}
WRONG_EVENT: dict[str, Any] = {
    "1 and 2": EVENT + 1,
    "one half": EVENT * 0.5,
    "-1": EVENT * 2 - 1,
}
WRONG_TIME: dict[str, Any] = {
    "0": TIME - 2,
    "negative": -TIME,
    "flags": EVENT.astype(bool),
}
RISING: dict[str, Any] = {
    "rising": 1 - SURVIVAL,
    "reversed": SURVIVAL[:, ::-1],
    "transposed": SURVIVAL.T,
    "percent": SURVIVAL * 100,
    "below 0": -SURVIVAL,
    "log": np.log(SURVIVAL),
    "a row less": SURVIVAL[1:],
    "a time less": SURVIVAL[:, :2],
    "NaN": SURVIVAL * np.nan,
    "complex": SURVIVAL * 1j,
    "text": SURVIVAL.astype(str),
    "masked": np.ma.masked_greater(SURVIVAL, 0.5),
}
AT_TIME: dict[str, Any] = {
    **{kind: value for kind, value in COLUMN.items() if kind != "a column (n, 1)"},
    "percent": AT_ONE * 100,
    "below 0": -AT_ONE,
    "log": np.log(AT_ONE),
}
GRID: dict[str, Any] = {
    "NaN": [3, np.nan, 8],
    "0": [0, 5, 8],
    "negative": [-3, 5, 8],
    "none": [],
    "text": ["a", "b", "c"],
    "two-dimensional": [[3, 5, 8]],
    "durations": pd.to_timedelta([3, 5, 8], unit="D"),
    "dates": pd.date_range("2020-01-01", periods=3),
    "complex": [3j, 5j, 8j],
    "None": None,
}
FALLING = {
    "falling": [8.0, 5.0, 3.0],
    "repeated": [3.0, 5.0, 5.0],
    "equal up to rounding": [3, 5, 5 + 1e-12],
}
TRAIN: dict[str, Any] = {
    "one column": TIME,
    "three columns": (TIME, EVENT, RISK),
    "in each other's place": (EVENT, TIME),
    "empty": ([], []),
    "text": "train.csv",
    "durations": (COLUMN["durations"], EVENT),
    "lengths": (TIME, EVENT[1:]),
}
LABELS: dict[str, Any] = {
    "too short": list("ab") * (N // 2 - 1),
    "None": [None] * N,
    "missing": ["a", None] * (N // 2),
    "NaN": [1.0, np.nan] * (N // 2),
    "of two kinds": np.array(["a", 1] * (N // 2), dtype=object),
    "two-dimensional": [["a"], ["b"]] * (N // 2),
    "one": "a",
}
THRESHOLDS: dict[str, Any] = {
    "1": [1.0],
    "-1": [-0.1],
    "NaN": [np.nan],
    "text": ["a"],
    "complex": [0.1j],
}

BAD: dict[str, dict[str, Any]] = {
    "time": {**COLUMN, **WRONG_TIME},
    "event": {**COLUMN, **WRONG_EVENT},
    "log_risk": COLUMN,
    "a": COLUMN,
    "b": COLUMN,
    "query_log_risk": {k: v for k, v in COLUMN.items() if not k.startswith("too ")},
    "train_log_risk": COLUMN,
    "cumulative_hazard": {**COLUMN, "negative": -TIME, "falling below 0": 1 - TIME},
    "survival_at_time": AT_TIME,
    "survival": RISING,
    "times": GRID,
    "horizon": {**NUMBER, "None": None},
    "tau": NUMBER,
    "train": TRAIN,
    "kind": CHOICE,
    "group": LABELS,
    "stratum": LABELS,
    "thresholds": THRESHOLDS,
    "level": {**NUMBER, "1": 1.0, "95": 95, "None": None},
    "bins": {**WHOLE, "1": 1},
    "knots": {**WHOLE, "2": 2, "a list": [3]},
    "bootstrap": WHOLE,
    "seed": WHOLE,
    "points": {**WHOLE, "0": 0},
}
GOOD: dict[str, Any] = {
    "time": TIME,
    "event": EVENT,
    "log_risk": RISK,
    "a": RISK,
    "b": RISK[::-1].copy(),
    "query_log_risk": RISK,
    "train_log_risk": RISK,
    "cumulative_hazard": TIME / 10,
    "survival_at_time": AT_ONE,
    "survival": SURVIVAL,
    "times": TIMES,
    "horizon": 5.0,
    "group": np.arange(N) % 2,
    "thresholds": [0.2],
    "bins": 4,
    "bootstrap": 0,
}


def bent(value: Any, good: Any) -> Any:
    """Malformed values that are made from a right one."""
    made: dict[str, Callable[[np.ndarray], Any]] = {
        "two-dimensional": lambda x: x[:, None],
        "short": lambda x: x[1:],
        "long": lambda x: np.append(x, x[0]),
        "with NaN": lambda x: np.append(np.nan, x[1:]),
        "with inf": lambda x: np.append(np.inf, x[1:]),
        "complex": lambda x: x + 0j,
        "masked": lambda x: np.ma.masked_array(x, np.arange(len(x)) == 1),
    }
    return (
        made[value](np.asarray(good, dtype=float))
        if isinstance(value, str) and value in made
        else value
    )


def functions(module: Any) -> dict[str, Any]:
    return {
        name: getattr(module, name)
        for name in module.__all__
        if inspect.isfunction(getattr(module, name))
    }


def cases(module: Any) -> Iterator[Any]:
    for name, function in functions(module).items():
        for parameter in inspect.signature(function).parameters:
            kinds = BAD[parameter]
            if parameter == "survival" and name in ONE_TIME:
                kinds = AT_TIME
            if parameter == "times" and name.startswith(
                ("integrated", "log_likelihood"),
            ):
                kinds = {**GRID, **FALLING}
            yield pytest.param(function, parameter, kinds, id=f"{name}-{parameter}")


def accepted(
    function: Any,
    arguments: dict[str, Any],
    parameter: str,
    kinds: dict[str, Any],
) -> list[str]:
    """Kinds of malformed values that a function takes; it may raise nothing but an InputError."""
    taken = []
    for kind, value in kinds.items():
        try:
            function(**{**arguments, parameter: bent(value, arguments.get(parameter))})
        except InputError:
            continue
        taken.append(kind)
    return taken


def good_arguments(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    found = {name: GOOD[name] for name in parameters if name in GOOD}
    return {**found, "survival": AT_ONE} if function.__name__ in ONE_TIME else found


@pytest.mark.parametrize(("function", "parameter", "kinds"), list(cases(metrics)))
def test_a_metric_refuses_what_is_malformed(function, parameter, kinds):
    assert accepted(function, good_arguments(function), parameter, kinds) == []


@pytest.mark.parametrize(
    "function",
    list(functions(metrics).values()),
    ids=list(functions(metrics)),
)
def test_the_right_arguments_are_taken(function):
    assert function(**good_arguments(function)) is not None


@pytest.mark.parametrize(
    "function",
    list(functions(metrics).values()),
    ids=list(functions(metrics)),
)
@pytest.mark.parametrize(
    "dtype",
    [torch.float16, torch.bfloat16, torch.float32, torch.float64],
)
def test_tensors_of_every_precision_are_read_exactly(function, dtype):
    given = good_arguments(function)
    rounded = {
        k: torch.as_tensor(np.array(v)).to(dtype) if k in ("log_risk", "a", "b") else v
        for k, v in given.items()
    }
    exact = {
        k: v.double().numpy() if isinstance(v, torch.Tensor) else v
        for k, v in rounded.items()
    }
    assert repr(function(**rounded)) == repr(function(**exact))


def test_columns_of_pandas_are_read_by_position():
    shuffled = pd.Series(TIME, index=np.random.default_rng(1).permutation(N))
    assert metrics.harrell_c(shuffled, EVENT, RISK) == metrics.harrell_c(
        TIME,
        EVENT,
        RISK,
    )


TENSORS: dict[str, torch.Tensor] = {
    "log_risk": torch.tensor(RISK),
    "event": torch.tensor(EVENT),
    "time": torch.tensor(TIME),
    "logits": torch.zeros(N, 3),
    "bin_index": torch.zeros(N, dtype=torch.long),
    "edges": torch.tensor([4.0, 8.0, 13.0]),
}
ANY_TENSOR: dict[str, Callable[[torch.Tensor], Any]] = {
    "a list": lambda x: x.tolist(),
    "an array": lambda x: x.numpy(),
    "None": lambda x: None,
    "another dimension": lambda x: x[:, None],
    "a number": lambda x: x.flatten()[0],
    "complex": lambda x: x + 0j,
    "sparse": lambda x: x.to_sparse(),
    "empty": lambda x: x[:0],
}
OF_ROWS: dict[str, Callable[[torch.Tensor], Any]] = {
    "too short": lambda x: x[1:],
    "too long": lambda x: torch.cat([x, x[:1]]),
}
NOT_FINITE: dict[str, Callable[[torch.Tensor], Any]] = {
    "NaN": lambda x: x.double().index_fill(0, torch.tensor([1]), torch.nan),
    "infinite": lambda x: x.double().index_fill(0, torch.tensor([1]), torch.inf),
}
BAD_TENSORS: dict[str, dict[str, Callable[[torch.Tensor], Any]]] = {
    "log_risk": {
        **ANY_TENSOR,
        **OF_ROWS,
        **NOT_FINITE,
        "whole numbers": lambda x: x.long(),
    },
    "logits": {**ANY_TENSOR, **OF_ROWS, **NOT_FINITE, "one column": lambda x: x[:, 0]},
    "event": {
        **ANY_TENSOR,
        **OF_ROWS,
        **NOT_FINITE,
        "1 and 2": lambda x: x + 1,
        "one half": lambda x: x * 0.5,
        "-1": lambda x: x * 2 - 1,
    },
    "time": {
        **ANY_TENSOR,
        **OF_ROWS,
        **NOT_FINITE,
        "0": lambda x: x - 2,
        "negative": lambda x: -x,
        "flags": lambda x: x > 5,
    },
    "bin_index": {
        **ANY_TENSOR,
        **OF_ROWS,
        "not whole": lambda x: x + 0.5,
        "whole, as floats": lambda x: x.float(),
        "flags": lambda x: x > 0,
        "-1": lambda x: x - 1,
        "beyond the bins": lambda x: x + 4,
    },
    "edges": {
        **ANY_TENSOR,
        **NOT_FINITE,
        "falling": lambda x: x.flip(0),
        "repeated": lambda x: x[[0, 0, 1]],
        "0": lambda x: x - 4,
    },
    "ties": {kind: lambda x, v=value: v for kind, value in CHOICE.items()},
    "reduction": {kind: lambda x, v=value: v for kind, value in CHOICE.items()},
}


def tensor_cases() -> Iterator[Any]:
    for name, function in functions(losses).items():
        if name == "discretise":
            continue
        for parameter in inspect.signature(function).parameters:
            yield pytest.param(function, parameter, id=f"{name}-{parameter}")


@pytest.mark.parametrize(("function", "parameter"), list(tensor_cases()))
def test_a_loss_refuses_what_is_malformed(function, parameter):
    arguments = {
        name: TENSORS[name]
        for name in inspect.signature(function).parameters
        if name in TENSORS
    }
    function(**arguments)
    kinds = {
        kind: make(arguments.get(parameter))
        for kind, make in BAD_TENSORS[parameter].items()
    }
    assert accepted(function, arguments, parameter, kinds) == []


def column_cases() -> Iterator[Any]:
    for function in (losses.discretise, paper.cox_loss, paper.km_rank_time):
        for parameter in inspect.signature(function).parameters:
            kinds = dict(BAD[parameter])
            if function is paper.cox_loss and parameter == "log_risk":
                del kinds["with a gradient"]  # a loss is there for its gradient
            yield pytest.param(
                function,
                parameter,
                kinds,
                id=f"{function.__name__}-{parameter}",
            )


@pytest.mark.parametrize(("function", "parameter", "kinds"), list(column_cases()))
def test_columns_of_the_other_doors_are_refused_alike(function, parameter, kinds):
    arguments = good_arguments(function)
    function(**arguments)
    assert accepted(function, arguments, parameter, kinds) == []


OTHERS: dict[str, dict[str, Any]] = {
    "path": PATH,
    "folder": PATH,
    "out": PATH,
    "path_or_state_dict": {
        kind: value for kind, value in PATH.items() if kind != "nothing"
    },
    "items": {"None": None, "a number": 5, "text": "a.h5", "a mapping": {"a": 1}},
    "name": TEXT,
    "encoder": TEXT,
    "unit": {**TEXT, "None": None},
    "genes": {**TEXT, "None": None},
    "patient_column": TEXT,
    "orientation": {**TEXT, "unknown": "sideways"},
    "gene_suffix": TEXT,
    "sheet": {**TEXT, "unknown": "Visits"},
    "encoding": {**TEXT, "unknown": "klingon"},
    "layer": {**TEXT, "unknown": "raw"},
    "duplicates": {**TEXT, "None": None, "unknown": "median"},
    "repeated_patients": FLAG,
    "id_column": TEXT,
    "column": {**TEXT, "None": None, "unknown": "age"},
    "frame": {"None": None, "a mapping": {"id": [1]}, "a path": "a.csv"},
    "mpp": NUMBER,
    "overwrite": FLAG,
    "allow_empty": FLAG,
    "missing": {"None": None, "a number": 5, "text": "NA", "numbers": [-1]},
    "options": {
        "None": None,
        "a mapping": {"key": "x"},
        "a column < 0": ReadOptions(exclude_features=(-1,)),
    },
    "variant": {"unknown": "best", "a list": ["pg"], "a number": 1},
    "network": {"None": None, "a module": torch.nn.Linear(1, 1), "a mapping": {}},
    "bag_dim": {**WHOLE, "0": 0},
    "clinical_dim": {**WHOLE, "0": 0},
}
LENGTHS = {"genes": {**WHOLE, "0": 0}}


def other_cases() -> Iterator[Any]:
    doors = {**functions(readers), **functions(paper)}
    for name, function in doors.items():
        if name in ("cox_loss", "km_rank_time"):
            continue
        for parameter in inspect.signature(function).parameters:
            if parameter == "progress":
                continue
            kinds = (
                LENGTHS.get(parameter, OTHERS[parameter])
                if name == "variant_config"
                else OTHERS[parameter]
            )
            yield pytest.param(function, parameter, kinds, id=f"{name}-{parameter}")


@pytest.mark.parametrize(("function", "parameter", "kinds"), list(other_cases()))
def test_readers_and_networks_refuse_what_is_malformed(
    function,
    parameter,
    kinds,
    tmp_path,
):
    table = tmp_path / "table.csv"
    table.write_text("patient_id,TP53,EGFR\nP1,1.5,2.5\nP2,1.0,2.0\n")
    good = {
        "path": table,
        "folder": tmp_path,
        "out": tmp_path / "a.bags",
        "items": [],
        "name": "UNI",
        "unit": "log2_tpm",
        "genes": "symbol",
        "column": "id",
        "frame": pd.DataFrame({"id": ["a", "a"]}),
        "variant": "pg",
        "network": None,
        "path_or_state_dict": {},
    }
    taken = inspect.signature(function).parameters
    arguments = {name: good[name] for name in taken if name in good}
    if function is paper.variant_config:
        del arguments["genes"]
    assert accepted(function, arguments, parameter, kinds) == []
