"""Transfer for text: word vectors learned from unlabelled texts, reused where labels are few.

The texts are the documentation that installed libraries carry, so that nothing has to be
downloaded. Vectors come from which words occur together: positive pointwise mutual
information, factorised (Levy and Goldberg 2014).
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import DataError

WORD = r"(?u)\b[a-zA-Z]{3,}\b"
RAREST = 4
"""A word in fewer sentences than this gets no vector."""

SMOOTHING = 0.75
"""Power of the word counts, so that rare words do not look too special (Levy et al. 2015)."""


def documentation(modules: Iterable[str]) -> dict[str, str]:
    """Return the docstrings of what modules offer, ``{"numpy.mean": "Compute ...", ...}``.

    Raises DataError for a module that is not installed.
    """
    found = {}
    for name in modules:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise DataError(f"There is no module {name!r} on this machine: {error}.") from error
        for thing in sorted(getattr(module, "__all__", None) or dir(module)):
            try:
                text = inspect.getdoc(getattr(module, thing))
            except Exception:  # what is offered, but cannot be used here
                continue
            if text and not thing.startswith("_") and len(text) > 100:
                found[f"{name}.{thing}"] = text
    return found


def sentences(text: str) -> list[str]:
    """Split a text into sentences of more than 20 characters, line breaks joined.

    >>> sentences("A short one. This one is a little longer. And\\nthis one as well.")
    ['This one is a little longer.', 'And this one as well.']
    """
    parts = (re.sub(r"\s+", " ", part) for part in text.split("\n\n"))
    found = (one.strip() for part in parts for one in re.split(r"(?<=[.:])\s", part))
    return [one for one in found if len(one) > 20 and " " in one]


def first_sentence(text: str) -> str:
    """Return what a docstring says first, the line that repeats the call left out.

    >>> first_sentence("mean(a, axis)\\n\\nCompute the mean. Of an array.")
    'Compute the mean.'
    """
    parts = text.split("\n\n")
    if len(parts) > 1 and re.fullmatch(r"[\w.]+\(.*\)( ->.*)?", parts[0], re.DOTALL):
        parts = parts[1:]
    return re.split(r"(?<=\.)\s", re.sub(r"\s+", " ", parts[0]).strip())[0]


def learn_word_vectors(
    texts: Sequence[str], *, dimensions: int = 150, seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Learn a vector of length one for each word, from the words in the same sentence.

    Args:
        texts: sentences; nobody has to have labelled them.
        dimensions: length of the vectors.
        seed: of the factorisation.

    Raises DataError when there is too little text.
    """
    from scipy import sparse
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.utils.extmath import randomized_svd

    counter = CountVectorizer(
        stop_words="english", token_pattern=WORD, min_df=RAREST, binary=True, dtype=np.float32
    )
    try:
        occurs = counter.fit_transform(texts)
    except ValueError as error:
        raise DataError(f"{len(texts)} texts are too few to learn words from: {error}.") from error
    if occurs.shape[1] <= dimensions:
        raise DataError(
            f"The texts have {occurs.shape[1]} words that occur {RAREST} times, too few for "
            f"{dimensions} dimensions: give more texts, or ask for fewer dimensions."
        )
    together: Any = (occurs.T @ occurs).tolil()
    together.setdiag(0)
    information = _pointwise_information(sparse.coo_array(together.tocsr()))
    left, strengths, _ = randomized_svd(information, dimensions, random_state=seed)
    vectors = left * np.sqrt(strengths)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    words = counter.get_feature_names_out()
    return dict(zip(words.tolist(), vectors.astype(np.float32), strict=True))


def _pointwise_information(together: Any) -> Any:
    """Return log(p(a, b) / p(a) p(b)) where it is above zero; sparse, (words, words)."""
    from scipy import sparse

    counts = np.asarray(together.sum(axis=0)).ravel()
    smooth = counts**SMOOTHING
    row, column = together.coords
    values = np.log(together.data * smooth.sum() / (counts[row] * smooth[column]))
    keep = values > 0
    return sparse.csr_array((values[keep], (row[keep], column[keep])), shape=together.shape)


def nearest_words(word: str, vectors: dict[str, NDArray[np.float32]], count: int = 6) -> list[str]:
    """Return the words whose vectors point most nearly the same way.

    Raises DataError for a word that has no vector.
    """
    if word not in vectors:
        raise DataError(f"{word!r} has no vector: it does not occur often enough in the texts.")
    names, array = list(vectors), np.stack(list(vectors.values()))
    order = np.argsort(-(array @ vectors[word]), kind="stable")
    return [names[i] for i in order if names[i] != word][:count]
