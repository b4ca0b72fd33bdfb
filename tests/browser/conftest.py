"""Fixtures of the browser tests; they skip, and say so, where there is no Chromium."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import ARGUMENTS, Lab, find_browser, jupyter

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"

QUESTIONS = """
import labkit
from labkit.quiz import Question, seal
one = Question(
    "steps", "Which step comes last?", {"a": "freeze", "b": "fine-tune"},
    seal("steps", {"a": (False, "a frozen base can still be fine-tuned."),
                   "b": (True, "With a small learning rate.")}),
)
many = Question(
    "moves", "What moves in training?",
    {"a": "head", "b": "frozen block", "c": "unfrozen block"},
    seal("moves", {"a": (True, ""), "b": (False, "frozen means that it stays."), "c": (True, "")}),
)
quiz = labkit.widgets.Quiz([one, many])
"""

MODELS = """
import numpy as np
vgg = labkit.load_backbone("VGG16", weights=None)
model = labkit.build_classifier(vgg, 2, head="flatten")
labkit.freeze(model)
mobile = labkit.load_backbone("MobileNetV2", weights=None, image_size=32)
small = labkit.build_classifier(mobile, 2)
data = labkit.load_dataset("pictures", image_size=32)  # beside this notebook
test = data.test
scores = np.random.default_rng(0).dirichlet((1, 1), len(test)).astype("float32")
result = labkit.TrainingResult("guesses, made up", data.classes, test.labels, scores, {}, 0, 0.0)
image = test.read([0])[0]
"""

NOTEBOOKS = {
    "quiz.ipynb": [QUESTIONS, "quiz"],
    "models.ipynb": [
        QUESTIONS + MODELS,
        "explorer = labkit.widgets.FreezeExplorer(model)\nexplorer",
        "explorer",
        "labkit.widgets.PredictionGallery(result, test, small)",
        "labkit.widgets.FeatureMapBrowser(small, image)",
        "labkit.widgets.QuadrantAdvisor()",
        "labkit.widgets.LearningRateExplorer()",
        "from labkit.engine import keras\n"
        "labkit.widgets.FreezeExplorer(keras.Sequential([keras.layers.Dense(2)], name='unbuilt'))",
        "quiz",
    ],
}


@pytest.fixture(scope="session")
def address(
    tmp_path_factory: pytest.TempPathFactory, draw_folder: Callable[..., Path]
) -> Iterator[str]:
    """A JupyterLab that serves the notebooks above."""
    if find_browser() is None:
        pytest.skip("there is no Chromium here (Debian: apt-get install chromium)")
    pytest.importorskip("playwright", reason="playwright is not installed")
    folder = tmp_path_factory.mktemp("jupyter")
    counts = {"train": 4, "validation": 2, "test": 30}
    draw_folder(
        folder / "work" / "pictures",
        {f"{split}/{name}": n for split, n in counts.items() for name in ("cat", "dog")},
    )
    with jupyter(folder, NOTEBOOKS) as served:
        yield served


@pytest.fixture(scope="session")
def browser(address: str) -> Iterator[Any]:
    """The system's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def new_lab(browser: Any, address: str) -> Iterator[Callable[..., Lab]]:
    """A function that opens a notebook in a window of its own."""
    windows = []

    def open_one(notebook: str, **options: Any) -> Lab:
        windows.append(browser.new_context(viewport={"width": 1200, "height": 900}, **options))
        return Lab(windows[-1].new_page(), address, notebook)

    yield open_one
    for window in windows:
        window.close()


@pytest.fixture(scope="session")
def models(new_lab: Callable[..., Lab]) -> Lab:
    """The notebook with all widgets, run once."""
    lab = new_lab("models.ipynb").open()
    lab.run_all()
    lab.widget("Quiz").last.wait_for()
    return lab


@pytest.fixture
def screenshot() -> Callable[[Any, str], None]:
    """A function that keeps a picture of a part of the page in build/screenshots."""

    def keep(place: Any, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        place.screenshot(path=SCREENSHOTS / f"{name}.png")

    os.environ.setdefault("PW_TEST_SCREENSHOT_NO_FONTS_READY", "1")
    return keep
