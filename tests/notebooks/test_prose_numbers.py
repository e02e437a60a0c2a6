"""Every number that a chapter states in words stands in one of its stored outputs."""

from booktools import notebooks, prose


def test_prose_states_only_computed_numbers(chapter_path):
    assert prose.unsupported(notebooks.read(chapter_path)) == []
