"""The widgets in a real JupyterLab: what a reader does, and what the page says to it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from lab import SECONDS, Lab
from PIL import Image

pytestmark = pytest.mark.slow

FOCUSED = "() => document.activeElement.dataset.control ?? document.activeElement.innerText"
COUNT = "print(labkit.count_parameters(model).trainable)"


def trainable(widget: Any) -> int:
    """Return the number of trainable parameters that the page shows."""
    text = widget.locator("[data-part='counts'] tr", has_text="trainable").locator("td").first
    return int(text.inner_text().replace(",", ""))


def wait_for_text(place: Any, text: str) -> None:
    place.filter(has_text=text).wait_for(timeout=20 * SECONDS)


# Freezing


def test_the_slider_by_keyboard_sets_the_model(models: Lab, screenshot: Any) -> None:
    widget = models.widget("Freeze explorer").first
    assert trainable(widget) == 50_178 == int(models.kernel(COUNT))
    slider = widget.get_by_role("slider", name="Blocks that train")
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    wait_for_text(widget.locator("[data-part='top']"), "2 of 5")
    assert trainable(widget) == int(models.kernel(COUNT)) == 50_178 + 7_079_424 + 5_899_776
    wait_for_text(widget.locator("[data-part='code']"), "labkit.unfreeze(model, top=2)")
    screenshot(widget, "freeze_explorer")


def test_the_slider_by_mouse_sets_the_model(models: Lab) -> None:
    widget = models.widget("Freeze explorer").first
    slider = widget.get_by_role("slider", name="Blocks that train")
    box = slider.bounding_box()
    models.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    models.page.mouse.down()
    models.page.mouse.move(box["x"] + box["width"], box["y"] + box["height"] / 2, steps=5)
    models.page.mouse.up()
    wait_for_text(widget.locator("[data-part='top']"), "5 of 5")
    assert trainable(widget) == int(models.kernel(COUNT)) == 14_764_866


def test_shown_twice_it_stays_in_step_and_follows_code(models: Lab) -> None:
    first, second = (models.widget("Freeze explorer").nth(i) for i in (0, 1))
    first.get_by_role("checkbox", name="block1").uncheck()
    wait_for_text(second.locator("[data-part='code']"), "labkit.unfreeze(model, top=4)")
    assert trainable(first) == trainable(second) == 14_764_866 - 38_720
    models.kernel("labkit.unfreeze(model, top=1)")  # as a cell would, behind the widget's back
    for widget in (first, second):
        wait_for_text(widget.locator("[data-part='top']"), "1 of 5")
        assert widget.get_by_role("checkbox", name="block5").is_checked()
        assert not widget.get_by_role("checkbox", name="block4").is_checked()


def test_a_model_that_is_not_built_is_a_sentence(models: Lab) -> None:
    widget = models.widget("Freeze explorer").nth(2)
    assert "The model 'unbuilt' is not built: give it an input shape" in widget.inner_text()
    assert widget.get_by_role("slider").count() == 0
    assert "Traceback" not in widget.inner_text()


# Quiz


def test_a_quiz_wrong_then_right(models: Lab, screenshot: Any) -> None:
    quiz = models.widget("Quiz").last
    group = quiz.get_by_role("group", name="Which step comes last?")
    check = group.get_by_role("button", name="Check my answer")
    check.click()
    wait_for_text(group, "Choose an option first.")
    group.get_by_role("radio", name="a) freeze").check()
    check.click()
    wait_for_text(group, "Try again, because a frozen base can still be fine-tuned.")
    group.get_by_role("radio", name="a) freeze").press("ArrowDown")  # by keyboard
    check.press("Enter")
    wait_for_text(group, "Right. With a small learning rate.")
    wait_for_text(group, 'my_steps = "b" # right, try 2')
    tries = models.kernel("print([(t.answer, t.right) for t in quiz.tries])")
    assert tries == "[('a', False), ('b', True)]"
    screenshot(quiz, "quiz")


def test_a_quiz_with_several_right_options(models: Lab) -> None:
    group = models.widget("Quiz").last.get_by_role("group", name="What moves in training?")
    group.get_by_role("checkbox", name="a) head").check()
    group.get_by_role("button", name="Check").click()
    wait_for_text(group, "there is more than you have chosen")
    group.get_by_role("checkbox", name="c) unfrozen block").check()
    group.get_by_role("button", name="Check").click()
    wait_for_text(group, "✓ Right")


def test_answers_are_not_in_the_page(models: Lab) -> None:
    """Nor in what the widgets have sent to it: reasons of options that nobody chose."""
    group = models.widget("Quiz").last.get_by_role("group", name="What moves in training?")
    assert "frozen means that it stays" not in group.inner_html()
    sent = models.kernel("print({k: str(v) for k, v in quiz.get_state().items()})")
    assert "frozen means that it stays" not in sent


# Pictures


def picture_file(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def png(side: int = 40) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 90, np.uint8)).save(stream, format="png")
    return stream.getvalue()


def test_gallery_filters_and_heat(models: Lab, screenshot: Any) -> None:
    gallery = models.widget("Prediction gallery")
    assert gallery.get_by_role("img").count() == 8
    gallery.get_by_label("Show").select_option("most confidently wrong")
    wrong = int(models.kernel("print((result.predictions != result.labels).sum())"))
    wait_for_text(gallery, f"of {wrong} pictures")
    gallery.get_by_label("of the class").select_option("dog")
    dogs = int(models.kernel(
        "print(((result.predictions != result.labels) & (result.labels == 1)).sum())"))  # fmt: skip
    wait_for_text(gallery, f"of {dogs} pictures")
    gallery.get_by_label("where it looks").check()
    gallery.locator("img[alt*='bright where it looks']").first.wait_for(timeout=60 * SECONDS)
    screenshot(gallery, "prediction_gallery")


def test_upload_of_a_picture_and_of_what_is_none(models: Lab) -> None:
    gallery = models.widget("Prediction gallery")
    upload = gallery.get_by_label("A picture of your own")
    upload.set_input_files(picture_file("mine.png", png()))
    gallery.locator("img[alt*='Your picture mine.png: ']").wait_for(timeout=60 * SECONDS)
    upload.set_input_files(picture_file("notes.png", b"this is no picture"))
    wait_for_text(gallery, "notes.png: the file is not an image that can be read.")
    assert gallery.locator("img[alt*='Your picture']").count() == 0
    models.page.evaluate(
        """input => {
            const large = new File([new Uint8Array(200_000_000)], "large.png");
            const list = new DataTransfer();
            list.items.add(large);
            input.files = list.files;
            input.dispatchEvent(new Event("change", {bubbles: true}));
        }""",
        upload.element_handle(),
    )
    wait_for_text(gallery, "large.png has 200 MB; a picture of at most 8 MB is taken.")
    upload.set_input_files(picture_file("again.png", png()))  # and it still works
    gallery.locator("img[alt*='Your picture again.png: ']").wait_for(timeout=60 * SECONDS)
    assert "Traceback" not in gallery.inner_text()


def test_feature_maps_advisor_and_rates_follow_their_sliders(models: Lab, screenshot: Any) -> None:
    maps = models.widget("Feature maps")
    maps.get_by_role("slider", name="Block").press("End")
    wait_for_text(maps.locator("[data-part='name']"), "1,280 maps of 1 x 1")
    advisor = models.widget("Quadrant advisor")
    advisor.get_by_role("slider", name="Training images a class").press("End")
    wait_for_text(advisor.locator("[data-part='advice']"), "Quadrant 2, strategy partial")
    advisor.get_by_role("slider", name="Similarity").press("Home")
    wait_for_text(advisor.locator("[data-part='advice']"), "Quadrant 1, strategy full")
    rates = models.widget("Learning rates")
    rates.get_by_role("slider", name="Learning rate").press("End")
    wait_for_text(rates.locator("[data-part='rate']"), "0.1")
    for widget, name in ((maps, "feature_maps"), (advisor, "advisor"), (rates, "rates")):
        assert widget.get_by_role("img").count() == 1
        screenshot(widget, name)


# Accessible


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_no_serious_fault(models: Lab, theme: str, screenshot: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    models.page.evaluate(
        "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", theme
    )
    light = "true" if theme == "JupyterLab Light" else "false"
    models.page.locator(f"body[data-jp-theme-light='{light}']").wait_for(state="attached")
    found = Axe().run(models.page, context=".labkit-live").response["violations"]
    serious = [
        (fault["id"], [node["html"][:200] for node in fault["nodes"]])
        for fault in found if fault["impact"] in ("serious", "critical")
    ]  # fmt: skip
    for title in ("Freeze explorer", "Quiz"):
        screenshot(
            models.widget(title).first, f"{title.split()[0].lower()}_{theme.split()[1].lower()}"
        )
    assert not serious


def test_every_control_is_reached_by_tab_and_has_a_name(models: Lab) -> None:
    widget = models.widget("Freeze explorer").first
    models.page.keyboard.press("Escape")
    widget.get_by_role("slider").focus()
    reached = []
    for _ in range(7):
        reached.append(models.page.evaluate(FOCUSED))
        models.page.keyboard.press("Tab")
    assert reached == ["top", *(f"block-{i}" for i in range(5)), "Copy"]
