"""What a lesson says in words: its Markdown without code, and the numbers in it."""

from __future__ import annotations

import re
from collections.abc import Iterable

import lessons

CODE = re.compile(r"```.*?```|`[^`]*`|<code>.*?</code>", re.DOTALL)
MARKUP = re.compile(r"</?\w[^<>]*>|\]\([^)]*\)|\bhttps?://\S+|&\w+;")

UNITS = "%|px|pixels?|s|ms|seconds?|minutes?|hours?|days?|MB|GB|times|percent|million|points?"
NUMBER = re.compile(
    r"(?<![\w.,-])\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)(?P<unit>\s?(?:" + UNITS + r")\b|\s?%)?"
)

HARMLESS = (
    r"^#+ \d+\.",  # numbered headings and lists
    r"^\s*\d+\. ",
    r"\b[Ll]essons? \d+(?:(?:,| and| to) \d+)*",
    r"\bHint \d",
    r"^### Exercise .*$",  # test_form compares these points with the checks
    r"\bThere are [\d.]+ points",
    r"\b95 ?%",  # the confidence of every interval in the course
    r"\b0 (?:to|and) 255\b",  # what a pixel may be
    r"\b(?:19|20)\d\d\)",  # the year of a citation
)


def prose(name: str) -> str:
    """Return a lesson's Markdown as plain words, a paragraph a line, code left out."""
    cells = [cell for cell in lessons.notebook(name).cells if cell.cell_type == "markdown"]
    return "\n".join(plain(cell.source) for cell in cells)


def plain(markdown: str) -> str:
    """Return Markdown without code, tags and link targets; lines of a paragraph joined."""
    text = MARKUP.sub(" ", CODE.sub(" ", markdown))
    text = re.sub(r"[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}", "", text)
    text = re.sub(r"(?<=\S)[ \t]*\n(?![ \t]*(?:\n|[-#|]|\d+\. ))", " ", text)
    return re.sub(r"[ \t]+", " ", text)


def loose_numbers(text: str, bound: Iterable[str]) -> list[str]:
    """Return the numbers that no sentence of ``bound`` holds and that are not harmless.

    A whole number below ten without a unit is a word; all others could become wrong.
    """
    for sentence in bound:
        text = text.replace(sentence, " ")
    for pattern in HARMLESS:
        text = re.sub(pattern, " ", text, flags=re.MULTILINE)
    found = []
    for match in NUMBER.finditer(text):
        digits = match.group().removesuffix(match.group("unit") or "")
        if match.group("unit") or not digits.isdigit() or int(digits) >= 10:
            found.append(text[max(match.start() - 40, 0) : match.end() + 25].strip())
    return found
