"""Word vectors from unlabelled texts."""

import numpy as np
import pytest

from labkit.errors import DataError
from labkit.texts import (
    documentation,
    first_sentence,
    learn_word_vectors,
    nearest_words,
    sentences,
)


def made_up(count=400, seed=0):
    """Return sentences about two things: words of one thing never meet those of the other."""
    numbers = np.random.default_rng(seed)
    things = [[f"{kind}{letter * 3}" for letter in "abcdefgh"] for kind in ("north", "south")]
    return [" ".join(numbers.choice(things[i % 2], 3, replace=False)) for i in range(count)]


def test_words_that_occur_together_are_near():
    vectors = learn_word_vectors(made_up(), dimensions=4)
    assert all(word.startswith("north") for word in nearest_words("northaaa", vectors, 5))
    assert all(word.startswith("south") for word in nearest_words("southccc", vectors, 5))


def test_vectors_have_length_one_and_one_seed_gives_the_same_ones():
    vectors = learn_word_vectors(made_up(), dimensions=4)
    lengths = [np.linalg.norm(vector) for vector in vectors.values()]
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    again = learn_word_vectors(made_up(), dimensions=4)
    np.testing.assert_array_equal(vectors["northaaa"], again["northaaa"])
    assert vectors["northaaa"].shape == (4,)


def test_documentation_of_what_is_installed():
    found = documentation(["statistics"])
    assert "mean" in found["statistics.mean"]
    assert not any(name.split(".")[-1].startswith("_") for name in found)


def test_a_module_that_is_not_there():
    with pytest.raises(DataError, match="no module 'no_such_module'"):
        documentation(["no_such_module"])


def test_sentences_and_the_first_one():
    text = "f(a, b) -> c\n\nAdd two\nnumbers. Then more of it.\n\nParameters\n---\na: int"
    assert first_sentence(text) == "Add two numbers."
    assert sentences("Add two\nlarge numbers now. Short.\n\nAnother sentence stands here.") == [
        "Add two large numbers now.",
        "Another sentence stands here.",
    ]


@pytest.mark.parametrize("texts", [[], ["one two three"], ["the the"]])
def test_too_little_text_says_so(texts):
    with pytest.raises(DataError, match="texts are too few to learn words from"):
        learn_word_vectors(texts)


def test_too_many_dimensions_and_unknown_words_say_so():
    with pytest.raises(DataError, match=r"16 words .* too few for 20 dimensions"):
        learn_word_vectors(made_up(), dimensions=20)
    with pytest.raises(DataError, match="'zebra' has no vector"):
        nearest_words("zebra", {"ant": np.ones(1, np.float32)})
