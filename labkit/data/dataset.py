"""What a dataset is once it is loaded: three splits, the classes, the card, the problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labkit.data.images import Pixels
from labkit.data.pixels import PixelStore, Problem, keep_images
from labkit.errors import DataError
from labkit.tables import html_table, text_table

if TYPE_CHECKING:
    from labkit.data.cards import DatasetCard

Source = Literal["real", "simulated"]

_HEADER = ("class", "train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Some images of a dataset with their labels; the pixels stay on disk.

    Attributes:
        name: "train", "validation" or "test".
        labels: class numbers, shape (n,).
        paths: the files, in the order of the labels.
        groups: what each image belongs to (a patient, a slide); "" where nothing is known.
        classes: the names behind the class numbers.
        rows: the place of each image in ``store``.
    """

    name: str
    labels: NDArray[np.int64]
    paths: tuple[Path, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    rows: NDArray[np.int64]
    store: PixelStore

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def image_size(self) -> int:
        """Side of the square images in pixels."""
        return self.store.image_size

    @property
    def digests(self) -> list[str]:
        """A digest of each image's pixels; equal digests mean equal pictures."""
        return [self.store.digests[row] for row in self.rows]

    @property
    def images(self) -> Any:
        """A tf.data pipeline of the images, each (size, size, 3), float32, RGB, 0..255.

        In the order of ``labels``; not batched, not shuffled.
        """
        from labkit.engine import tf

        return self.batches(1).map(lambda images, _: tf.squeeze(images, 0))

    def batches(self, batch_size: int = 32) -> Any:
        """Return a tf.data pipeline of batches (images, labels), in the order of ``labels``."""
        from labkit.engine import tf

        shape = (self.image_size, self.image_size, 3)

        def read(numbers: Any) -> Any:
            images = tf.numpy_function(self.read, [numbers], tf.uint8)
            return tf.ensure_shape(tf.cast(images, tf.float32), (None, *shape))

        numbers = tf.data.Dataset.range(len(self)).batch(batch_size)
        labels = tf.constant(self.labels)
        return numbers.map(lambda i: (read(i), tf.gather(labels, i))).prefetch(2)

    def read(self, indices: Sequence[int] | NDArray[np.int_] | None = None) -> Pixels:
        """Return images as an array (n, size, size, 3), uint8; None: all of them."""
        return self.store.read(self.rows if indices is None else self.rows[indices])

    def __iter__(self) -> Iterator[tuple[Pixels, int]]:
        """Yield (image, label) one by one."""
        for i, label in enumerate(self.labels):
            yield self.read([i])[0], int(label)

    def counts(self) -> dict[str, int]:
        """Return the number of images of each class."""
        found = Counter(self.labels.tolist())
        return {name: found[number] for number, name in enumerate(self.classes)}

    def pick(self, indices: Sequence[int] | NDArray[np.int_]) -> Split:
        """Return the split that has these images only."""
        chosen = np.asarray(indices, dtype=int)
        return replace(
            self,
            labels=self.labels[chosen],
            rows=self.rows[chosen],
            paths=tuple(self.paths[i] for i in chosen),
            groups=tuple(self.groups[i] for i in chosen),
        )

    def with_images(self, images: Pixels) -> Split:
        """Return the split with other pixels: a changed picture in place of each.

        Args:
            images: shape (n, size, size, 3), uint8, in the order of ``labels``.

        Raises:
            DataError: there is not one for each label, or it is no such array.
        """
        if len(images) != len(self):
            raise DataError(f"{len(self)} images are needed. Received: {len(images)}.")
        return replace(self, store=keep_images(images), rows=np.arange(len(images)))

    def take(self, per_class: int, *, seed: int = 0) -> Split:
        """Return ``per_class`` random images of each class.

        Nested: with one seed, the images of a smaller number are among those of a larger.
        Raises DataError when a class has fewer.
        """
        numbers = np.random.default_rng(seed)
        chosen: list[int] = []
        for label, name in enumerate(self.classes):
            places = numbers.permutation(np.flatnonzero(self.labels == label))
            if len(places) < per_class:
                raise DataError(
                    f"The {self.name} split has {len(places)} images of class {name!r}, "
                    f"{per_class} were asked for: ask for {len(places)} at the most."
                )
            chosen.extend(places[:per_class].tolist())
        return self.pick(sorted(chosen))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset that is ready to use; prints as a table.

    Attributes:
        name: name or folder that it was loaded by.
        train: images to learn from.
        validation: images to make choices with (epochs, C, strategy).
        test: images to look at once, for the result that is reported.
        classes: names of the classes; their order gives the class numbers.
        source: "real" or "simulated" (drawn by a program, never photographs).
        card: origin, licence and known weaknesses; None for a folder of one's own.
        problems: the files that were left out, and why.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    source: Source
    card: DatasetCard | None
    problems: tuple[Problem, ...]

    @property
    def image_size(self) -> int:
        """Side of the square images in pixels."""
        return self.train.image_size

    @property
    def title(self) -> str:
        """The name with the source, for titles of figures and tables."""
        return f"{self.name} ({self.source} images)"

    def with_train(self, train: Split) -> Dataset:
        """Return the dataset with another training split, for example ``train.take(10)``."""
        return replace(self, train=train)

    def _rows(self) -> list[tuple[str, ...]]:
        splits = (self.train, self.validation, self.test)
        counts = [split.counts() for split in splits]
        rows = [(name, *(f"{c[name]:,}" for c in counts)) for name in self.classes]
        return [*rows, ("all", *(f"{len(split):,}" for split in splits))]

    def _caption(self) -> str:
        text = f"{self.title}, {self.image_size} x {self.image_size} px"
        if self.problems:
            text += f"; {len(self.problems)} files left out, see dataset.problems"
        return text

    def __str__(self) -> str:
        """Return a table of images by class and split."""
        return text_table(self._rows(), header=_HEADER, caption=self._caption())

    def _repr_html_(self) -> str:
        return html_table(self._rows(), header=_HEADER, caption=self._caption())
