"""What all tests share: no network, caches in a temporary folder, small models and pictures."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_socket
from PIL import Image
from xdist.scheduler import LoadScopeScheduling

GOLDEN = Path(__file__).with_name("golden")
LOOPBACK = ["127.0.0.1", "::1"]

_session: dict[str, Path] = {}
_look_up = socket.getaddrinfo


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/ anew")


def pytest_configure(config: pytest.Config) -> None:
    """Point every cache to a temporary folder, before TensorFlow or a test is imported."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # each of the processes that run the tests has a folder of its own
    real = os.environ.pop("LABKIT_DATA", "")
    if real:
        _session["real"] = Path(real).expanduser().resolve()
    _session["folder"] = folder = Path(tempfile.mkdtemp(prefix="labkit-tests-"))
    os.environ["LABKIT_CACHE"] = str(folder / "cache")
    os.environ["KERAS_HOME"] = str(folder / "keras")
    os.environ["TQDM_DISABLE"] = "1"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Let one process have all tests that run the same lessons, and one each other file."""

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "lessons" if "lessons" in file or "notebooks" in file else file

    return ByFile(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    if "folder" in _session:
        shutil.rmtree(_session["folder"], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Close the network but for this machine; show the real images to tests that ask for them."""
    pytest_socket.socket_allow_hosts([*LOOPBACK, "localhost"], allow_unix_socket=True)
    socket.getaddrinfo = _look_up_here_only
    os.environ.pop("LABKIT_DATA", None)
    if item.get_closest_marker("real_images") and "real" in _session:
        os.environ["LABKIT_DATA"] = str(_session["real"])


def pytest_runtest_teardown() -> None:
    socket.getaddrinfo = _look_up


def _look_up_here_only(host: Any, *args: Any, **options: Any) -> Any:
    """Refuse a name at once that only a network could tell the address of."""
    name = host.decode() if isinstance(host, bytes) else host
    if name not in (None, "", "localhost", socket.gethostname()):
        try:
            ipaddress.ip_address(name)
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, "no network in the tests") from None
    return _look_up(host, *args, **options)


# Folders


@pytest.fixture
def real_images() -> Path:
    """The folder of real images; skips where nobody has put any."""
    if "LABKIT_DATA" not in os.environ:
        pytest.skip("LABKIT_DATA is not set: the real images are not on this machine")
    return Path(os.environ["LABKIT_DATA"])


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for one test."""
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "own-cache"))
    return tmp_path / "own-cache"


def picture(label: int, number: int, size: int = 40) -> Image.Image:
    """Draw coloured noise; the class shows in the colour, most of the time."""
    numbers = np.random.default_rng([label, number])
    coarse = numbers.integers(0, 200, (6, 6, 3))
    coarse[..., label % 3] += numbers.integers(0, 55)
    image = Image.fromarray(coarse.astype(np.uint8))
    return image.resize((size, size), Image.Resampling.BICUBIC)


DrawFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def draw_folder() -> DrawFolder:
    """A function that writes ``{"train/cat": 10, ...}`` pictures below a folder."""

    def draw(root: Path, counts: dict[str, int], size: int = 40) -> Path:
        classes = sorted({name.split("/")[-1] for name in counts})
        for place, (name, count) in enumerate(counts.items()):
            (root / name).mkdir(parents=True)
            label = classes.index(name.split("/")[-1])
            for number in range(count):
                file = root / name / f"{number:03d}.png"
                picture(label, 1000 * place + number, size).save(file)
        return root

    return draw


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder) -> Path:
    """Two classes, 40 / 12 / 20 pictures each in three splits. Not to be changed."""
    counts = {"train": 40, "validation": 12, "test": 20}
    places = {f"{split}/{c}": n for split, n in counts.items() for c in ("blue", "red")}
    return draw_folder(tmp_path_factory.mktemp("tiny") / "pictures", places)


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Any:
    """The pictures of ``tiny_folder`` as a dataset of 32 px."""
    import labkit

    return labkit.load_dataset(tiny_folder, image_size=32)


# Models


@pytest.fixture(scope="session")
def lite0() -> Any:
    """EfficientNetLite0 for 64 px with its weights. Not to be changed or frozen."""
    import labkit

    return labkit.load_backbone("EfficientNetLite0", image_size=64)


@pytest.fixture
def small_net() -> Callable[..., Any]:
    """A function that builds a base of three convolutions with BatchNorm, for 32 px."""
    from labkit.engine import keras

    def build(seed: int = 0) -> Any:
        layers = keras.layers
        x = images = keras.Input((32, 32, 3), name="images")
        x = layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing")(x)
        for i, filters in enumerate((6, 8, 10)):
            start = keras.initializers.HeNormal(seed + i)
            x = layers.Conv2D(
                filters, 3, 2, "same", use_bias=False, kernel_initializer=start, name=f"conv{i}"
            )(x)
            x = layers.BatchNormalization(name=f"norm{i}")(x)
            x = layers.ReLU(name=f"relu{i}")(x)
        model = keras.Model(images, x, name="small")
        numbers = np.random.default_rng(seed)
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                size = layer.moving_mean.shape
                layer.moving_mean.assign(numbers.normal(0, 0.2, size))
                layer.moving_variance.assign(numbers.uniform(0.5, 2.0, size))
        return model

    return build


# Golden tables


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """A function that compares a text with a file of tests/golden/."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text + "\n", encoding="utf-8")
        assert text + "\n" == file.read_text(encoding="utf-8")

    return compare
