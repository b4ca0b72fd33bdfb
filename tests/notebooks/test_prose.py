"""What lessons say: each number in a sentence is computed here again, each word is spelled right.

A number in Markdown that is neither in ``BOUND`` nor harmless (prose.HARMLESS) fails. Better
than binding it: leave it out, or let code print it.
"""

import re
from collections.abc import Callable
from pathlib import Path

import lessons
import prose
import pytest
from scipy import stats
from spellchecker import SpellChecker

from labkit.course.run import graded_cells

WORDS = Path(__file__).with_name("words.txt")
ROOT = Path(__file__).parents[2]

Sentence = tuple[str, Callable[[], object]]

# Published facts, with their source, for the lessons that tell them.
IMAGENET_IMAGES = 1_281_167  # training images of ILSVRC 2012: Russakovsky et al. (2015), table 2
IMAGENET_CLASSES = 1000


# For each lesson: a piece of a sentence with {} where the number stands, and what it has to be.
BOUND: dict[str, list[Sentence]] = {
    "00_what_is_transfer": [],
    "01_inside_a_backbone": [],
    "02_cats_vs_dogs_frozen": [
        ("Guessing at random gives {}.", lambda: 1 / 2),
        ("which names {} kinds of things", lambda: IMAGENET_CLASSES),
        ("is the {} % point of the t distribution", lambda: 100 * (1 - 0.05 / 2)),
        ("larger than the {} of the normal", lambda: f"{stats.norm.ppf(0.975):.2f}"),
        ("over the {} million pictures of ImageNet", lambda: f"{IMAGENET_IMAGES / 1e6:.2f}"),
    ],
    "03_cats_vs_dogs_fine_tuning": [],
    "04_cancer_cells": [],
    "05_four_quadrants": [],
    "06_dog_breeds": [],
    "07_your_own_source": [],
}


def bound_sentences(name):
    """Return the sentences as they have to stand in the lesson."""
    graded = list(graded_cells(lessons.notebook(name).cells))
    by_code = sum(s["points"] for _, s in graded if not s["solution"])
    every_lesson = [("{} are checked by code", lambda: by_code)]
    told = BOUND.get(name, [])
    return [text.replace("{}", spoken(value())) for text, value in every_lesson + told]


def spoken(value):
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def faults(name, text):
    """Return what is wrong with the numbers of a lesson's prose."""
    sentences = bound_sentences(name)
    # The first sentence is of the lessons that say it; the others are of this lesson.
    told = sentences if "are checked by code" in text else sentences[1:]
    missing = [f"not there: {sentence}" for sentence in told if sentence not in text]
    return missing + prose.loose_numbers(text, sentences)


@pytest.mark.parametrize("name", lessons.lessons())
def test_numbers_are_those_that_the_code_gives(name):
    found = faults(name, prose.prose(name))
    assert not found, (
        f"{name}: let code print these numbers, or add them to BOUND in {Path(__file__).name}: "
        + " | ".join(found)
    )


@pytest.mark.parametrize("name", lessons.lessons())
def test_a_changed_number_is_noticed(name):
    text = prose.prose(name)
    for sentence in bound_sentences(name):
        for number in re.finditer(r"\d", sentence):
            other = str((int(number.group()) + 1) % 10)
            changed = sentence[: number.start()] + other + sentence[number.end() :]
            if sentence in text:
                assert faults(name, text.replace(sentence, changed)), changed


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It reaches 0.93 after 12 epochs.", 2),
        ("It took 3 s and 5 % of the 2 cores.", 2),
        ("VGG16 has 14,714,688 parameters", 1),
        ("## 3. Lesson 2 and the 4 steps\n\n1. one\n12. twelve", 0),
        ("the 95 % interval of values from 0 to 255", 0),
        ("`1e-3` and <code>0.5</code> are code, 1e-3 is not", 1),
    ],
)
def test_which_numbers_have_to_be_bound(text, count):
    assert len(prose.loose_numbers(prose.plain(text), [])) == count


@pytest.fixture(scope="module")
def dictionary():
    spelling = SpellChecker()
    spelling.word_frequency.load_words(WORDS.read_text(encoding="utf-8").split())
    return spelling


@pytest.mark.parametrize("name", [*lessons.lessons(), "README.md", "CHANGELOG.md"])
def test_words_are_spelled_right(name, dictionary):
    page = ROOT / name
    text = prose.plain(page.read_text(encoding="utf-8")) if page.is_file() else prose.prose(name)
    words = {word.lower().removesuffix("'s") for word in re.findall(r"[^\W\d_]+(?:'[a-z]+)?", text)}
    unknown = sorted(dictionary.unknown(words))
    assert not unknown, f"{name}: misspelled, or to be added to {WORDS.name}: {', '.join(unknown)}"


def test_a_misspelled_word_is_noticed(dictionary):
    assert dictionary.unknown(["pretrained", "acuracy", "freezed"]) == {"acuracy", "freezed"}
