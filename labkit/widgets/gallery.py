"""PredictionGallery: what a model says to pictures, and where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit import plots
from labkit.data.dataset import Split
from labkit.data.images import Pixels, read_image, square
from labkit.engine import keras
from labkit.errors import DataError
from labkit.gradcam import grad_cam, overlay
from labkit.results import TrainingResult
from labkit.widgets.panel import Panel, button, checkbox, select
from labkit.widgets.pictures import thumbnail

PAGE = 8
"""Pictures that are shown at a time."""

LARGEST_UPLOAD = 8_000_000
"""Bytes; JupyterLab's connection to the kernel ends without a word above 10 MiB."""

SHOW = (
    ("all", "all"),
    ("right", "right"),
    ("wrong", "wrong"),
    ("confidently", "most confidently wrong"),
)


class PredictionGallery(Panel):
    """Shows test pictures with label, prediction and confidence, some at a time."""

    title = "Prediction gallery"

    def __init__(
        self, result: TrainingResult, split: Split, model: keras.Model | None = None
    ) -> None:
        """Show the pictures of a result.

        Args:
            result: what ``train`` or ``train_svm`` gave back.
            split: the pictures that it was measured on, most often ``dataset.test``.
            model: the trained model; with it, heat maps (Grad-CAM) and own pictures are possible.
        """
        self.result, self.split, self.model = result, split, model
        self._show, self._class, self._start, self._heat = "all", "", 0, False
        self._own: tuple[str, Pixels] | None = None
        self._cached: tuple[Any, str] = (None, "")
        super().__init__()

    def page(self) -> str:
        """Return the filters, the pictures and the upload."""
        _check(self.result, self.split)
        classes = [("", "any"), *((name, name) for name in self.result.classes)]
        filters = select("show", "Show", SHOW) + select("class", "of the class", classes)
        steps = button("step", "Earlier", "-1") + button("step", "Later", "1")
        heat, own = "", "<p>Give the model as well to see heat maps and to try own pictures.</p>"
        if self.model is not None:
            heat = checkbox("heat", "where it looks (Grad-CAM)")
            own = (
                "<label>A picture of your own <input type='file' data-control='own' "
                f"accept='image/*' data-limit='{LARGEST_UPLOAD}'></label>"
                "<div data-part='own' aria-live='polite'></div>"
            )
        return (
            f"<h3>{escape(self.result.title)}</h3><div class='labkit-row'>{filters}{heat}</div>"
            f"<div class='labkit-row'>{steps}<span data-part='found' aria-live='polite'></span>"
            f"</div><div class='labkit-pictures' data-part='pictures'></div>{own}"
        )

    def parts(self) -> dict[str, str]:
        """Return the pictures that the filters leave, and one's own."""
        _check(self.result, self.split)
        return {"found": self._found(), "pictures": self._pictures(), "own": self._own_picture()}

    def values(self) -> dict[str, Any]:
        """Return how the filters are set."""
        return {"show": self._show, "class": self._class, "heat": self._heat}

    def act(self, control: str, value: Any, files: Sequence[bytes]) -> None:
        """Set a filter, go on, or take a picture of the reader's own."""
        if control == "show":
            self._show, self._start = str(value), 0
        elif control == "class":
            self._class, self._start = str(value), 0
        elif control == "heat":
            self._heat = bool(value)
        elif control == "step":
            last = max((len(self.chosen()) - 1) // PAGE * PAGE, 0)
            self._start = min(max(self._start + PAGE * int(value), 0), last)
        elif control == "own":
            self._own = None
            self._own = (str(value["name"]), self._read(value, files))

    def chosen(self) -> NDArray[np.int64]:
        """Return the places in the split of the pictures that the filters leave, in order."""
        right = self.result.predictions == self.result.labels
        if self._show == "confidently":
            places = plots.most_confidently_wrong(self.result, len(right))
        else:
            wanted = {"right": right, "wrong": ~right}.get(self._show, np.full(len(right), True))
            places = np.flatnonzero(wanted)
        if self._class:
            number = self.result.classes.index(self._class)
            places = places[self.result.labels[places] == number]
        return places

    def _found(self) -> str:
        found = len(self.chosen())
        if not found:
            return "No picture is of this kind."
        last = min(self._start + PAGE, found)
        return f"{self._start + 1} to {last} of {found:,} pictures"

    def _pictures(self) -> str:
        places = self.chosen()[self._start : self._start + PAGE]
        key = (*places.tolist(), self._heat)
        if self._cached[0] != key:
            self._cached = (key, self._figures(places) if len(places) else "")
        return self._cached[1]

    def _figures(self, places: NDArray[np.int64]) -> str:
        images = self.split.read(places)
        if self._heat and self.model is not None:
            heat = grad_cam(self.model, images, self.result.predictions[places].tolist())
            images = overlay(images, heat)
        figures = []
        for image, place in zip(images, places.tolist(), strict=True):
            label, said, sure = self._told(place)
            mark = "✓" if label == said else "✗"
            caption = f"{mark} <b>{escape(label)}</b><br>said {escape(said)} {sure}"
            alt = f"Picture {place}: {label}, the model says {said}, {sure}"
            alt += "; bright where it looks" if self._heat else ""
            figures.append(thumbnail(image, alt, caption))
        return "".join(figures)

    def _told(self, place: int) -> tuple[str, str, str]:
        """Return the right class, the predicted one, and how sure the model is."""
        scores, classes = self.result.scores[place], self.result.classes
        sure = f"{scores.max():.2f}" if _are_probabilities(self.result) else (
            f"(distance {scores.max():.2f})")  # fmt: skip
        return classes[self.result.labels[place]], classes[int(scores.argmax())], sure

    def _read(self, about: dict[str, Any], files: Sequence[bytes]) -> Pixels:
        """Return an uploaded file as a picture of the model's size, or say what it is not."""
        name = str(about["name"])
        if not files or len(files[0]) > LARGEST_UPLOAD:
            raise DataError(
                f"{name} has {about['size'] / 1e6:,.0f} MB; a picture of at most "
                f"{LARGEST_UPLOAD / 1e6:.0f} MB is taken. Save it smaller and choose it again."
            )
        try:
            return square(read_image(files[0]), self.split.image_size)
        except DataError as error:
            raise DataError(f"{name}: {error}. Choose a JPEG or PNG picture.") from None

    def _own_picture(self) -> str:
        if self._own is None or self.model is None:
            return ""
        name, pixels = self._own
        scores = np.asarray(self.model(pixels[None].astype(np.float32), training=False))[0]
        order = np.argsort(-scores)[:3]
        said = ", ".join(f"{self.result.classes[i]} {scores[i]:.2f}" for i in order)
        shown = overlay(pixels[None], grad_cam(self.model, pixels))[0] if self._heat else pixels
        return thumbnail(shown, f"Your picture {name}: {said}", f"<b>{escape(name)}</b><br>{said}")

    def plain_html(self) -> str:
        """Return the most confidently wrong pictures, or the first where none is wrong."""
        try:
            _check(self.result, self.split)
        except DataError as error:
            return f"<p>{escape(str(error))}</p>"
        wrong = plots.most_confidently_wrong(self.result, PAGE)
        places = wrong if len(wrong) else np.arange(min(PAGE, len(self.split)))
        title = "most confidently wrong" if len(wrong) else "all are right; the first"
        return f"<p>{escape(self.result.title)}, {title}:</p><div>{self._figures(places)}</div>"

    def __str__(self) -> str:
        """Return how many are right, and the most confidently wrong, as text."""
        try:
            _check(self.result, self.split)
        except DataError as error:
            return str(error)
        right = int((self.result.predictions == self.result.labels).sum())
        lines = [f"{self.result.title}: {right} of {len(self.split)} pictures are named right."]
        for place in plots.most_confidently_wrong(self.result, PAGE).tolist():
            label, said, sure = self._told(place)
            lines.append(f"  picture {place}: {label}, said {said} {sure}")
        return "\n".join(lines)


def _check(result: TrainingResult, split: Split) -> None:
    if len(result.labels) != len(split) or not np.array_equal(result.labels, split.labels):
        raise DataError(
            f"The result is about {len(result.labels)} pictures, the {split.name} split holds "
            f"{len(split)} or has other labels: give the split that the result was measured on."
        )


def _are_probabilities(result: TrainingResult) -> bool:
    return bool(np.allclose(result.scores.sum(axis=1), 1, atol=1e-3))
