"""Says what this machine has: a line a thing, and a remedy where something is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from labkit.backbones.catalogue import list_backbones
from labkit.backbones.weights import pretrained_file, weights_folder
from labkit.course.sandbox import bubblewrap
from labkit.data.loading import real_folder
from labkit.data.simulated.writing import RECIPES
from labkit.errors import LabkitError
from labkit.paths import cache_folder, real_data_folder

State = Literal["good", "note", "missing"]

GIGABYTE = 1e9


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        thing: what.
        state: "good", "note" (works, but know this) or "missing" (the course will not run).
        found: what is there.
        remedy: what to do; "" where nothing needs doing.
    """

    thing: str
    state: State
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything that the course needs; takes some seconds, starts TensorFlow."""
    return [
        _python(),
        _tensorflow(),
        _gpu(),
        _memory(),
        _disk(),
        *_weights(),
        *_data(),
        _packages(),
        _sandbox(),
    ]


def _python() -> Finding:
    version = platform.python_version()
    cores = os.cpu_count() or 1
    return Finding("Python", "good", f"{version} on {platform.system()}, {cores} cores")


def _tensorflow() -> Finding:
    try:
        from labkit.engine import keras, tf
    except (ImportError, LabkitError) as error:
        return Finding("TensorFlow", "missing", str(error), "pip install -r requirements.txt")
    return Finding("TensorFlow", "good", f"{tf.__version__}, Keras {keras.__version__}")


def _gpu() -> Finding:
    try:
        from labkit.engine import tf
    except (ImportError, LabkitError):
        return Finding("GPU", "note", "not looked for, TensorFlow is missing")
    found = tf.config.list_physical_devices("GPU")
    if found:
        names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in found]
        return Finding("GPU", "good", f"{len(found)}: {', '.join(map(str, names))}")
    remedy = "none needed for --profile cpu; for a GPU see 'GPU' in the README"
    return Finding("GPU", "note", "none, TensorFlow runs on the CPU", remedy)


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    found = f"{memory.available / GIGABYTE:.1f} of {memory.total / GIGABYTE:.1f} GB free"
    if memory.available < 3 * GIGABYTE:
        return Finding("memory", "note", found, "close other programs: a notebook takes 1 to 3 GB")
    return Finding("memory", "good", found)


def _disk() -> Finding:
    try:
        folder = cache_folder()
    except LabkitError as error:
        return Finding("cache", "missing", str(error), "set LABKIT_CACHE to a writable folder")
    free = shutil.disk_usage(folder).free / GIGABYTE
    found = f"{folder}, {free:.0f} GB free"
    if free < 2:
        return Finding("cache", "note", found, "set LABKIT_CACHE to a folder on a larger disk")
    return Finding("cache", "good", found)


def _weights() -> Iterator[Finding]:
    for info in list_backbones():
        if info.offline:
            try:
                file = pretrained_file(info)
                yield Finding("weights", "good", f"{info.name}, checked, offline ({file.name})")
            except LabkitError as error:
                yield Finding("weights", "missing", str(error), "pip install -r requirements.txt")
    others = [info for info in list_backbones() if not info.offline]
    here = [i.name for i in others if (weights_folder() / i.weights["no_top"]["file"]).exists()]
    found = f"{len(here)} of {len(others)} others in {weights_folder()}"
    remedy = "" if here else "none needed; they are downloaded when a network first is asked for"
    yield Finding("weights", "good" if here else "note", found, remedy)


def _data() -> Iterator[Finding]:
    try:
        folder = real_data_folder()
    except LabkitError as error:
        yield Finding("data", "missing", str(error), "unset LABKIT_DATA or correct it")
        return
    for name in RECIPES:
        place = real_folder(name)
        if place is not None:
            yield Finding("data", "good", f"{name}: real images in {place}")
        else:
            where = f"none in LABKIT_DATA ({folder})" if folder else "LABKIT_DATA is not set"
            remedy = f"simulated images are used; 'labkit data fetch {name}' for real ones"
            yield Finding("data", "note", f"{name}: no real images ({where})", remedy)


def _sandbox() -> Finding:
    """Say whether students' notebooks can be kept apart from this machine; for graders."""
    problem = bubblewrap.problem()
    if not problem:
        return Finding("sandbox", "good", "bubblewrap works: submissions run in namespaces")
    remedy = "none needed to learn; to grade: Linux with bubblewrap 0.8 or newer"
    return Finding("sandbox", "note", f"submissions cannot be isolated: {problem}", remedy)


def _packages() -> Finding:
    """Compare what is installed with the versions that ``requirements.txt`` pins."""
    pinned = Path(__file__).parents[1] / "requirements.txt"
    if not pinned.exists():
        return Finding("packages", "note", "no requirements.txt beside labkit to compare with")
    other = []
    for name in ("tensorflow", "keras", "numpy", "jupyterlab", "ipywidgets", "papermill", "nbval"):
        version = importlib.metadata.version(name)
        if f"\n{name}=={version}" not in f"\n{pinned.read_text()}":
            other.append(f"{name} {version}")
    if other:
        remedy = "pip install -r requirements.txt"
        return Finding("packages", "note", f"not the pinned versions: {', '.join(other)}", remedy)
    return Finding("packages", "good", "the pinned versions")
