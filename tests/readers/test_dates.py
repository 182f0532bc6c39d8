from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from survfuse.readers.dates import is_date_format, read_dates


def cells(*texts: str) -> pd.Series[str]:
    return pd.Series(texts, dtype=object)


@pytest.mark.parametrize(
    ("texts", "written"),
    [
        (("2021-03-04", "2021-12-31"), "%Y-%m-%d"),
        (("2021-3-4 00:00:00", "2021-12-31T10:30:00Z"), "%Y-%m-%d"),
        (("2021/03/04", "2021/12/31"), "%Y/%m/%d"),
        (("04.03.2021", "31.12.2021"), "%d.%m.%Y"),
        (("4/3/2021", "31/12/2021"), "%d/%m/%Y"),
        (("3/4/2021", "12/31/2021"), "%m/%d/%Y"),
        (("04-03-2021", "31-12-2021"), "%d-%m-%Y"),
    ],
)
def test_the_one_reading_of_a_column_is_taken(
    texts: tuple[str, ...],
    written: str,
) -> None:
    dates = read_dates(cells(*texts))
    assert dates.format == written
    assert dates.others == ()
    days = [date(2021, 3, 4).toordinal(), date(2021, 12, 31).toordinal()]
    assert dates.days.tolist() == days


def test_a_column_with_two_readings_names_both() -> None:
    dates = read_dates(cells("03/04/2021", "05/06/2021"))
    assert {dates.format, *dates.others} == {"%d/%m/%Y", "%m/%d/%Y"}
    assert read_dates(cells("03/03/2021", "05/05/2021")).others == ()
    assert read_dates(cells("03/04/2021"), "%m/%d/%Y").days.tolist() == [
        date(2021, 3, 4).toordinal(),
    ]


def test_parts_of_dates_and_other_cells_are_none() -> None:
    texts = ("2021-03-04", "2021-03", "2021", "04.03.2021", "2021-02-31", "44259")
    dates = read_dates(cells(*texts))
    assert np.isfinite(dates.days).tolist() == [True, *[False] * 5]
    assert dates.partial.tolist() == [False, True, True, False, False, False]


def test_no_cell_has_no_date() -> None:
    assert read_dates(pd.Series([], dtype=object)).days.tolist() == []


@pytest.mark.parametrize("text", ["%m/%Y", "no", "%d.%m", "%Y-%m-%d %Q"])
def test_a_format_without_day_month_or_year_is_none(text: str) -> None:
    assert not is_date_format(text)


@pytest.mark.parametrize("text", ["%d.%m.%y", "%d-%b-%Y", "%Y%m%d"])
def test_a_format_may_be_any_that_tells_the_day(text: str) -> None:
    assert is_date_format(text)
