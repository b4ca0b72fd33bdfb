"""From a key on the freeze slider to the new count in the page, in a real JupyterLab."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import main as run_main
from benchmarks.harness import measure, report

NAME = "widgets"
QUESTION = "How long from a key on the freeze slider to the new count of parameters in the page?"
LIMITS = {"VGG16": 0.1, "ResNet152": 0.2}
TARGETS = {f"{1000 * limit:.0f} ms / {name}": 1.0 for name, limit in LIMITS.items()}

PEER = "{}: ipywidgets slider and label"
OURS = "{}: FreezeExplorer"

CELLS = [
    """
import ipywidgets, labkit

def peer(model):
    slider, label = ipywidgets.IntSlider(max=5), ipywidgets.Label("")
    def show(change):
        labkit.unfreeze(model, top=change.new)
        label.value = f"{labkit.count_parameters(model).trainable:,}"
    slider.observe(show, "value")
    box = ipywidgets.HBox([slider, label])
    box.add_class("peer")
    return box

def classifier(name):
    model = labkit.build_classifier(labkit.load_backbone(name, weights=None), 2)
    labkit.freeze(model)
    return model
""",
    *(cell for name in LIMITS for cell in (
        f"labkit.widgets.FreezeExplorer(classifier({name!r}))", f"peer(classifier({name!r}))",
    )),
]  # fmt: skip

WATCH = """place => {
    window.changed = new Promise(resolve => {
        let pressed = 0;
        addEventListener("keydown", () => { pressed = performance.now(); },
                         {capture: true, once: true});
        const observer = new MutationObserver(() => {
            observer.disconnect();
            resolve(performance.now() - pressed);
        });
        observer.observe(place, {childList: true, characterData: true, subtree: true});
    });
}"""


def run(repeats: int = 20) -> dict[str, Any]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
    from lab import ARGUMENTS, Lab, find_browser, jupyter
    from playwright.sync_api import sync_playwright

    folder = Path(tempfile.mkdtemp(prefix="labkit-bench-"))
    with jupyter(folder, {"bench.ipynb": CELLS}) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        lab = Lab(browser.new_page(), address, "bench.ipynb").open()
        lab.run_all()
        measured = measure(_candidates(lab), repeats)
        browser.close()
    ratios = {
        f"{1000 * limit:.0f} ms / {name}": limit / measured[OURS.format(name)]["median"]
        for name, limit in LIMITS.items()
    }
    for name in LIMITS:
        ours, peer = measured[OURS.format(name)]["median"], measured[PEER.format(name)]["median"]
        ratios[f"{name}: slider and label / FreezeExplorer"] = peer / ours
    timed = (
        "from the keydown event to the change of the text, both in the page's clock; an arrow key "
        "back and forth between one block and two. The peer is what one would write by hand: it "
        "counts with labkit as well, and shows one number."
    )
    return report(NAME, QUESTION, timed, measured, ratios, TARGETS)


def _candidates(lab: Any) -> dict[str, Any]:
    candidates = {}
    for number, name in enumerate(LIMITS):
        widget = lab.widget("Freeze explorer").nth(number)
        slider = widget.get_by_role("slider")
        candidates[OURS.format(name)] = _press(lab, slider, widget.locator("[data-part='counts']"))
        peer = lab.page.locator(".peer").nth(number)
        handle, label = peer.locator(".noUi-handle"), peer.locator(".widget-label").last
        candidates[PEER.format(name)] = _press(lab, handle, label)
    return candidates


def _press(lab: Any, slider: Any, place: Any) -> Any:
    keys = ["ArrowRight", "ArrowLeft"]
    slider.press("ArrowRight")
    lab.page.wait_for_timeout(3000)

    def press() -> float:
        place.evaluate(WATCH)
        slider.press(keys[0])
        keys.reverse()
        milliseconds: float = lab.page.evaluate("() => window.changed")
        lab.page.wait_for_timeout(300)
        return milliseconds / 1000

    return press


def main() -> None:
    run_main(run)


if __name__ == "__main__":
    main()
