"""Every number that R printed into `reference/ref_R.txt`: which of ours it is, or why there is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse.metrics import (
    auc,
    brier,
    compare_c,
    harrell_c,
    kaplan_meier,
    log_rank,
    rmst,
    uno_c,
)
from survfuse.survival.cox import fit_cox, partial_log_likelihood
from survfuse.survival.curves import breslow
from survfuse.survival.estimate import Z

TIMES = [2.0, 5.0, 8.0]
NUMBER = re.compile(r"(?<![\w./])-?\d+\.?\d*(?:e-?\d+)?(?![\w/])")
NOT_OFFERED = {
    "coxph offset loglik exact": "the exact partial likelihood is not offered: Efron and Breslow are",
    "Harrell counts": "R counts pairs; ours come out as the value that they give",
}


def read(text: str) -> dict[tuple[str, str], list[float]]:
    """All numbers by data set and quantity, in the order printed; tables of ``Score`` by metric and model."""
    found: dict[tuple[str, str], list[float]] = {}
    name, table = "", ""
    for line in text.splitlines():
        if line.startswith("#####"):
            name, rest = line.split()[1], line.split("n ", 1)[1]
            found[name, "patients, events"] = [float(x) for x in NUMBER.findall(rest)]
        elif re.match(r"^ +model|^ +upper", line):
            table = next(
                (word for word in ("AUC", "Brier", "upper") if f" {word}" in line),
                "",
            )
        elif re.match(r"^\d: ", line):
            rest = line.partition(":")[2]
            row = re.match(r" *(m|Null model) +(.*)", rest)
            if row:
                found.setdefault((name, f"{table} {row[1]}"), []).extend(
                    map(float, row[2].split()),
                )
            else:  # the last column, printed below the others
                found.setdefault((name, "Brier upper"), []).append(float(rest))
        else:
            label, numbers = _labelled(line)
            found[name, label] = numbers
            if label == "Harrell":
                found[name, "Harrell"], found[name, "Harrell counts"] = (
                    numbers[:2],
                    numbers[2:],
                )
    return found


def _labelled(line: str) -> tuple[str, list[float]]:
    label = re.match(
        r"[A-Za-z].*?at t=[\d,]+:|paired C1|[A-Za-z/ ]+(?:2 \(self cens\))?",
        line,
    )
    assert label, line
    return label[0].strip(), [float(x) for x in NUMBER.findall(line[label.end() :])]


class Cohort:
    """One data set of the reference folder, and ours of every quantity."""

    def __init__(self, folder: Path, name: str) -> None:
        data, train = (
            pd.read_csv(folder / f"{name}{part}.csv") for part in ("", "_train")
        )
        self.outcome = data["time"].to_numpy(), data["event"].to_numpy()
        self.risk, self.other = data["risk"].to_numpy(), data["risk2"].to_numpy()
        self.train = train
        self.tau = float(np.quantile(train["time"], 0.8))

    def table(self) -> dict[str, Callable[[], list[float]]]:
        """Give our numbers of each quantity, in R's order."""
        outcome, risk = self.outcome, self.risk
        fits = {
            ties: lambda ties=ties: self._hazard(ties) for ties in ("breslow", "efron")
        }
        return {
            "patients, events": lambda: [len(risk), float(outcome[1].sum())],
            "Harrell": lambda: _value_se(harrell_c(*outcome, risk)),
            "Uno n/G2 (self cens)": lambda: _value_se(uno_c(*outcome, risk)),
            "Uno tau": lambda: [self.tau, uno_c(*outcome, risk, self.tau).value],
            "Harrell tau": lambda: [harrell_c(*outcome, risk, self.tau).value],
            "paired C1": self._paired,
            "coxph offset loglik breslow": lambda: [
                partial_log_likelihood(*outcome, risk, "breslow"),
            ],
            "coxph offset loglik efron": lambda: [
                partial_log_likelihood(*outcome, risk, "efron"),
            ],
            "coef efron": lambda: [
                fit_cox(risk, *outcome, ties=ties).coef[0]
                for ties in ("efron", "breslow")
            ],
            "basehaz breslow beta=1 at t=2,5,8:": fits["breslow"],
            "basehaz efron beta=1 at t=2,5,8:": fits["efron"],
            "AUC m": lambda: _rows(auc(*outcome, risk, TIMES), upper=True),
            "Brier Null model": lambda: _rows(self._brier(null=True)),
            "Brier m": lambda: _rows(self._brier(null=False)),
            "Brier upper": lambda: [
                e.value + Z * e.se
                for null in (True, False)
                for e in self._brier(null=null)
            ],
            "KM median": lambda: [
                kaplan_meier(*outcome).first_at_most(0.5),
                8.0,
                rmst(*outcome, 8).value,
            ],
            "logrank chisq": lambda: [log_rank(*outcome, risk > np.median(risk)).chi2],
        }

    def _hazard(self, ties: str) -> list[float]:
        train = self.train
        return breslow(train["time"], train["event"], train["risk"], ties)(
            TIMES,
        ).tolist()

    def _brier(self, *, null: bool) -> list:
        survival = np.exp(-np.outer(np.exp(self.risk), self._hazard("breslow")))
        if null:
            survival = np.tile(kaplan_meier(*self.outcome)(TIMES), (len(self.risk), 1))
        return brier(*self.outcome, survival, TIMES)

    def _paired(self) -> list[float]:
        a, b = (
            harrell_c(*self.outcome, risk).value for risk in (self.risk, self.other)
        )
        difference = compare_c(*self.outcome, self.risk, self.other, kind="harrell")
        return [
            a,
            b,
            difference.value,
            difference.se,
            difference.value / difference.se,
            difference.p_value(),
        ]


def _value_se(estimate) -> list[float]:
    return [estimate.value, estimate.se]


def _rows(estimates, *, upper: bool = False) -> list[float]:
    ends = (-Z, Z) if upper else (-Z,)
    return [
        number
        for t, e in zip(TIMES, estimates, strict=True)
        for number in (t, e.value, e.se, *(e.value + z * e.se for z in ends))
    ]


@pytest.fixture(scope="module")
def printed(shared: Path) -> dict[tuple[str, str], list[float]]:
    return read((shared / "reference" / "ref_R.txt").read_text())


def test_every_number_is_read(printed, shared):
    """As many as stand alone in the file, and one within a word in each half: ``rmean(8)``."""
    lines = (shared / "reference" / "ref_R.txt").read_text().splitlines()
    words = [word for line in lines for word in line.split()]
    alone = [word for word in words if re.fullmatch(r"-?\d+\.?\d*(e-?\d+)?", word)]
    assert sum(map(len, printed.values())) == len(alone) + 2


@pytest.mark.parametrize("name", ["clean", "ties"])
def test_every_line_is_ours_or_listed_as_not_offered(printed, shared, name):
    ours = set(Cohort(shared / "reference", name).table())
    assert ours.isdisjoint(NOT_OFFERED)
    assert ours | set(NOT_OFFERED) == {
        quantity for data, quantity in printed if data == name
    }


@pytest.mark.parametrize("name", ["clean", "ties"])
def test_every_number_is_that_of_r(printed, shared, name):
    for quantity, ours in Cohort(shared / "reference", name).table().items():
        assert ours() == pytest.approx(printed[name, quantity], abs=1e-8), quantity
