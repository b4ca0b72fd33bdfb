"""Kernels for code that nobody has read: they see little, may use little, and leave nothing.

``manager`` is the instructor's side, ``kernel`` what nbclient is given. The kernelspec's
command is ``stub``: it starts a kernel (``starting``, ``bubblewrap``), stands between it and
its client (``proxy``) and ends it when it takes too much (``watching``, ``census``,
``group``). ``inside`` and ``parent`` are what runs inside. This module imports neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.course.sandbox.settings import Ending, Limits

if TYPE_CHECKING:
    from labkit.course.sandbox.kernel import Kernel
    from labkit.course.sandbox.manager import Sandbox

__all__ = ["Ending", "Kernel", "Limits", "Sandbox"]


def __getattr__(name: str) -> Any:
    """Import Jupyter's client library only for those who use it: the stub starts faster."""
    if name == "Sandbox":
        from labkit.course.sandbox.manager import Sandbox

        return Sandbox
    if name == "Kernel":
        from labkit.course.sandbox.kernel import Kernel

        return Kernel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
