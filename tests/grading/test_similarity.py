"""How alike two pieces of code are: renaming hides nothing, starter code does not count."""

from labkit.course.grading import similarity as similarity_module
from labkit.course.grading.similarity import FEWEST_TOKENS, compare

STARTER = "\n".join(f"given_{n} = load({n}, 'x') + {n} * 3" for n in range(20))
ONE = """
def mean_of(values, low):
    total = 0.0
    for value in values:
        if value > low:
            total += value ** 2  # squared
    return total / max(len(values), 1), [v for v in values if v < low]
"""
OTHER = """
def mean_of(values, low):
    array = np.sort(np.asarray(values))
    chosen = array[np.searchsorted(array, low):]
    while chosen.size > 7:
        chosen = chosen[1:-1]
    return {"mean": chosen.mean(), "spread": chosen.std(ddof=1), "n": chosen.size}
"""


def similarity(**code):
    return {(pair.one, pair.other): pair.similarity for pair in compare(code, STARTER)}


def test_renaming_and_comments_hide_nothing():
    renamed = ONE.replace("total", "s").replace("value", "x").replace("# squared", "")
    found = similarity(a=ONE, b=renamed, c=OTHER)
    assert found["a", "b"] == 100
    assert found["a", "c"] < 60


def test_starter_code_does_not_count():
    assert similarity(a=STARTER + ONE, b=STARTER + OTHER) == similarity(a=ONE, b=OTHER)
    assert similarity(a=STARTER, b=STARTER) == {}


def test_pairs_are_ranked():
    pairs = compare({"a": ONE, "b": OTHER, "c": ONE}, STARTER)
    assert (pairs[0].one, pairs[0].other) == ("a", "c")
    assert [p.similarity for p in pairs] == sorted((p.similarity for p in pairs), reverse=True)
    assert pairs[0].tokens >= FEWEST_TOKENS


def test_short_or_broken_code_does_not_stop_the_report():
    assert compare({"a": "x = 1", "b": "def (", "c": ""}, STARTER) == []


def test_more_tokens_than_letters_only_blur_the_ranking(monkeypatch):
    monkeypatch.setattr(similarity_module, "LETTERS", 5)
    assert compare({"a": ONE, "b": ONE, "c": OTHER}, "")[0].similarity == 100
    assert len(set(similarity_module._letters(ONE.split()).values())) == 5


def test_a_letter_for_each_of_a_million_tokens_is_a_letter():
    tokens = [str(number) for number in range(similarity_module.LETTERS + 2)]
    assert len(set(similarity_module._letters(tokens).values())) == similarity_module.LETTERS
