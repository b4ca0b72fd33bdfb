"""Reloading, two tabs, a kernel that is busy, restarted or gone: never a control that is dead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab import SECONDS, Lab

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quiz(new_lab: Callable[..., Lab]) -> Lab:
    lab = new_lab("quiz.ipynb").open()
    lab.run_all()
    lab.widget("Quiz").wait_for()
    return lab


def choose(lab: Lab, option: str) -> None:
    lab.widget("Quiz").get_by_role("radio", name=option).check()
    lab.widget("Quiz").get_by_role("button", name="Check").first.click()


def says(lab: Lab, text: str) -> None:
    lab.widget("Quiz").filter(has_text=text).wait_for(timeout=20 * SECONDS)


def plain(lab: Lab) -> Any:
    return lab.page.locator(".labkit-plain")


def test_the_plain_form_is_hidden_while_the_widget_works(quiz: Lab) -> None:
    assert quiz.widget("Quiz").is_visible()
    assert plain(quiz).count() == 1
    assert not plain(quiz).is_visible()


def test_a_reload_finds_the_same_state(quiz: Lab) -> None:
    choose(quiz, "a) freeze")
    says(quiz, "Try again")
    quiz.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    quiz.open(reset=False)
    says(quiz, "Try again, because a frozen base can still be fine-tuned.")
    assert quiz.widget("Quiz").get_by_role("radio", name="a) freeze").is_checked()
    choose(quiz, "b) fine-tune")
    says(quiz, "Right.")


def test_two_tabs_show_the_same(quiz: Lab) -> None:
    other = Lab(quiz.page.context.new_page(), quiz.address, quiz.notebook).open(reset=False)
    says(other, "Right.")
    choose(other, "a) freeze")
    says(other, "Try again")
    says(quiz, "Try again")
    assert quiz.widget("Quiz").get_by_role("radio", name="a) freeze").is_checked()
    other.page.close()


def test_while_a_cell_runs_it_answers_or_says_that_it_waits(quiz: Lab, tmp_path: Path) -> None:
    """With ipykernel's subshells it answers; where there are none it has to wait."""
    done = tmp_path / "done"
    code = f"import pathlib, time\nwhile not pathlib.Path({str(done)!r}).exists(): time.sleep(0.05)"
    quiz.page.evaluate(
        """code => {
            const session = window.jupyterapp.shell.currentWidget.sessionContext.session;
            session.kernel.requestExecute({code});
        }""",
        code,
    )
    choose(quiz, "b) fine-tune")
    widget = quiz.widget("Quiz")
    busy = widget.locator(".labkit-busy-note")
    right = widget.locator("p").filter(has_text="Right.")
    busy.or_(right).filter(visible=True).first.wait_for()
    done.touch()
    right.wait_for()
    busy.wait_for(state="hidden")


def restart(lab: Lab) -> None:
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")


def test_a_restarted_kernel_is_said_and_leaves_no_dead_control(quiz: Lab, screenshot: Any) -> None:
    restart(quiz)
    gone = quiz.page.locator(".labkit-gone-note").filter(visible=True)
    gone.wait_for()
    assert "Run this cell again" in gone.inner_text()
    assert (
        quiz.page.locator(".labkit-live :is(input, button, select)").filter(visible=True).count()
        == 0
    )
    assert plain(quiz).is_visible()
    assert "Which step comes last?" in plain(quiz).inner_text()
    screenshot(quiz.page, "restarted_kernel")


def test_after_a_reload_without_the_old_kernel_the_plain_form_is_there(
    quiz: Lab, screenshot: Any
) -> None:
    quiz.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    quiz.open(reset=False)
    plain(quiz).wait_for()
    assert "run this cell in a notebook" in plain(quiz).inner_text()
    lost = quiz.page.get_by_text("model not found")
    lost.wait_for(state="attached", timeout=10 * SECONDS)
    assert not lost.is_visible()
    screenshot(quiz.page, "reloaded_without_kernel")


def test_running_the_cells_again_brings_it_back(quiz: Lab) -> None:
    quiz.run_all()
    quiz.widget("Quiz").wait_for()
    choose(quiz, "b) fine-tune")
    says(quiz, "Right.")
    assert not plain(quiz).is_visible()


def test_a_crashed_kernel_is_said_too(quiz: Lab) -> None:
    quiz.page.evaluate(
        """() => {
            const session = window.jupyterapp.shell.currentWidget.sessionContext.session;
            session.kernel.requestExecute({code: "import os; os._exit(1)"}).done.catch(() => {});
        }"""
    )
    quiz.page.locator(".labkit-gone-note").filter(visible=True).wait_for()
    assert plain(quiz).is_visible()
