"""Directives of the teaching pages, computed from the chapters and from book/course/sets.yml.

``course-sets`` (what each problem set holds), ``course-plan`` (a syllabus, by its name), ``course-map`` (chapter, objective,
exercise, claim).
"""
from __future__ import annotations

import re

import yaml
from docutils import nodes

import siliconomics as si
from siliconomics import exercises
from siliconomics.tables import table

from . import course, notebooks, sandbox
from .directives import ROOT, TableDirective, plain_text

OBJECTIVE = re.compile(r"^\d+\.\s+(.+)$", re.MULTILINE)
CLAIM = re.compile(r"\b[A-Z]\d{2}\b")
READING = re.compile(r"Reading takes (\d+) minutes")


def reading_minutes(nb) -> int:
    return int(next(m[1] for cell in nb.cells if (m := READING.search(cell.source))))


def objectives(nb) -> list[str]:
    section = next(s for s in notebooks.sections(nb) if s.title == "Objectives")
    return [text.rstrip(";.") for text in OBJECTIVE.findall(section.prose())]


def claims_of(text: str) -> list[str]:
    known = {row["id"] for row in table("claims")}
    return [id for id in dict.fromkeys(CLAIM.findall(text)) if id in known]


class CourseTable(TableDirective):
    """A table that is made anew when the sets or a chapter change."""

    def run(self) -> list[nodes.Node]:
        for path in [ROOT / course.SETS, *notebooks.chapters(ROOT)]:
            self.env.note_dependency(str(path))
        return super().run()

    def link(self, docname: str, label: str, anchor: str = "") -> nodes.paragraph:
        return nodes.paragraph("", "", self.reference(docname, label, anchor))

    def reference(self, docname: str, label: str, anchor: str = "") -> nodes.reference:
        page = self.env.app.builder.get_relative_uri(self.env.docname, docname)
        return nodes.reference("", label, internal=True, refuri=page + (f"#{anchor}" if anchor else ""))

    def linked(self, entries: list[tuple[str, str, str]]) -> nodes.paragraph:
        """References to (page, label, anchor), with commas between."""
        parts = [node for entry in entries for node in (nodes.Text(", "), self.reference(*entry))]
        return nodes.paragraph("", "", *parts[1:])

    def exercise_links(self, chosen: list[course.Exercise]) -> nodes.paragraph:
        pages = {path.stem[:2]: f"chapters/{path.stem}" for path in notebooks.chapters(ROOT)}
        return self.linked([(pages[e.id[:2]], f"{e.id}", f"ex-{e.id.replace('.', '-')}") for e in chosen])


class Sets(CourseTable):
    """The problem sets with their exercises, points and minutes."""

    header = ["set", "exercises", "points", "minutes", "week of six", "week of twelve"]
    widths, name_class = [28, 40, 8, 8, 8, 8], "course-sets"

    def cells(self):
        for one in course.problem_sets(ROOT).values():
            yield [plain_text(f"{one.title.removeprefix('Problem set ')}"), self.exercise_links(list(one.exercises)), str(one.total()), str(one.minutes()),
                   str(one.week_of_6), str(one.week_of_12)]


class Plan(CourseTable):
    """A syllabus week by week."""

    required_arguments, final_argument_whitespace = 1, True
    header = ["week", "chapters", "reading, minutes", "in class", "due"]
    widths, name_class = [6, 30, 10, 40, 10], "course-plan"

    def cells(self):
        plan = next(p for p in yaml.safe_load((ROOT / course.SETS).read_text(encoding="utf-8"))["plans"] if p["name"] == self.arguments[0])
        due = {getattr(one, f"week_of_{len(plan['weeks'])}"): one.id.replace("set", "set ") for one in course.problem_sets(ROOT).values()}
        for week, entry in enumerate(plan["weeks"], start=1):
            paths = [path for number in entry["chapters"] for path in notebooks.chapters(ROOT, str(number))]
            read = [notebooks.read(path) for path in paths]
            titles = self.linked([(f"chapters/{path.stem}", f"{int(path.stem[:2])} {course.chapter_title(nb)}", "") for path, nb in zip(paths, read)])
            yield [str(week), titles, str(sum(map(reading_minutes, read))), plain_text(entry["class"]), due.get(week, "")]


class Map(CourseTable):
    """Which exercises practise an objective, and which claims they take up."""

    header = ["chapter", "objective: the reader can", "exercises", "claims in them"]
    widths, name_class = [20, 44, 20, 14], "course-map"

    def cells(self):
        for path in notebooks.chapters(ROOT):
            nb, stem = notebooks.read(path), path.stem
            mine = [e for id, e in course.exercises(ROOT).items() if id[:2] == stem[:2]]
            settled = claims_of(nb.cells[0].source)
            yield [self.link(f"chapters/{stem}", f"{int(stem[:2])} {course.chapter_title(nb)}"), "all of the chapter", f"{len(mine)}", self.claims(settled)]
            for number, objective in enumerate(objectives(nb), start=1):
                chosen = [e for e in mine if e.objective == number]
                named = claims_of(" ".join(e.statement + e.solution.source for e in chosen))
                yield ["", f"{number}. {objective}", self.exercise_links(chosen), self.claims(named)]

    def claims(self, ids: list[str]) -> nodes.paragraph:
        return self.linked([("book/ledger", id, f"claim-{id.lower()}") for id in ids])


def count_role(name, rawtext, text, lineno, inliner, options=None, content=None):
    """``{exercisecount}`all` `` or of one difficulty."""
    chosen = [e for e in course.exercises(ROOT).values() if text in ("all", e.level)]
    return [nodes.Text(str(len(chosen)))], []


def limit_role(name, rawtext, text, lineno, inliner, options=None, content=None):
    """``{sandboxlimit}`wall_seconds` ``: a limit of the grader as it is set, or the tolerance of an answer."""
    value = exercises.TOLERANCE if text == "tolerance" else getattr(sandbox.Limits(), text)
    unit = "%" if text == "tolerance" else {"seconds": "s", "bytes": "B"}.get(text.rpartition("_")[2], "")
    shown = si.fmt(value, unit, 2).replace(".0 ", " ") if unit else f"{value}"
    return [nodes.Text(shown)], []


def setup(app):
    app.add_role("exercisecount", count_role)
    app.add_role("sandboxlimit", limit_role)
    app.add_directive("course-sets", Sets)
    app.add_directive("course-plan", Plan)
    app.add_directive("course-map", Map)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
