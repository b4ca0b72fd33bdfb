"""What all widgets share: Python writes the page, a small script shows it and reports back.

A widget is shown as two outputs. The first is live, where there is a front end for it. The
second is its plain form, a table or a picture, which stays in the notebook: it is what a
page without a kernel shows (GitHub, PDF, nbconvert), and what comes back when the kernel is
gone. While the live one works, a style hides the plain one.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from labkit.errors import LabkitError

GONE = (
    "These controls have lost their kernel: it was restarted or shut down. "
    "Run this cell again, and those that it needs, and they work again."
)
BUSY = "The kernel is busy with a cell. This is shown as soon as it is done."

_VIEW = "application/vnd.jupyter.widget-view+json"

_shown: weakref.WeakSet[Panel] = weakref.WeakSet()


class Panel(anywidget.AnyWidget):
    """A widget whose page is HTML that Python writes.

    A subclass says what the page is made of (``page``), what its parts hold
    (``parts``, for elements with ``data-part``), what its controls are set to (``values``,
    for elements with ``data-control``), and what happens when a control is used (``act``).
    ``plain_html`` and ``__str__`` are its plain form.
    """

    title = "labkit"
    follows = False  # whether it shows something that other cells may change

    _esm = Path(__file__).with_name("panel.js")
    _css = Path(__file__).with_name("panel.css")
    _key = traitlets.Unicode().tag(sync=True)
    _page = traitlets.Unicode().tag(sync=True)
    _parts = traitlets.Dict().tag(sync=True)
    _values = traitlets.Dict().tag(sync=True)
    _answered = traitlets.Unicode().tag(sync=True)

    def __init__(self) -> None:
        """Write the page, unless that takes long; a subclass sets its own state before."""
        super().__init__()
        self._key = self.model_id
        self._said = ""
        self.on_msg(self._receive)
        if type(self).prepare is Panel.prepare:
            self.refresh()

    # What a subclass has

    def page(self) -> str:
        """Return the HTML of the page; it changes rarely, so that the focus stays where it is."""
        return ""

    def parts(self) -> dict[str, str]:
        """Return the HTML inside each ``data-part`` as it is now."""
        return {}

    def values(self) -> dict[str, Any]:
        """Return what each control is set to; a dictionary sets properties of its element."""
        return {}

    def act(self, control: str, value: Any, files: Sequence[bytes]) -> None:
        """Do what a control asks for."""

    def prepare(self) -> None:
        """Do what takes long, once, before the widget is first shown."""

    def plain_html(self) -> str:
        """Return what a page shows that has no kernel."""
        return f"<pre>{escape(str(self))}</pre>"

    # What all of them do

    def refresh(self) -> None:
        """Show the state as it is now, in every place where this widget is shown.

        Called by itself after each cell where ``follows`` is True.
        """
        try:
            page, parts, values = self.page(), self.parts(), self.values()
        except LabkitError as error:
            page, parts, values = trouble(str(error)), {}, {}
        page = f"<form autocomplete='off' aria-label='{escape(self.title)}'>{page}"
        page += "<div data-part='said' role='status'></div></form>"
        notes = (("busy", BUSY), ("gone", GONE))
        page += "".join(f"<p class='labkit-{n}-note' role='status'>{t}</p>" for n, t in notes)
        with self.hold_sync():
            self._page = page
            self._parts = {**parts, "said": trouble(self._said) if self._said else ""}
            self._values = values

    def _receive(self, _: object, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        """Carry out what the page asks for; what goes wrong becomes a sentence in the page."""
        self._said = ""
        try:
            self.act(content["control"], content["value"], [bytes(b) for b in buffers])
        except LabkitError as error:
            self._said = str(error)
        except Exception as error:  # the reader sees no traceback; a student's model may raise all
            self._said = f"That did not work: {type(error).__name__}: {error}"
        with self.hold_sync():
            self.refresh()
            self._answered = content.get("token", "")
        follow(but=self)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        follow_the_cells()
        _shown.add(self)
        try:
            self.prepare()
        except LabkitError as error:
            self._said = str(error)
        self.refresh()
        view = {"version_major": 2, "version_minor": 1, "model_id": self.model_id}
        display({_VIEW: view, "text/plain": ""}, raw=True)
        display({"text/html": self._plain_output(), "text/plain": str(self)}, raw=True)

    def _plain_output(self) -> str:
        """Return the plain form with the style that hides it while the live one works."""
        live, plain = f".labkit-live-{self._key}", f".labkit-plain-{self._key}"
        # JupyterLab's "model not found", which has no elements, gives way to the plain form.
        lost = ".jp-OutputArea-output.jupyter-widgets:not(:has(*))"
        style = (
            f"body:has({live}:not(.jupyter-widgets-disconnected)) {plain},"
            f"body:has({live}) {plain} .labkit-asleep,"
            f".jp-OutputArea:has({plain}) {lost} {{display: none}}"
        )
        return (
            f"<style>{style}</style><div class='labkit-plain {plain[1:]}'>{self.plain_html()}"
            f"<p class='labkit-asleep'><em>{escape(self.title)}: a still picture. To use its "
            "controls, run this cell in a notebook.</em></p></div>"
        )

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        view = {"version_major": 2, "version_minor": 1, "model_id": self.model_id}
        return {_VIEW: view, "text/html": self.plain_html(), "text/plain": str(self)}, {}

    def __repr__(self) -> str:
        """Return the plain form as text."""
        return str(self)


def follow(but: Panel | None = None) -> None:
    """Bring the widgets up to date that show what something else may have changed."""
    for panel in [panel for panel in _shown if panel.follows and panel is not but]:
        panel.refresh()


def follow_the_cells() -> None:
    """Have widgets brought up to date after each cell that IPython runs."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is not None and _after_a_cell not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", _after_a_cell)


def _after_a_cell(_: object) -> None:
    follow()


def trouble(sentence: str) -> str:
    """Return a sentence that says what is wrong, as HTML."""
    return f"<p class='labkit-trouble'>{escape(sentence)}</p>"


def slider(name: str, label: str, low: int, high: int) -> str:
    """Return a slider with its label, as HTML."""
    return (
        f"<label>{escape(label)} <input type='range' data-control='{name}' min='{low}' "
        f"max='{high}' step='1'></label>"
    )


def checkbox(name: str, label: str) -> str:
    """Return a box to tick with its label, as HTML."""
    return f"<label><input type='checkbox' data-control='{name}'> {escape(label)}</label>"


def select(name: str, label: str, options: Sequence[tuple[str, str]]) -> str:
    """Return a list of (value, text) to choose one from, with its label, as HTML."""
    inside = "".join(f"<option value='{escape(v)}'>{escape(text)}</option>" for v, text in options)
    return f"<label>{escape(label)} <select data-control='{name}'>{inside}</select></label>"


def button(name: str, label: str, value: str = "") -> str:
    """Return a button, as HTML."""
    return (
        f"<button type='button' data-control='{name}' value='{escape(value)}'>"
        f"{escape(label)}</button>"
    )


def code_to_copy(part: str, label: str) -> str:
    """Return a place for a line of code with a button that copies it, as HTML."""
    return (
        f"<p class='labkit-row'><span>{escape(label)}</span><code data-part='{part}'></code>"
        f"<button type='button' data-copy aria-label='Copy the line of code'>Copy</button></p>"
    )
