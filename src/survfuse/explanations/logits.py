"""Terms of the hazard of each time bin, of networks with head ``discrete``."""

from __future__ import annotations

import pandas as pd

from survfuse._errors import ConfigError
from survfuse.decomposition import decompose
from survfuse.decomposition.readings import term_name
from survfuse.estimators.network_parts import NetworkParts
from survfuse.explanations.explained import Explained


def logits(explained: Explained) -> pd.DataFrame:
    """Split the logit of the hazard of each time bin into terms, exactly.

    Parameters
    ----------
    explained : Explained

    Returns
    -------
    DataFrame
        Index `patient_id` and `bin` (from 1); columns as the terms of the log-risk. A row adds up
        to the logit, its mean over the members of an ensemble.

    Raises
    ------
    ConfigError
        For a model without time bins, or a fusion whose terms are averages over draws.
    """
    parts = explained.parts
    if (
        not isinstance(parts, NetworkParts)
        or parts.networks[0].config.head != "discrete"
    ):
        raise ConfigError("only a network with head discrete has a hazard in time bins")
    outputs = parts.outputs()
    if outputs is None:
        raise ConfigError(
            f"fusion {parts.networks[0].config.fusion!r}: terms are averages over draws, of the "
            "log-risk only; see `terms` and `errors`",
        )
    index = pd.Index(explained.ids, name="patient_id", dtype=object)
    frames = {}
    for number, members in enumerate(outputs, start=1):
        effects = decompose(members, explained.readings, explained.reference).effects
        columns = {term_name(term): effect for term, effect in effects.items()}
        frames[number] = pd.DataFrame(columns, index=index)
    joined = pd.concat(frames, names=["bin"]).swaplevel()
    return joined.sort_index(level="bin", sort_remaining=False)
