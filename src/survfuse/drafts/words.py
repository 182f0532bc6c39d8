"""Names of columns in words, and what the words say."""

from __future__ import annotations

import re

MEASURES = {
    **dict.fromkeys(("day", "days"), "days"),
    **dict.fromkeys(("month", "months", "mo", "mos", "mth", "mths"), "months"),
    **dict.fromkeys(("year", "years", "yr", "yrs"), "years"),
    **dict.fromkeys(("week", "weeks", "wk", "wks"), "weeks"),
}
"""Unit that a word of a name says."""
TIMES = {"time", "times", "duration", "interval", "futime", "survtime", *MEASURES}
"""Words of a name that say that a column holds times."""

ENDPOINTS = {
    "os": "overall survival",
    "dss": "disease-specific survival",
    "css": "cancer-specific survival",
    "pfs": "progression-free survival",
    "pfi": "progression-free interval",
    "dfs": "disease-free survival",
    "dfi": "disease-free interval",
    "rfs": "recurrence-free survival",
    "efs": "event-free survival",
    "mfs": "metastasis-free survival",
    "dmfs": "distant-metastasis-free survival",
    "ttr": "time to recurrence",
    "ttp": "time to progression",
}
"""Short names of endpoints, and what tables call them."""

_SPELLED = {
    "overall": "os",
    "diseasespecific": "dss",
    "cancerspecific": "css",
    "progressionfree": "pfs",
    "diseasefree": "dfs",
    "recurrencefree": "rfs",
    "relapsefree": "rfs",
    "eventfree": "efs",
    "metastasisfree": "mfs",
    "recur": "rfs",
    "relaps": "rfs",
    "progress": "pfs",
    "timetoprog": "pfs",
}
_LIFE = (
    *(
        "death",
        "dead",
        "decease",
        "died",
        "vital",
        "alive",
        "mortality",
        "surviv",
        "fustat",
    ),
    *(
        "futime",
        "followup",
        "lastcontact",
        "lastfollow",
        "lastinfo",
        "lastknown",
        "lastseen",
    ),
)


def words_of(name: str) -> list[str]:
    """Words of a column's name, in lower case.

    >>> words_of("OS.time"), words_of("daysToDeath"), words_of("Overall Survival (Months)")
    (['os', 'time'], ['days', 'to', 'death'], ['overall', 'survival', 'months'])
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W_]+", spaced.casefold())


def endpoint_of(name: str) -> str:
    """Short name of the endpoint that a column's name speaks of; empty where of none.

    >>> [endpoint_of(name) for name in ("PFI.time", "vital_status", "days_to_recurrence", "event")]
    ['pfi', 'os', 'rfs', '']
    """
    terms = words_of(name)
    for term in terms:
        if term in ENDPOINTS:
            return term
    joined = "".join(terms)
    for part, endpoint in _SPELLED.items():
        if part in joined:
            return endpoint
    return "os" if any(part in joined for part in _LIFE) else ""


def free_of(name: str) -> bool:
    """Whether a column's name says that an event did not happen.

    >>> list(map(free_of, ["disease_free", "Progression Free Status", "free_psa"]))
    [True, True, False]
    """
    return "free" in words_of(name) and bool(endpoint_of(name))


def unit_of_name(name: str) -> str:
    """Unit of time that a column's name says; empty where it says none.

    >>> unit_of_name("survival_months"), unit_of_name("OS.time")
    ('months', '')
    """
    units = {MEASURES[term] for term in words_of(name) if term in MEASURES}
    return units.pop() if len(units) == 1 else ""


def identifier(text: str) -> str:
    """Name of a modality, endpoint or group: letters, digits and _.

    >>> identifier("blood values"), identifier("2nd")
    ('blood_values', '_2nd')
    """
    name = re.sub(r"\W+", "_", text).strip("_") or "table"
    return name if name.isidentifier() else f"_{name}"
