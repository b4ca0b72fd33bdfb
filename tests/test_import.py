"""``import labkit``: quick, complete, and as the contract says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import labkit

HEAVY = {
    "tensorflow", "keras", "numpy", "scipy", "sklearn", "pandas", "PIL", "matplotlib", "IPython",
    "ipywidgets", "joblib", "requests", "typer", "rich",
}  # fmt: skip


def fresh(code: str) -> Any:
    """Run code in a new interpreter; return what it prints as JSON."""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(said.stdout)


def test_import_loads_nothing_heavy() -> None:
    loaded = fresh("import json, sys, labkit; print(json.dumps(sorted(sys.modules)))")
    assert "labkit" in loaded
    assert HEAVY.isdisjoint(loaded)


def test_the_catalogue_needs_no_tensorflow() -> None:
    code = "import json, sys, labkit; labkit.list_backbones(); print(json.dumps([*sys.modules]))"
    assert {"tensorflow", "keras"}.isdisjoint(fresh(code))


def test_reading_images_needs_no_tensorflow(tiny_folder: Path) -> None:
    code = (
        f"import json, sys, labkit; labkit.load_dataset({str(tiny_folder)!r}, image_size=32); "
        "print(json.dumps([*sys.modules]))"
    )
    assert {"tensorflow", "keras"}.isdisjoint(fresh(code))


@pytest.mark.parametrize("name", labkit.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    thing = getattr(labkit, name)
    assert inspect.isclass(thing) or inspect.isfunction(thing) or inspect.ismodule(thing)
    assert thing.__doc__
    assert name in dir(labkit)


def test_names_that_there_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'train_all'"):
        _ = labkit.train_all
    with pytest.raises(ImportError):
        importlib.import_module("labkit.no_such_module")


def test_type_checkers_see_every_name() -> None:
    """The names under TYPE_CHECKING are those that __getattr__ knows."""
    source = Path(labkit.__file__).read_text(encoding="utf-8")
    hinted = source.split("if TYPE_CHECKING:")[1].split("__version__")[0]
    for name in labkit.__all__:
        assert f" {name} as {name}" in hinted or f"import {name}" in hinted


# The contract: what students and the acceptance checks type. Words as in CONTRACT.md.
CONTRACT = {
    "list_backbones": "()",
    "load_backbone": "(name, *, weights='imagenet', image_size=None)",
    "build_classifier": "(backbone, n_classes, *, head='gap', hidden=None, dropout=0.0)",
    "freeze": "(model)",
    "unfreeze": "(model, *, top=None)",
    "set_strategy": "(model, strategy, *, top=None)",
    "count_parameters": "(model)",
    "block_names": "(model)",
    "load_dataset": "(name_or_folder, *, image_size=128, per_class=None, seed=0, source='auto')",
    "extract_features": "(backbone, split, *, cache=True)",
    "train": "(model, dataset, *, epochs=10, learning_rate=None, augment=False, seed=0)",
    "train_svm": "(backbone, dataset, *, C=None, seed=0)",
    "advise": "(dataset, backbone)",
    "compare": "(datasets, backbone, *, strategies, seeds=5, budget=None)",
}
LATER = {"advise", "compare"}
"""Names of the contract that a later issue brings; checked as soon as they are there."""


@pytest.mark.parametrize("name", CONTRACT)
def test_signatures_are_those_of_the_contract(name: str) -> None:
    """What the contract names is there with that default; more may follow, by keyword only."""
    if name in LATER and name not in labkit.__all__:
        assert not hasattr(labkit, name)
        return
    found = inspect.signature(getattr(labkit, name)).parameters
    namespace: dict[str, Any] = {}
    words = CONTRACT[name].replace("strategies,", "strategies=None,")
    exec(f"def wanted{words}: ...", namespace)
    wanted = inspect.signature(namespace["wanted"]).parameters
    assert list(found)[: len(wanted)] == list(wanted) or set(wanted) <= set(found)
    for parameter in wanted.values():
        assert found[parameter.name].kind == parameter.kind
        if parameter.name != "strategies":
            assert found[parameter.name].default == parameter.default
    for parameter in found.values():
        if parameter.name not in wanted:
            assert parameter.kind == inspect.Parameter.KEYWORD_ONLY
            assert parameter.default is not inspect.Parameter.empty


FIELDS = {
    "BackboneInfo": "name family input_size size_mb top1 top5 parameters depth offline",
    "ParameterCount": "total trainable frozen statistics",
    "Dataset": "train validation test classes card source problems",
    "Split": "images labels paths",
    "Features": "array labels",
    "TrainingResult": "accuracy recall confusion history seconds",
}


@pytest.mark.parametrize("name", FIELDS)
def test_results_have_the_fields_of_the_contract(name: str) -> None:
    kind = getattr(labkit, name)
    assert set(FIELDS[name].split()) <= {*dir(kind), *kind.__dataclass_fields__}


def modules_with_examples() -> list[str]:
    root = Path(labkit.__file__).parent
    return [
        ".".join(file.relative_to(root.parent).with_suffix("").parts)
        for file in sorted(root.rglob("*.py"))
        if ">>> " in file.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("module", modules_with_examples())
def test_the_examples_in_docstrings_hold(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0
