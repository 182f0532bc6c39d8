from __future__ import annotations

import pytest

from survfuse.cohort.outcome_names import named_like_outcome


@pytest.mark.parametrize(
    "name",
    [
        *(
            "survival",
            "survival_months",
            "Overall Survival",
            "OverallSurvival",
            "disease_free_survival",
            "OS",
        ),
        *(
            "os_months",
            "OS.time",
            "OSmonths",
            "dss",
            "DSS_cr",
            "PFI.1",
            "PFI.time",
            "pfs_event",
            "DFS_STATUS",
        ),
        *(
            "rfs",
            "efs_time",
            "censorship",
            "Censored",
            "censor",
            "vital_status",
            "vitalStatus",
            "event",
            "status",
        ),
        *(
            "dead",
            "death",
            "deceased",
            "days_to_death",
            "date_of_death",
            "death_event",
            "age_at_death",
            "died",
        ),
        *(
            "days_to_last_follow_up",
            "days_to_last_followup",
            "last_contact",
            "follow-up",
            "followUpMonths",
        ),
        *(
            "time_to_relapse",
            "time_to_event",
            "recurrence",
            "recurrence_status",
            "relapse",
            "days_to_recurrence",
        ),
    ],
)
def test_an_outcome_is_known_by_its_name(name: str) -> None:
    assert named_like_outcome(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "relapse_risk_score",
            "age",
            "age_at_diagnosis",
            "er_status",
            "smoking_status",
            "performance_status",
        ),
        *(
            "DSS1",
            "OSM",
            "OS9",
            "BCR",
            "EFS",
            "TTP",
            "TIMELESS",
            "TIMP1",
            "CENPA",
            "OSR1",
            "CSS1",
            "BIRC5",
        ),
        *(
            "PFS_cnv",
            "OS_mut",
            "EVENT_rnaseq",
            "DEAD_cnv",
            "cell_death_score",
            "days_to_surgery",
            "grade",
        ),
    ],
)
def test_a_gene_or_a_baseline_column_is_not(name: str) -> None:
    assert not named_like_outcome(name)
