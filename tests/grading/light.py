"""A small assignment in nbgrader's form, and submissions of it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NAME = "light"

SETUP = """import numpy as np

from labkit.checks import Checks, same"""

SOLUTIONS = {
    "scale": '''def scale(images):
    """Return the images with values from 0 to 1."""
    ### BEGIN SOLUTION
    return np.asarray(images, "float32") / 255
    ### END SOLUTION''',
    "head": '''import keras


def head(inputs, classes):
    """Return a softmax layer on ``inputs`` numbers, as a Keras model."""
    ### BEGIN SOLUTION
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(classes, "softmax")])
    ### END SOLUTION''',
    "rate": """### BEGIN SOLUTION
learning_rate = 1e-4
### END SOLUTION""",
}

CHECKS = {
    "scale": """checks = Checks("scale", 2)
white = np.full((2, 2), 255)
checks.check("white is 1", 1, lambda: same(scale(white), np.ones((2, 2)), "White"), hint="Divide.")
### BEGIN HIDDEN TESTS
secret = np.array([[0, 51], [102, 204]])
checks.check(
    "grey is between", 1, lambda: same(scale(secret), secret / 255, "Grey", tolerance=1e-6)
)
### END HIDDEN TESTS
checks.points()""",
    "head": """checks = Checks("head", 3)
checks.check(
    "one output a class", 1, lambda: same(head(8, 3).output_shape, (None, 3), "The shape")
)
### BEGIN HIDDEN TESTS


def secret_sums():
    scores = head(5, 4).predict(np.ones((2, 5)), verbose=0)
    same(scores.sum(axis=1), [1, 1], "The sum of the outputs", tolerance=1e-5)


def secret_training():
    model = head(3, 2)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    before = model.get_weights()[0].copy()
    model.fit(np.eye(3), np.array([0, 1, 0]), verbose=0)
    assert not np.array_equal(before, model.get_weights()[0]), "The weights do not move."


checks.check("the outputs are probabilities", 1, secret_sums)
checks.check("it can be trained", 1, secret_training)
### END HIDDEN TESTS
checks.points()""",
    "rate": """checks = Checks("rate", 1)
checks.check("it is a positive number", 0.5, lambda: learning_rate > 0)
### BEGIN HIDDEN TESTS
checks.check("it is small enough for fine-tuning", 0.5, lambda: learning_rate <= 1e-3)
### END HIDDEN TESTS
checks.points()""",
}
POINTS = {"scale": 2, "head": 3, "rate": 1, "why": 1}

RIGHT = {
    "scale": SOLUTIONS["scale"],
    "head": SOLUTIONS["head"],
    "rate": "learning_rate = 1e-4",
}


def source() -> Any:
    """Return the instructor's notebook."""
    cells = [
        new_markdown_cell("# A light assignment"),
        new_code_cell(
            'PROFILE = "cpu"\nSEED = 0\nDATA = "auto"', metadata={"tags": ["parameters"]}
        ),
        new_code_cell(SETUP),
    ]
    for name, solution in SOLUTIONS.items():
        cells.append(new_markdown_cell(f"### Exercise `{name}` ({POINTS[name]} points)"))
        cells.append(_graded(solution, name, solution=True))
        cells.append(_graded(CHECKS[name], f"{name}-checks", points=POINTS[name]))
    cells.append(new_markdown_cell("### Exercise `why` (1 point)"))
    answer = new_markdown_cell("*Model answer.* Because.")
    answer.metadata["nbgrader"] = _settings("why", True, 1)
    cells.append(answer)
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:02d}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _settings(name: str, solution: bool, points: float | None) -> dict[str, Any]:
    found = {
        "grade": points is not None, "grade_id": name, "locked": not solution,
        "schema_version": 3, "solution": solution, "task": False,
    }  # fmt: skip
    return found if points is None else {**found, "points": points}


def _graded(code: str, name: str, *, solution: bool = False, points: float | None = None) -> Any:
    return new_code_cell(code, metadata={"nbgrader": _settings(name, solution, points)})


def write_source(folder: Path) -> Path:
    """Write the instructor's notebook; return its file."""
    file = folder / "source" / NAME / f"{NAME}.ipynb"
    file.parent.mkdir(parents=True)
    nbformat.write(source(), file)
    return file


def released() -> Any:
    """Return the student version."""
    from labkit.course.release import student_version

    return student_version(source())


def place(notebook: Any, exercise: str) -> int:
    """Return where the cell with a grade_id is."""
    ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells]
    return ids.index(exercise)


def answered(**answers: str) -> Any:
    """Return a submission: right answers, but for those that are given."""
    notebook = copy.deepcopy(released())
    for name, code in {**RIGHT, **answers}.items():
        notebook.cells[place(notebook, name)].source = code
    return notebook


def hand_in(root: Path, student: str, notebook: Any) -> Path:
    """Write a student's notebook where it is handed in."""
    file = root / student / NAME / f"{NAME}.ipynb"
    file.parent.mkdir(parents=True)
    if isinstance(notebook, bytes):
        file.write_bytes(notebook)
    else:
        nbformat.write(notebook, file)
    return file
