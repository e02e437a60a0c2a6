"""The teaching pages lead to exercises, objectives and claims that exist."""
import re

import pytest

from booktools import course
from sitebook import ROOT

LINK = re.compile(r'href="((?:\.\./)*[^"#:]+\.html)(?:#([^"]+))?"')


def table(site, page, name):
    text = (site / "book" / "course" / f"{page}.html").read_text(encoding="utf-8")
    return re.search(rf'<table class="[^"]*\b{name}\b.*?</table>', text, re.DOTALL)[0]


@pytest.mark.parametrize("page, name, least", [("sets", "course-sets", 55), ("map", "course-map", 200), ("syllabus", "course-plan", 15)])
def test_links_of_a_table_lead_somewhere(site, page, name, least):
    found = LINK.findall(table(site, page, name))
    assert len(found) >= least
    for address, anchor in found:
        target = (site / "book" / "course" / address).resolve()
        assert target.exists() and (not anchor or f'id="{anchor}"' in target.read_text(encoding="utf-8")), (address, anchor)


def test_map_holds_every_exercise(site):
    text = table(site, "map", "course-map")
    assert [id for id in course.exercises(ROOT) if f">{id}</a>" not in text] == []


def test_limits_are_those_of_the_grader(site):
    text = (site / "book" / "course" / "grading.html").read_text(encoding="utf-8")
    assert "120 s of wall clock" in text and "3 GB of memory" in text and "128 processes" in text
