"""How often the check for columns that accrue during follow-up (SRV008) is right.

Columns of known kind are simulated with an outcome, and the share that is flagged is
printed: it should be high for columns that accrue, and 1 to 2 % at most for honest ones.
Doses follow the simulator's schedule (six weekly, then three weekly at months 3 to 36;
they stop at relapse, at the end of follow-up, or when the patient gives up).

    python studies/followup_columns.py --repeats 200 -o studies/followup_columns.json
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import NotComputableError
from survfuse._storage import write_json
from survfuse.datasets.outcomes import FOLLOW_UP, Draws, draw, observe, weibull_scale
from survfuse.evaluation.checks.accrual import signs_of_accrual

Floats = npt.NDArray[np.float64]
Sample = tuple[Floats, Floats, npt.NDArray[np.bool_]]  # value, time in months, event
EARLY = 12.0  # months in which an early effect acts


def censored(kind: str, count: int, rng: np.random.Generator) -> tuple[Draws, Floats]:
    """Randomness of the outcomes under one kind of censoring, and each patient's entry in months.

    `both`: the simulator's own, calendar entry and dropout. `calendar`: the end of the
    study alone. `open`: likewise, but patients enter until the last day. `dropout`: exponential.
    """
    draws = draw(count, rng)
    entry = rng.uniform(
        0.0,
        FOLLOW_UP[1] - (0.0 if kind == "open" else FOLLOW_UP[0]),
        count,
    )
    until = np.maximum(FOLLOW_UP[1] - entry, 0.3)
    times = {
        "both": np.minimum(until, rng.exponential(250.0, count)),
        "calendar": until,
        "open": until,
        "dropout": np.maximum(rng.exponential(60.0, count), 0.3),
    }
    return replace(draws, censoring=times[kind]), entry


class World:
    """Patients of one simulated cohort."""

    def __init__(
        self,
        censoring: str,
        count: int,
        event_rate: float,
        rng: np.random.Generator,
    ) -> None:
        self.rng, self.count, self.event_rate = rng, count, event_rate
        self.draws, self.entry = censored(censoring, count, rng)
        self.normal = rng.standard_normal(count)

    def outcome(
        self,
        risk: Floats | float = 0.0,
        *,
        leak: bool = False,
    ) -> pd.DataFrame:
        """Times and events under proportional hazards."""
        log_risk = np.broadcast_to(np.asarray(risk, float), (self.count,)).copy()
        scale = weibull_scale(log_risk, self.draws, self.event_rate)
        return observe(log_risk, self.draws, scale, leak=leak)

    def early(self, risk: Floats) -> pd.DataFrame:
        """Times and events where `risk` acts in the first year only, over a constant hazard."""
        low, high = 1.0, 1e4
        for _ in range(40):
            scale = np.sqrt(low * high)
            until = EARLY * np.exp(risk) / scale
            drawn = self.draws.exponential
            relapse = np.where(
                drawn < until,
                drawn * scale * np.exp(-risk),
                EARLY + (drawn - until) * scale,
            )
            too_many = np.mean(relapse <= self.draws.censoring) > self.event_rate
            low, high = (scale, high) if too_many else (low, scale)
        time = np.maximum(np.minimum(relapse, self.draws.censoring).round(1), 0.1)
        return pd.DataFrame(
            {"time": time, "event": (relapse <= self.draws.censoring).astype(int)},
        )


def sample(value: npt.ArrayLike, seen: pd.DataFrame) -> Sample:
    """One column with its outcome."""
    return (
        np.asarray(value, float),
        seen["time"].to_numpy(float),
        seen["event"].to_numpy(bool),
    )


def doses(world: World, risk: float = 0.0) -> Sample:
    seen = world.outcome(risk * world.normal, leak=True)
    return sample(seen["no_instillations"].replace(-1, np.nan), seen)


def doses_given_up(world: World) -> Sample:
    keen = world.rng.random(world.draws.taken.shape) < 0.87
    world.draws = replace(
        world.draws,
        stop=0.4 * world.draws.stop,
        taken=world.draws.taken & keen,
    )
    return doses(world)


def cumulative_dose(world: World) -> Sample:
    seen = world.outcome()
    return sample(
        np.minimum(seen["time"], 24.0) * world.rng.uniform(0.6, 1.2, world.count),
        seen,
    )


def visits(world: World) -> Sample:
    seen = world.outcome()
    return sample(
        np.floor(seen["time"] / 3) + world.rng.poisson(1.0, world.count),
        seen,
    )


def proportional(
    ratio: float,
    shape: Callable[[Floats], Any] = lambda z: z,
) -> Callable[[World], Sample]:
    """Make a column whose hazard ratio per deviation (per unit of what `shape` returns) is `ratio`."""

    def made(world: World) -> Sample:
        value = np.asarray(shape(world.normal), float)
        return sample(value, world.outcome(np.log(ratio) * value))

    return made


def skewed(world: World) -> Sample:
    return sample(np.exp(world.normal), world.outcome(-np.log(3) * world.normal))


def early_effect(world: World) -> Sample:
    return sample(world.normal, world.early(-np.log(3) * world.normal))


def early_binary(world: World) -> Sample:
    value = (world.normal > 0).astype(float)
    return sample(value, world.early(-np.log(5) * value))


def era(world: World) -> Sample:
    return sample(
        -world.entry + world.rng.normal(0.0, 10.0, world.count),
        world.outcome(),
    )


def entry_year(world: World) -> Sample:
    return sample(-np.floor(world.entry / 12), world.outcome())


def era_and_prognosis(world: World) -> Sample:
    return sample(
        world.normal - world.entry / 24,
        world.outcome(-np.log(2) * world.normal),
    )


def grades(z: Floats) -> npt.NDArray[np.int64]:
    """Four levels."""
    return np.digitize(z, [-0.7, 0.0, 0.9])


ACCRUING: dict[str, Callable[[World], Sample]] = {
    "doses": doses,
    "doses, hazards differ": lambda world: doses(world, 1.0),
    "doses, mostly given up": doses_given_up,
    "cumulative dose to month 24": cumulative_dose,
    "visits without end": visits,
}
HONEST: dict[str, Callable[[World], Sample]] = {
    "noise": proportional(1.0),
    "harmful, HR 3 per sd": proportional(3.0),
    "protective, HR 1/3 per sd": proportional(1 / 3),
    "protective, HR 1/5 per sd": proportional(1 / 5),
    "protective, skewed": skewed,
    "protective, four levels": proportional(0.4, grades),
    "protective, binary": proportional(1 / 3, lambda z: z > 0.25),
    "protective in year 1 only": early_effect,
    "binary in year 1 only": early_binary,
    "era, noisy": era,
    "year of entry": entry_year,
    "era and prognosis": era_and_prognosis,
}
SETTINGS = [
    ("both", 176),
    ("calendar", 176),
    ("open", 176),
    ("dropout", 176),
    ("both", 100),
    ("both", 300),
]
SETTINGS += [("both", 500)]


def rate(
    kind: Callable[[World], Sample],
    censoring: str,
    count: int,
    repeats: int,
    seed: int,
    sign: str = "accrues",
) -> float:
    """Share of simulated columns of a kind that show a sign: `clear`, which is refused, or `accrues`."""
    flagged = 0
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        world = World(censoring, count, 0.3 if repeat % 2 else 0.4, rng)
        try:
            flagged += getattr(signs_of_accrual(*kind(world)), sign)
        except (
            NotComputableError
        ):  # too few events: the check does not apply, so it does not warn
            continue
    return flagged / repeats


def study(repeats: int, seed: int, sign: str) -> pd.DataFrame:
    """Rates of every kind in every setting."""
    rows = []
    for truth, kinds in (("accrues", ACCRUING), ("honest", HONEST)):
        for name, kind in kinds.items():
            row: dict[str, Any] = {"truth": truth, "column": name}
            for censoring, count in SETTINGS:
                row[f"{censoring} {count}"] = rate(
                    kind,
                    censoring,
                    count,
                    repeats,
                    seed,
                    sign,
                )
            rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--sign", choices=["clear", "accrues"], default="clear")
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    table = study(given.repeats, given.seed, given.sign)
    print(table.to_string(index=False, float_format=lambda share: f"{share:.3f}"))
    if given.out is not None:
        write_json(given.out, table.to_dict(orient="records"))


if __name__ == "__main__":
    main()
