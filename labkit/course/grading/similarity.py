"""Ranks pairs of submissions by how alike their code is. What that means, a person decides.

Compared are tokens, with the names that students choose made equal, so that renaming does
not hide a copy. Lines of the starter notebook do not count: everybody has them.
"""

from __future__ import annotations

import builtins
import io
import itertools
import keyword
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from rapidfuzz import fuzz, process

from labkit.course.grading.assignment import Assignment, load_assignment
from labkit.course.grading.code import as_python
from labkit.course.grading.folders import text
from labkit.course.grading.results import Graded
from labkit.course.run import read_notebook
from labkit.errors import CourseError
from labkit.paths import atomic_write

FEWEST_TOKENS = 40
"""Shorter code is alike by itself and is left out."""

LETTERS = 1_000_000
"""How many characters stand for tokens."""

SHOWN_PAIRS = 50
"""Pairs in the report, the most alike first."""

_SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
            tokenize.ENCODING, tokenize.ENDMARKER}  # fmt: skip

Line = tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two submissions, and how alike their own code is, 0..100."""

    assignment: str
    one: str
    other: str
    similarity: float
    tokens: int


def write_similarity(results: Sequence[Graded], sources: Mapping[str, Path], out: Path) -> Path:
    """Write ``similarity.html`` about a batch whose executed notebooks are in ``out``."""
    pairs: list[Pair] = []
    code: dict[tuple[str, str], str] = {}
    for name, source in sources.items():
        assignment = load_assignment(source)
        own = {}
        for student in sorted(one.student for one in results if one.assignment == name):
            file = out / "autograded" / student / name / f"{name}.ipynb"
            code[name, student] = own[student] = _own_code(file, assignment)
        pairs += compare(own, _starter(assignment), name)
    pairs.sort(key=lambda pair: -pair.similarity)
    file = out / "similarity.html"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    page = environment.get_template("similarity.html.j2").render(
        pairs=pairs[:SHOWN_PAIRS], code=code, text=text, submissions=len(results)
    )
    with atomic_write(file) as stream:
        stream.write(page.encode("utf-8", "backslashreplace"))
    return file


def compare(code: Mapping[str, str], starter: str, assignment: str = "") -> list[Pair]:
    """Return all pairs of students with enough code of their own, the most alike first.

    Args:
        code: each student's code.
        starter: code that everybody was given; its lines are left out.
        assignment: its name, for the pairs.
    """
    known = set(_lines(starter))
    tokens = {
        student: [token for line in _lines(own) if line not in known for token in line]
        for student, own in code.items()
    }
    long = {student: own for student, own in tokens.items() if len(own) >= FEWEST_TOKENS}
    if len(long) < 2:
        return []
    students, letters = list(long), _letters(itertools.chain.from_iterable(long.values()))
    words = ["".join(letters[token] for token in own) for own in long.values()]
    scores = np.asarray(process.cdist(words, words, scorer=fuzz.ratio))
    pairs = [
        Pair(assignment, students[i], students[j], float(scores[i, j]),
             min(len(words[i]), len(words[j])))
        for i, j in itertools.combinations(range(len(students)), 2)
    ]  # fmt: skip
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.one, pair.other))


def _letters(tokens: Iterable[str]) -> dict[str, str]:
    """Give each token a letter, so that texts of letters can be compared.

    There are as many letters as a batch needs; of a million different tokens some share one.
    """
    tokens = sorted(set(tokens))
    return {token: chr(0x4E00 + number % LETTERS) for number, token in enumerate(tokens)}


def _lines(code: str) -> Iterator[Line]:
    """Yield the tokens of each line; names that a student chose are all alike."""
    line: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.NEWLINE and line:
                yield tuple(line)
                line = []
            elif token.type not in _SKIPPED:
                after_dot = bool(line) and line[-1] == "."
                line.append(_neutral(token, after_dot))
    except (tokenize.TokenError, SyntaxError, IndentationError):
        pass
    if line:
        yield tuple(line)


def _neutral(token: tokenize.TokenInfo, after_dot: bool) -> str:
    if token.type == tokenize.STRING:
        return "text"
    chosen = token.type == tokenize.NAME and not (
        after_dot or keyword.iskeyword(token.string) or hasattr(builtins, token.string)
    )
    return "name" if chosen else token.string


def _own_code(file: Path, assignment: Assignment) -> str:
    """Return the code of an executed notebook, without check cells."""
    try:
        cells: list[Any] = read_notebook(file).cells
    except CourseError:
        return ""
    locked = {id(cell) for cell in cells if cell.metadata.get("nbgrader", {}).get("locked")}
    code = [as_python(cell.source) or "" for cell in cells
            if cell.cell_type == "code" and id(cell) not in locked]  # fmt: skip
    return "\n".join(code)


def _starter(assignment: Assignment) -> str:
    cells = [cell for cell in assignment.released.cells if cell.cell_type == "code"]
    return "\n".join(as_python(cell.source) or "" for cell in cells)
