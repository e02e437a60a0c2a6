"""Make notebooks that students might hand in."""
import nbformat

from booktools import course, notebooks


def solved(one, wrong=()):
    """The full solution, in which the answers of some exercises are multiplied by a factor."""
    nb, wrong = course.instructor(one), dict(wrong)
    for cell in nb.cells:
        for id, factor in wrong.items():
            cell.source = cell.source.replace(f'answers["{id}"] = answer', f'answer = answer * {factor!r}\nanswers["{id}"] = answer')
    return nb


def program(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])


def hand_in(folder, **by_student):
    folder.mkdir(parents=True, exist_ok=True)
    for student, nb in by_student.items():
        (folder / f"{student}.ipynb").write_text(notebooks.text(nb), encoding="utf-8")
    return folder
