"""FreezeExplorer: the blocks of a model, which of them train, and what that means."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from labkit.anatomy import Anatomy, Block, all_layers, anatomy, holds_weights
from labkit.counting import ParameterCount, count_parameters, numbers_in
from labkit.effort import effort
from labkit.engine import keras
from labkit.errors import ModelError
from labkit.freezing import Strategy, freeze, strategy_of, trained_blocks, unfreeze
from labkit.quadrants.advice import QUADRANTS
from labkit.quadrants.budget import duration
from labkit.tables import html_table, text_table
from labkit.widgets.panel import Panel, checkbox, code_to_copy, slider

IMAGES, EPOCHS = 1000, 10

SPEED = 25e9
"""Multiply-adds a second on two cores; measured: 20 to 40 billion for nets of `list_backbones`."""

MEANS: dict[Strategy, str] = {
    "frozen": "feature extraction: only the head learns, all that was learned before stays",
    "partial": "fine-tuning of the last blocks: they adapt, the early ones stay as they are",
    "full": "fine-tuning of everything: the pretrained weights are only a starting point",
}


class FreezeExplorer(Panel):
    """Shows a model's blocks, input to output, and lets a reader freeze and unfreeze them.

    Changes apply to the model itself, and changes that code makes to the model are shown
    after the cell. A model that is not built is a sentence in the widget, not an error.
    """

    title = "Freeze explorer"
    follows = True

    def __init__(self, model: keras.Model) -> None:
        """Show which blocks of a model train.

        Args:
            model: a classifier or a bare backbone.
        """
        self.model = model
        self._asked = (0, 0)  # where the slider was put, and what that came to
        super().__init__()

    def page(self) -> str:
        """Return slider, a row a block, counts, meaning, code."""
        parts = anatomy(self.model)
        rows = "".join(
            _row(_toggle(number, block), f"{number}") for number, block in enumerate(parts.blocks)
        )
        if parts.head:
            rows += _row("<span>head</span>", "head")
        top = slider("top", "Blocks that train, counted from the output", 0, len(parts.blocks))
        statistics = ""
        if count_parameters(self.model).statistics:
            statistics = checkbox("batch_norm", "BatchNorm layers of these blocks train as well")
        return (
            f"<h3>{escape(self.model.name)}: which blocks train?</h3>"
            f"<div class='labkit-row'>{top}<strong data-part='top'></strong>{statistics}</div>"
            f"<ol class='labkit-blocks'>{rows}</ol>"
            "<div data-part='counts' aria-live='polite'></div>"
            "<p data-part='means' aria-live='polite'></p><p data-part='time'></p>"
            + code_to_copy("code", "The same in code:")
        )

    def parts(self) -> dict[str, str]:
        """Return bars, counts, meaning and code as the model is now."""
        state = _State(self.model)
        told = {
            "counts": _count_table(state.count),
            "top": f"{self._top(state)} of {len(state.sizes)}",
            "means": escape(state.means()),
            "time": escape(state.time()),
            "code": escape(state.code()),
        }
        for name, size, says in state.rows():
            width = 100 * size / state.largest
            kind = says if size else "frozen"
            bar = f"<span class='labkit-bar {kind}' style='width:{width:.1f}%'></span>"
            told[f"bar-{name}"] = bar
            told[f"size-{name}"] = f"<span class='labkit-number'>{size:,}</span> {says}"
        return told

    def values(self) -> dict[str, Any]:
        """Return where slider and boxes stand."""
        state = _State(self.model)
        top = self._top(state)
        spoken = f"{top} of {len(state.sizes)} blocks train"
        boxes = {f"block-{i}": says != "frozen" for i, says in enumerate(state.says)}
        return {
            "top": {"value": str(top), "ariaValueText": spoken},
            "batch_norm": state.batch_norm,
            **boxes,
        }

    def act(self, control: str, value: Any, files: Sequence[bytes]) -> None:
        """Freeze and unfreeze the model as slider or boxes say."""
        state = _State(self.model)
        if control == "top":
            unfreeze(self.model, top=int(value), batch_norm=state.batch_norm)
            self._asked = (int(value), trained_blocks(state.parts))
            return
        trained = {i for i, says in enumerate(state.says) if says != "frozen"}
        if control == "batch_norm":
            _apply(self.model, state.parts, trained, batch_norm=bool(value))
        else:
            number = int(control.removeprefix("block-"))
            trained = trained | {number} if value else trained - {number}
            _apply(self.model, state.parts, trained, batch_norm=state.batch_norm)

    def _top(self, state: _State) -> int:
        """Return where the slider stands: it may include blocks that have nothing to train."""
        asked, came_to = self._asked
        return asked if came_to == state.top else state.top

    def plain_html(self) -> str:
        """Return blocks and counts as tables."""
        try:
            state = _State(self.model)
        except ModelError as error:
            return f"<p>{escape(str(error))}</p>"
        blocks = html_table(state.table(), header=_HEADER, caption=state.title)
        return (
            blocks + _count_table(state.count) + f"<p>{escape(state.means())}<br>"
            f"{escape(state.time())}<br><code>{escape(state.code())}</code></p>"
        )

    def __str__(self) -> str:
        """Return blocks and counts as text."""
        try:
            state = _State(self.model)
        except ModelError as error:
            return str(error)
        blocks = text_table(state.table(), header=_HEADER, caption=state.title)
        return "\n".join(
            [blocks, "", str(state.count), "", state.means(), state.time(), state.code()]
        )


_HEADER = ("block", "parameters", "", "bar")


class _State:
    """What a model is set to at this moment, read from the model itself."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.parts: Anatomy = anatomy(model)
        self.count: ParameterCount = count_parameters(model)
        self.sizes = [_size(block.layers) for block in self.parts.blocks]
        self.says = [_says(block) for block in self.parts.blocks]
        self.top = trained_blocks(self.parts)
        self.head = _size(self.parts.head)
        self.batch_norm = any(norm.trainable for norm in _norms(self.parts.base.layers))
        self.largest = max([*self.sizes, self.head, 1])
        self.title = f"{model.name}: which blocks train, input to output"

    def rows(self) -> list[tuple[str, int, str]]:
        """Return name of the row, parameters and state of each block, and of the head."""
        rows = [(str(i), n, s) for i, (n, s) in enumerate(zip(self.sizes, self.says, strict=True))]
        if self.parts.head:
            trains = any(layer.trainable_weights for layer in self.parts.head if _size([layer]))
            rows.append(("head", self.head, "trains" if trains else "frozen"))
        return rows

    def table(self) -> list[tuple[str, str, str, str]]:
        """Return a row a block for the plain form, with a bar made of characters."""
        names = [*(block.name for block in self.parts.blocks), "head"]
        marks = {"trains": "█", "frozen": "░", "partly": "▒"}
        return [
            (name, f"{size:,}", says, (marks[says] * max(round(24 * size / self.largest), 1))
             .ljust(24) if size else " " * 24)
            for name, (_, size, says) in zip(names, self.rows(), strict=False)
        ]  # fmt: skip

    def means(self) -> str:
        """Return what the choice is called, what it does and when it is right."""
        strategy = strategy_of(self.model)
        if not self.count.trainable:
            return "Nothing trains: the model stays as it is."
        suits = [
            f"quadrant {number} ({size} and {'similar' if similar else 'dissimilar'})"
            for (size, similar), (number, name, _) in QUADRANTS.items()
            if name == strategy
        ]
        text = f"Strategy {strategy}: {MEANS[strategy]}. Suits {' and '.join(suits)}."
        if self.has_gaps():
            text += " Unusual: a frozen block lies between blocks that train."
        if self.batch_norm:
            text += " The statistics of BatchNorm layers move; that needs many images."
        return text

    def has_gaps(self) -> bool:
        """Tell whether a frozen block that could train follows one that does."""
        able = [s for s, b in zip(self.says, self.parts.blocks, strict=True) if _kinds(b)]
        after = able[able.index("trains") :] if "trains" in able else []
        return "frozen" in after

    def time(self) -> str:
        """Return roughly what training costs, beside the whole network."""
        now = effort(self.parts, self.top).training(IMAGES, EPOCHS)
        whole = effort(self.parts, len(self.sizes)).training(IMAGES, EPOCHS)
        return (
            f"Rough training time for {IMAGES:,} images and {EPOCHS} epochs on two cores: "
            f"{duration(max(now / SPEED, 1))}, which is {now / whole:.0%} of the arithmetic of "
            "training everything. Frozen blocks are computed once."
        )

    def code(self) -> str:
        """Return the line of code that sets the model up as it is."""
        more = ", batch_norm=True" if self.batch_norm else ""
        if "partly" in self.says:
            return "# set layer by layer, by layer.trainable"
        if self.has_gaps():
            names = [b.name for b, s in zip(self.parts.blocks, self.says, strict=True)
                     if s == "trains"]  # fmt: skip
            return f"labkit.unfreeze(model, blocks={names}{more})"
        return f"labkit.unfreeze(model, top={self.top}{more})" if self.top else (
            "labkit.freeze(model)")  # fmt: skip


def _apply(model: keras.Model, parts: Anatomy, trained: set[int], *, batch_norm: bool) -> None:
    if trained:
        names = [parts.blocks[number].name for number in trained]
        unfreeze(model, blocks=names, batch_norm=batch_norm)
    else:
        freeze(model)


def _row(name: str, key: str) -> str:
    return f"<li>{name}<span data-part='bar-{key}'></span><span data-part='size-{key}'></span></li>"


def _toggle(number: int, block: Block) -> str:
    if not _kinds(block):  # nothing that could train
        return f"<span>{escape(block.name)}</span>"
    return checkbox(f"block-{number}", block.name)


def _size(layers: Sequence[Any]) -> int:
    return numbers_in(w for layer in layers for w in getattr(layer, "weights", ()))


def _norms(layers: Sequence[Any]) -> list[Any]:
    normal = keras.layers.BatchNormalization
    return [layer for layer in all_layers(layers) if isinstance(layer, normal)]


def _kinds(block: Block) -> list[Any]:
    """Return the layers that freezing is about: those with weights, BatchNorm left out."""
    normal = keras.layers.BatchNormalization
    return [
        layer for layer in all_layers(block.layers)
        if holds_weights(layer) and not isinstance(layer, normal) and not hasattr(layer, "layers")
    ]  # fmt: skip


def _says(block: Block) -> str:
    trains = [bool(layer.trainable_weights) for layer in _kinds(block)]
    if any(trains):
        return "trains" if all(trains) else "partly"
    return "frozen"


def _count_table(count: ParameterCount) -> str:
    return count._repr_html_()
