"""The status page's own figures: which rows have grown old, on a day that the test chooses."""
import datetime
import json
from pathlib import Path

import pytest

from booktools import notebooks, status
from siliconomics.tables import table

ROOT = Path(__file__).resolve().parents[2]


def ages(today):
    return {entry["table"]: entry for entry in status.aged(datetime.date.fromisoformat(today))}


def test_prices_age_in_twelve_months_and_chips_in_twenty_four():
    newest = {name: datetime.date.fromisoformat(max(r["as_of"] for r in table(name))) for name in ("prices", "accelerators")}
    for name, months in (("prices", 12), ("accelerators", 24)):
        later = lambda extra: (newest[name].replace(day=1) + datetime.timedelta(days=31 * (months + extra))).isoformat()
        assert len(ages(later(2))[name]["past"]) == ages(later(2))[name]["rows"]
        assert len(ages(later(-2))[name]["past"]) < ages(later(-2))[name]["rows"]
        assert status.age(name) == str(months)


def test_nothing_is_stale_before_it_was_written():
    assert status.stale_lines(today=datetime.date(2000, 1, 1)) == ["0 rows in 0 tables are due for another look"]


def test_a_table_is_listed_oldest_first_and_in_full_when_asked():
    late = datetime.date(2040, 1, 1)
    listed = status.stale_lines(("prices",), today=late)
    dates = [line.split()[0] for line in listed[1:-1]]
    assert len(dates) == len(table("prices")) and dates == sorted(dates)
    short = status.stale_lines(most=3, today=late)
    assert f"  and {len(dates) - 3} more: stale prices" in short


def test_every_chapter_has_a_recorded_time():
    if not (ROOT / status.TIMES).exists():
        pytest.skip("make times has not recorded a run; the status page says so")
    record = json.loads((ROOT / status.TIMES).read_text(encoding="utf-8"))
    assert list(record["seconds"]) == [path.stem for path in notebooks.chapters(ROOT)]
    assert all(0 < seconds < 600 for seconds in record["seconds"].values()) and record["machine"]["cpu"]


def test_times_are_taken_from_a_copy(tmp_path, monkeypatch):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "tests" / "bench").mkdir(parents=True)
    stored = tmp_path / "chapters" / "01_a.ipynb"
    stored.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(notebooks, "execute", lambda path: 12.34 if path != stored else pytest.fail("ran the stored file"))
    status.time_chapters(tmp_path, say=lambda line: None)
    assert json.loads((tmp_path / status.TIMES).read_text(encoding="utf-8"))["seconds"] == {"01_a": 12.3}
