"""What a kernel sees: the paths that it may read, and its environment."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

from labkit.backbones.weights import weights_folder
from labkit.paths import cache_folder, real_data_folder

PACKAGE = Path(__file__).parents[2]
"""The folder of labkit itself."""

ROOT = PACKAGE.parent
"""What has to be on the path so that labkit can be imported."""

INLINE_FIGURES = "module://matplotlib_inline.backend_inline"
"""matplotlib's backend in a kernel."""

PASSED_ON = ("LANG", "LC_ALL", "TZ", "TF_CPP_MIN_LOG_LEVEL", "TQDM_DISABLE", "OMP_NUM_THREADS")
"""Variables that say nothing about the user and decide how numbers and times look."""


def readable_paths(more: tuple[str, ...] = ()) -> list[Path]:
    """Return what every kernel may read, beside the system: existing paths, parents first.

    Of a checkout these are the package and the dataset cards alone: its notebooks hold
    solutions and hidden tests.
    """
    paths = [Path(sys.prefix), Path(sys.base_prefix), PACKAGE, ROOT / "datasets"]
    if site.ENABLE_USER_SITE and (user := site.getusersitepackages()) in sys.path:
        paths.append(Path(user))
    paths += [weights_folder(), cache_folder(), *map(Path, more)]
    if data := real_data_folder():
        paths.append(data)
    return sorted({path.absolute() for path in paths if path.exists()})


def environment(private: str) -> dict[str, str]:
    """Return a kernel's whole environment; nothing else of the user's is handed on.

    Args:
        private: the folder for everything that libraries keep, as the kernel names it.
    """
    values = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    values |= {
        "PATH": f"{Path(sys.prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin",
        "HOME": private,
        "TMPDIR": f"{private}/tmp",
        "USER": "student",
        "LOGNAME": "student",
        "LANG": values.get("LANG", "C.UTF-8"),
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": values.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "KERAS_HOME": str(weights_folder().parent),
        "LABKIT_CACHE": f"{private}/cache",
        "MPLBACKEND": INLINE_FIGURES,
        "MPLCONFIGDIR": f"{private}/cache/matplotlib",  # its list of fonts takes seconds to make
        "LABKIT_SHARED_CACHE": str(cache_folder()),
    }
    if data := real_data_folder():
        values["LABKIT_DATA"] = str(data.absolute())
    return values
