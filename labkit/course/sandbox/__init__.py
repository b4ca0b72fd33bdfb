"""Kernels for code that nobody has read: they see little, may use little, and leave nothing.

``manager`` is the instructor's side. The kernelspec's command is ``stub``, which starts
a kernel (``bubblewrap`` or ``plain``), stands between it and its client (``proxy``) and
ends it when it takes too much (``watching``). What runs inside is ``inside``.
"""

from labkit.course.sandbox.manager import Kernel, Sandbox
from labkit.course.sandbox.settings import Ending, Limits

__all__ = ["Ending", "Kernel", "Limits", "Sandbox"]
