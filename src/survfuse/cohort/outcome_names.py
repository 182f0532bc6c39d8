"""Names of columns that are outcomes, for columns that nobody declared by name."""

from __future__ import annotations

import re

_ENDPOINT = "os|dss|pfs|pfi|dfs|dfi|rfs|ttr|dmfs|cvd?death|overallsurvival|survival"
_ENDPOINT += "|(disease|progression|recurrence|relapse|metastasis|event|failure)"
_ENDPOINT += "(free|specific)(survival|interval)"
_GENE_TOO = "efs|bcr|css|mfs|ttp"  # also genes: an outcome only next to a `_MEASURE`
_MEASURE = "time|days?|months?|mos?|years?|yrs?|weeks?|interval|events?|status"
_MEASURE += "|stat|state|cens|censor(ed|ship|ing)?"
_MEASURE += "|ind|indicator|flag|date|outcome"
_HAPPENED = "events?|status|censor(ed|ship|ing)?|cens|vital(status)?|vitalstate"
_HAPPENED += "|alive|survived|mortality"
_HAPPENED += "|futime|fustat|fuday?s|time|duration|outcome"
_COURSE = "recurrences?|recurred|relapsed?|progression|progressed"
_COURSE += "|metastasis|metastasi[sz]ed|failure"
_WHOLE = re.compile(
    f"({_ENDPOINT})({_MEASURE})?"
    f"|({_MEASURE})({_ENDPOINT})"
    f"|({_GENE_TOO})({_MEASURE})"
    f"|{_HAPPENED}"
    f"|({_COURSE})({_MEASURE}|free({_MEASURE})?)?"
    f"|({_HAPPENED})({_MEASURE})"
    "|(time|days?|months?|years?|weeks?|date|age)(to|at|of|until)"
    f"(last.*|death.*|event.*|relapse.*|{_COURSE}|followup.*)"
    "|timeto.*|(date|days?to)?(of)?last(contact|followup|known|seen|visit|news).*"
    "|(is|was)?(dead|deceased|died)|dead(or)?alive|aliveordead|causeofdeath",
)
_DEATH = {"death", "deaths", "dead", "deceased", "died"}
_FOLLOWED = ("followup", "lastcontact", "lastfollow", "vitalstatus", "censor")
_VARIANTS = {"1", "2", "cr"}  # PFI.1, DSS_cr
_MOLECULAR = {
    "cnv",
    "cna",
    "cn",
    "mut",
    "rnaseq",
    "rna",
    "mrna",
    "mirna",
    "expr",
    "meth",
    "protein",
    "rppa",
    "tpm",
}


def named_like_outcome(name: str) -> bool:
    """Whether a column is called as outcomes are, whatever its case and separators.

    >>> list(map(named_like_outcome, ["OS.months", "Vital Status", "days_to_death", "censorship"]))
    [True, True, True, True]
    >>> list(map(named_like_outcome, ["relapse_risk_score", "DSS1", "OSM", "EVENT_cnv"]))
    [False, False, False, False]
    >>> named_like_outcome("er_status")
    False
    """
    parts = re.findall(r"[^\W_]+", name.casefold())
    if len(parts) > 1 and parts[-1] in _MOLECULAR:
        return False
    while len(parts) > 1 and parts[-1] in _VARIANTS:
        parts.pop()
    joined = "".join(parts)
    if _WHOLE.fullmatch(joined) or re.search("|".join(_FOLLOWED), joined):
        return True
    return bool(_DEATH & set(parts)) and "cell" not in parts
