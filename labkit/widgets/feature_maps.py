"""FeatureMapBrowser: what a network makes of a picture, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from numpy.typing import ArrayLike

from labkit import plots
from labkit.activations import Maps, feature_maps
from labkit.engine import keras
from labkit.errors import LabkitError
from labkit.widgets.panel import Panel, slider


class FeatureMapBrowser(Panel):
    """Shows the feature maps of one picture at the end of each block of a model."""

    title = "Feature maps"

    def __init__(self, model: keras.Model, image: ArrayLike) -> None:
        """Show what a model makes of a picture.

        Args:
            model: a classifier or a bare backbone.
            image: shape (height, width, 3), RGB 0..255, of the model's size.
        """
        self.model, self.image = model, image
        self._maps: dict[str, Maps] = {}
        self._block = 0
        self._drawn: dict[str, str] = {}
        super().__init__()

    def maps(self) -> dict[str, Maps]:
        """Return the feature maps of each block, input to output; computed once."""
        if not self._maps:
            self._maps = feature_maps(self.model, self.image)
        return self._maps

    def prepare(self) -> None:
        """Compute the maps."""
        self.maps()

    def page(self) -> str:
        """Return the slider and the place of the maps."""
        last = len(self.maps()) - 1
        return (
            f"<h3>{escape(self.model.name)}: a picture, block by block</h3>"
            f"<div class='labkit-row'>{slider('block', 'Block, input to output', 0, last)}"
            "<strong data-part='name' aria-live='polite'></strong></div>"
            "<div data-part='maps'></div>"
        )

    def parts(self) -> dict[str, str]:
        """Return the maps of the chosen block."""
        name = list(self.maps())[self._block]
        if name not in self._drawn:
            picture = plots.feature_map_grid(self.maps()[name], title=self._says(name))
            self._drawn[name] = picture._repr_html_()
        return {"name": escape(self._says(name)), "maps": self._drawn[name]}

    def values(self) -> dict[str, Any]:
        """Return where the slider stands."""
        name = list(self.maps())[self._block]
        return {"block": {"value": str(self._block), "ariaValueText": self._says(name)}}

    def act(self, control: str, value: Any, files: Sequence[bytes]) -> None:
        """Show another block."""
        if control == "block":
            self._block = min(max(int(value), 0), len(self.maps()) - 1)

    def _says(self, name: str) -> str:
        height, width, channels = self.maps()[name].shape
        return f"{name}: {channels:,} maps of {height} x {width}"

    def plain_html(self) -> str:
        """Return the strongest maps of every block in one picture."""
        try:
            return plots.feature_map_overview(self.maps(), title=self.model.name)._repr_html_()
        except LabkitError as error:
            return f"<p>{escape(str(error))}</p>"

    def __str__(self) -> str:
        """Return name and shape of each block's maps as text."""
        try:
            return "\n".join([f"{self.model.name}:", *(f"  {self._says(n)}" for n in self.maps())])
        except LabkitError as error:
            return str(error)
