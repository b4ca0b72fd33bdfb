"""Every lesson's links, pictures, cell ids and cell metadata; README's links."""

import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import lessons
import prose
import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(!?)\[([^\]]*)\]\(\s*<?([^)\s>]*)[^)]*\)")
TAGS = {"parameters", "report", "nbval-check-output"}
GRADING = {"grade", "grade_id", "locked", "points", "schema_version", "solution", "task"}

every_lesson = pytest.mark.parametrize("name", lessons.lessons())


def written(name):
    """Return a lesson's Markdown, code left out."""
    cells = lessons.notebook(name).cells
    return "\n\n".join(prose.CODE.sub("", c.source) for c in cells if c.cell_type == "markdown")


def anchors(markdown):
    """Return the anchors of the headings, as JupyterLab makes them."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return [heading.strip().replace(" ", "-") for heading in headings]


def links(markdown):
    found = [target for image, _, target in LINK.findall(markdown) if not image]
    return found + re.findall(r"<a\b[^>]*\bhref=[\"']([^\"']*)", markdown)


def broken_links(markdown, exists):
    """Return the links that lead nowhere; what is outside is not opened, but has to be https."""
    inside, wrong = set(anchors(markdown)), []
    for target in links(markdown):
        file, _, anchor = unquote(target).partition("#")
        if re.match(r"\w+:", file):
            good = file.startswith("https://")
        else:
            good = exists(file) if file else anchor in inside
        if not good:
            wrong.append(target)
    return wrong


def pictures_without_text(html_or_markdown):
    """Return the pictures, in Markdown or HTML, that have no text to stand for them."""
    images = [(found[2], found[1]) for found in LINK.findall(html_or_markdown) if found[0]]
    for tag in re.findall(r"<img\b[^>]*>", html_or_markdown):
        alt = re.search(r"\balt=(\"([^\"]*)\"|'([^']*)')", tag)
        images.append((tag[:60], (alt.group(2) or alt.group(3) or "") if alt else ""))
    return [name for name, alt in images if len(alt.strip()) < 10]


@every_lesson
def test_links_lead_to_other_lessons_that_students_have(name):
    released = {f"../{other}/{other}.ipynb" for other in lessons.lessons()}
    assert not broken_links(written(name), released.__contains__)


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_links_of_the_first_pages(name):
    text = prose.CODE.sub("", (ROOT / name).read_text(encoding="utf-8"))
    assert not broken_links(text, lambda file: (ROOT / file).exists())
    assert not pictures_without_text(text)


@every_lesson
def test_no_two_headings_have_one_anchor(name):
    cells = [c for c in lessons.notebook(name).cells if c.cell_type == "markdown"]
    counts = Counter(anchors("\n".join(cell.source for cell in cells)))
    assert not [anchor for anchor, count in counts.items() if count > 1]


@every_lesson
def test_pictures_in_the_text_have_a_text_that_stands_for_them(name):
    assert not pictures_without_text(written(name))


@every_lesson
def test_cell_ids_are_unique_and_stable(name):
    ids = [cell.id for cell in lessons.notebook(name).cells]
    assert len(ids) == len(set(ids))
    # What a notebook editor makes up is a random number, which changes with every rewrite.
    assert not [id for id in ids if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f-]+)?", id)]


@every_lesson
def test_cell_metadata_is_tags_and_grading_only(name):
    notebook = lessons.notebook(name)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "nbgrader"}, cell.id
        assert set(cell.metadata.get("tags", [])) <= TAGS, cell.id
        grading = lessons.settings(cell)
        if grading:
            assert set(grading) | {"points"} == GRADING, cell.id
            assert ("points" in grading) == grading["grade"], cell.id
            assert grading["schema_version"] == 3
    grade_ids = [lessons.settings(c)["grade_id"] for c in notebook.cells if lessons.settings(c)]
    assert len(grade_ids) == len(set(grade_ids))


# The tests can fail


@pytest.mark.parametrize(
    "markdown",
    ["[a](gone.ipynb)", "[a](#none)", "[a](http://x.org)", '<a href="gone">a</a>', "[a](?)"],
)
def test_a_broken_link_is_found(markdown):
    assert broken_links(f"# One heading\n\n{markdown}", {"there.ipynb"}.__contains__)


@pytest.mark.parametrize("target", ["there.ipynb", "there.ipynb#x", "#One-heading", "https://x.org"])
def test_a_good_link_is_left_alone(target):
    assert not broken_links(f"# One heading\n\n[a]({target})", {"there.ipynb"}.__contains__)


@pytest.mark.parametrize("markup", ["![](a.png)", "<img src='a'>", '<img src="a" alt="">'])
def test_a_picture_without_text_is_found(markup):
    assert pictures_without_text(markup)
