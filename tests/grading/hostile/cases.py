"""Submissions of the light assignment that are broken or mean harm, and the rows they should get.

A case is a name, how the notebook is made, and the exercises that do not get all points.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import light
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

FULL = {"scale": ("passed", 2), "head": ("passed", 3), "rate": ("passed", 1), "why": ("manual", 0)}
NOTHING = dict.fromkeys(FULL, ("error", 0))
MARK = "labkit-hostile-mark"
"""In the name of every file that a case tries to leave somewhere."""

MESSAGES = """from IPython import get_ipython
import json
kernel = get_ipython().kernel
def send(kind, parent, content):
    head = json.dumps({"msg_id": kind, "msg_type": kind, "username": "u", "session": "s",
                       "date": "2024-01-01T00:00:00Z", "version": "5.3"}).encode()
    parts = [head, json.dumps(parent, default=str).encode(), b"{}", json.dumps(content).encode()]
    kernel.iopub_thread.send_multipart([b"x", b"<IDS|MSG>", kernel.session.sign(parts), *parts])
own = kernel.get_parent("shell")["header"]
send("stream", [1], {})
send("stream", own, [1])
send("error", own, {"ename": "a", "traceback": 5})
send("status", own, [])
"""
"""Sends outputs whose parts are of other types than the protocol has."""

SLEEP = "98765.4321"
"""Seconds that left-over processes would sleep; found in their command lines."""

WRONG_SCALE = "def scale(images):\n    return np.asarray(images)"


@dataclass(frozen=True)
class Case:
    """One submission: ``make`` gets the folder of all submissions and returns a notebook."""

    name: str
    make: Callable[[Path], Any]
    rows: dict[str, tuple[str, float]] = field(default_factory=dict)
    student: str = ""

    @property
    def expected(self) -> dict[str, tuple[str, float]]:
        return {**FULL, **self.rows}


def first(code: str, **answers: str) -> Callable[[Path], Any]:
    """A notebook with right answers and one cell before all exercises."""

    def make(root: Path) -> Any:
        notebook = light.answered(**answers)
        text = code.replace("ROOT", repr(str(root))).replace("MARK", MARK).replace("SLEEP", SLEEP)
        notebook.cells.insert(3, new_code_cell(text))
        return notebook

    return make


def answers(**given: str) -> Callable[[Path], Any]:
    return lambda root: light.answered(**given)


def changed(change: Callable[[Any], Any], **given: str) -> Callable[[Path], Any]:
    """A notebook that a function has changed; it may return another one, or bytes."""

    def make(root: Path) -> Any:
        notebook = light.answered(**given)
        found = change(notebook)
        return notebook if found is None else found

    return make


def raw(data: bytes) -> Callable[[Path], Any]:
    return lambda root: data


def _without(*names: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        for name in names:
            del notebook.cells[light.place(notebook, name)]

    return change


def _duplicated(notebook: Any) -> None:
    notebook.cells = [cell for cell in notebook.cells for _ in range(2)]


def _reversed(notebook: Any) -> None:
    notebook.cells = notebook.cells[:3] + notebook.cells[3:][::-1]


def _retyped(notebook: Any) -> None:
    place = light.place(notebook, "scale")
    old = notebook.cells[place]
    notebook.cells[place] = new_markdown_cell(old.source, metadata=old.metadata)


def _check_edited(notebook: Any) -> None:
    notebook.cells[light.place(notebook, "scale-checks")].source += "\n2"


def _check_replaced(notebook: Any) -> None:
    notebook.cells[light.place(notebook, "scale-checks")].source = "print(2.0)\n2.0"


def _more_points(notebook: Any) -> None:
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader |= {"points": 1000.0, "grade": True, "locked": False}


def _bare(notebook: Any) -> None:
    notebook.metadata = {}
    for number, cell in enumerate(notebook.cells):
        cell.metadata = {"id": f"x{number}", "colab": {"base_uri": "https://localhost"}}


def _other_names(notebook: Any) -> None:
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader["grade_id"] = f"cell-{random.Random(0).random()}"


def _split(notebook: Any) -> None:
    place = light.place(notebook, "scale")
    notebook.cells[
        place
    ].source = "def scale(images):\n    return change(np.asarray(images, float))"
    notebook.cells.insert(place, new_code_cell("def change(x):\n    return x / 255"))


def _merged(notebook: Any) -> None:
    code = "\n\n".join(light.RIGHT.values())
    _without("scale", "head", "rate")(notebook)
    notebook.cells.append(new_code_cell(code))


def _pasted(notebook: Any) -> None:
    settings = {"grade": True, "grade_id": "freeze-checks", "locked": True, "points": 3.0,
                "schema_version": 3, "solution": False, "task": False}  # fmt: skip
    other = 'checks = Checks("freeze", 3)\nchecks.check("x", 3, lambda: freeze())\nchecks.points()'
    notebook.cells.insert(6, new_code_cell(other, metadata={"nbgrader": settings}))


def _huge(notebook: Any) -> None:
    output = new_output("stream", name="stdout", text="x" * 100_000_000)
    notebook.cells[2].outputs = [output]


def _half_a_character(notebook: Any) -> bytes:
    place = light.place(notebook, "scale")
    notebook.cells[place].source += "\n# HALF"
    return nbformat.writes(notebook).replace("HALF", "\\ud83d").encode()


def _list_as_id(notebook: Any) -> None:
    notebook.cells[light.place(notebook, "scale")].metadata.nbgrader["grade_id"] = ["x"]


def _in_its_check(notebook: Any) -> None:
    place = light.place(notebook, "scale-checks")
    check = notebook.cells[place]
    check.source = light.RIGHT["scale"] + "\n\n" + check.source
    _without("scale")(notebook)


def _windows(notebook: Any) -> bytes:
    for cell in notebook.cells:
        cell.source = cell.source.replace("\n", "\r\n")
    return b"\xef\xbb\xbf" + nbformat.writes(notebook).replace("\n", "\r\n").encode()


def _old_format(notebook: Any) -> bytes:
    old = nbformat.convert(notebook, 3)
    return json.dumps(old).encode()


def _language(name: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        notebook.metadata = {
            "kernelspec": {"name": "ir", "display_name": name, "language": name},
            "language_info": {"name": name},
        }

    return change


def _is_bad(test: str) -> str:
    """The answer to ``rate`` that is wrong when a test of the surroundings is true."""
    return f"learning_rate = 5 if ({test}) else 1e-4"


FORGERIES = {
    "assert": "import builtins\nclass Never(Exception): pass\nbuiltins.AssertionError = Never",
    "labkit": "import labkit.checks as c\nc.same = lambda *a, **k: None\nsame = c.same\n"
    "c.Checks.points = lambda self: self.max_points\nc._failure = lambda test: None",
    "numpy": "np.allclose = lambda *a, **k: True\nnp.shape = lambda x: (2, 2)\n"
    "np.array_equal = lambda *a: True",
    "keras": "import keras\nkeras.ops.all = lambda x: True\nkeras.Model.__eq__ = lambda a, b: True",
    "trace": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)",
    "atexit": "import atexit\natexit.register(lambda: print('2.0'))",
    "display": "import IPython.display as d\nfrom IPython import get_ipython\n"
    "d.display = lambda *a, **k: print(2.0)\n"
    "get_ipython().display_formatter.format = lambda *a, **k: ({'text/plain': '2.0'}, {})",
    "printed": "print('scale: 2 of 2 checks passed')\nprint(2.0)\n2.0",
    "equality": "class Same(np.ndarray):\n    def __eq__(self, other): return True\n"
    "    __array_priority__ = 1e9\nBASE = np.zeros((2, 2)).view(Same)",
    "exchange": "import labkit.course.grading.writing as w\nw.np = None\n"
    "import labkit.course.grading.agent as a\na._message = lambda found: b'forged'",
    "answers": "import labkit.course.grading.exchange as e\n"
    "e.Peer.answer = lambda self, number, data: self.dumps({'value': True, 'models': []})",
    "errors": "import labkit.course.grading.exchange as e\n"
    "e.Peer.answer = lambda self, number, data: self.dumps("
    "{'raised': {'names': 5, 'lines': [b'1'], 'text': 'x' * 10**7}, 'models': []})",
    "bytes": "import labkit.course.grading.agent as a\n"
    "a._prompt.__globals__['base64'] = type('B', (), {'b64encode': staticmethod(lambda d: b'abc'), "
    "'b64decode': staticmethod(lambda d: b'')})",
}
"""Each with a wrong answer to ``scale``."""

_HURT: dict[str, dict[str, tuple[str, float]]] = {
    "answers": {"head": ("failed", 0)},
    "errors": {"scale": ("error", 0), "head": ("error", 0)},
    "bytes": {"head": ("failed", 0), "rate": ("failed", 0)},
    "exchange": {"head": ("failed", 0), "rate": ("failed", 0)},
}
"""What a forger loses who breaks the way by which answers travel."""

FAILED = {"scale": ("failed", 0)}

CASES = [
    # Time
    Case("loop before", first("while True: pass")),
    Case("loop in answer", answers(rate="while True: pass"), {"rate": ("timeout", 0)}),
    Case("loop in function", answers(scale="def scale(x):\n    while True: pass"),
         {"scale": ("timeout", 0)}),
    Case("loop in native code", first('import re\nre.match(r"(a+)+$", "a" * 60 + "b")')),
    Case("loop that ignores interrupts", first(
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass")),
    # Processes and memory
    Case("fork bomb", first(
        "import os, time\nfor _ in range(300):\n"
        "    if os.fork() == 0:\n        time.sleep(20)\n        os._exit(0)")),
    Case("thread bomb", first(
        "import threading, time\nfor _ in range(900):\n"
        "    threading.Thread(target=time.sleep, args=(99,)).start()")),
    Case("50 GB", answers(rate="learning_rate = len(bytearray(50 * 10**9))"),
         {"rate": ("memory", 0)}),
    Case("memory bit by bit", answers(
        rate="held = []\nwhile True: held.append(b'x' * 10**8)\nlearning_rate = 1"),
         {"rate": ("memory", 0)}),
    Case("recursion", answers(scale="def scale(x):\n    return scale(x)"),
         {"scale": ("error", 0)}),
    Case("_exit before", first("import os\nos._exit(3)")),
    Case("_exit in answer", answers(rate="import os\nos._exit(0)"), {"rate": ("error", 0)}),
    Case("_exit in function", answers(scale="import os\ndef scale(x):\n    os._exit(0)"),
         {"scale": ("error", 0)}),
    Case("segfault", first("import ctypes\nctypes.string_at(0)")),
    Case("kill the parent", first("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)")),
    Case("kill everything", first("import os, signal\nos.kill(-1, signal.SIGKILL)")),
    Case("thread outlives", first(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(999,)).start()")),
    Case("process outlives", first(
        "import subprocess\nsubprocess.Popen(['sleep', 'SLEEP'], start_new_session=True)")),
    # Output and disk
    Case("1 GB of output", first("for _ in range(1000): print('x' * 10**6)")),
    Case("output in answer", answers(rate="while True: print('x' * 10**6)"),
         {"rate": ("error", 0)}),
    Case("output too large to read",
         answers(rate="print('x' * 320_000_000)\nlearning_rate = 1e-4"), {"rate": ("error", 0)}),
    Case("disk full", first(
        "for n in range(99):\n    with open(f'{n}', 'wb') as f: f.write(bytes(100 * 10**6))")),
    Case("100 MB notebook", changed(_huge)),
    # Reaching out
    Case("writes everywhere", first(
        "import labkit, pathlib, sys\n"
        "for p in ['/', '/etc', '/tmp', '/var/tmp', '/root', '~', '.', '..', '../..', ROOT, "
        "pathlib.Path(labkit.__file__).parent, sys.prefix, '/dev/shm']:\n"
        "    try: (pathlib.Path(p).expanduser() / 'MARK').write_text('here')\n"
        "    except OSError: pass")),
    Case("reads hidden tests", first(
        "import os\nfound = []\n"
        "for d, ds, fs in os.walk('/'):\n"
        "    ds[:] = [x for x in ds if x not in ('proc', 'sys', 'usr', 'site-packages')]\n"
        "    for f in fs:\n"
        "        if f.endswith(('.ipynb', '.db', '.csv')):\n"
        "            try: text = open(os.path.join(d, f), errors='replace').read()\n"
        "            except OSError: continue\n"
        "            if 'HIDDEN TESTS' in text or 'secret' in text: found.append(f)",
        rate=_is_bad("found"))),
    Case("reads other submissions", first(
        "import pathlib\nseen = [p for p in (pathlib.Path(ROOT), pathlib.Path(ROOT).parent) "
        "if p.exists()]",
        rate=_is_bad("seen"))),
    Case("reads the environment", first(
        "import glob, os\ntext = str(dict(os.environ))\n"
        "for f in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try: text += open(f).read()\n    except OSError: pass",
        rate=_is_bad("'LABKIT_HOSTILE_SECRET' in text"))),
    Case("looks at processes", first(
        "import os\nothers = [p for p in os.listdir('/proc') if p.isdigit()]",
        rate=_is_bad("len(others) > 12"))),
    Case("opens sockets", first(
        "import socket\nopened = []\nfor host in ('127.0.0.1', '1.1.1.1', 'localhost'):\n"
        "    for port in (22, 53, 80, 8888):\n"
        "        try: socket.create_connection((host, port), 0.2); opened.append(port)\n"
        "        except OSError: pass",
        rate=_is_bad("opened"))),
    Case("leaves links", first(
        "import os\nos.symlink(ROOT, 'MARK-link')\nos.symlink('/', 'MARK-root')")),
    Case("closes all files", first("import os\nos.closerange(3, 999)")),
    # Names
    Case("odd name", answers(), student="Zoë 学生 – two\nlines 'and' \"quotes\""),
    Case("name with dots", answers(), student="dots..in..the.name.."),
    # Files
    Case("invalid JSON", raw(b'{"cells": [{"cell_type": "code", "sou'), NOTHING),
    Case("JSON, no notebook", raw(b'{"a": 1}'), NOTHING),
    Case("nested deep", raw(b'{"cells":' + b"[" * 100_000), NOTHING),
    Case("UTF-16", raw('{"cells": []}'.encode("utf-16")), NOTHING),
    Case("empty file", raw(b""), NOTHING),
    Case("no cells", raw(b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'),
         dict.fromkeys(FULL, ("missing", 0))),
    Case("cells null", raw(b'{"cells": null, "nbformat": 4}'), NOTHING),
    Case("cells a number", raw(b'{"cells": 5, "nbformat": 4}'), NOTHING),
    Case("half a character", changed(_half_a_character)),
    Case("no kernel", changed(lambda n: n.update(metadata={}))),
    Case("other language", changed(_language("R")), NOTHING),
    Case("nbformat 3", changed(_old_format)),
    Case("Windows line ends", changed(_windows)),
    # Cells
    Case("deleted", changed(_without("head", "head-checks")), {"head": ("missing", 0)}),
    Case("checks deleted", changed(_without("scale-checks", "head-checks", "rate-checks"))),
    Case("duplicated", changed(_duplicated)),
    Case("reordered", changed(_reversed)),
    Case("retyped as text", changed(_retyped)),
    Case("check edited", changed(_check_edited), {"scale": ("tampered", 2)}),
    Case("check replaced", changed(_check_replaced, scale=WRONG_SCALE), {"scale": ("tampered", 0)}),
    Case("more points", changed(_more_points, scale=WRONG_SCALE), FAILED),
    Case("no metadata", changed(_bare)),
    Case("other ids", changed(_other_names)),
    Case("split", changed(_split)),
    Case("merged", changed(_merged)),
    Case("pasted from elsewhere", changed(_pasted)),
    Case("answer in its check", changed(_in_its_check), {"scale": ("tampered", 2)}),
    Case("list as id", changed(_list_as_id)),
    Case("made by exec", answers(scale='exec("def scale(x): return np.asarray(x) / 255")')),
    # Python
    Case("capture", answers(scale="%%capture out\n" + light.RIGHT["scale"])),
    Case("shell and magics", first("!ls\n%time 1 + 1\n%matplotlib inline")),
    Case("many shell lines", first("!true\n" * 120)),
    Case("damaged page", first(
        "from IPython.display import HTML, display\ndisplay(HTML('<p><![x[y]]></p>'))")),
    Case("damaged messages", first(MESSAGES)),
    Case("half a character raised", answers(rate="raise ValueError(chr(0xD83D))"),
         {"rate": ("error", 0)}),
    Case("numpy's number", answers(rate="learning_rate = np.float64(5)"),
         {"rate": ("partial", 0.5)}),
    Case("several numbers", answers(rate="learning_rate = np.array([-5.0, 7.0])"),
         {"rate": ("failed", 0)}),
    Case("input", first("name = input('who?')")),
    Case("SystemExit", first("raise SystemExit")),
    Case("exit", first("exit()")),
    Case("SystemExit in function", answers(scale="def scale(x):\n    raise SystemExit"),
         {"scale": ("error", 0)}),
    Case("show", first("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")),
    Case("not ASCII", answers(scale='def scale(bilder):\n    "Größe"\n    '
                              "größe = 255\n    return np.asarray(bilder) / größe")),
    Case("syntax error", answers(scale="def scale(x:\n    return x"), {"scale": ("error", 0)}),
    Case("name error", answers(rate="learning_rate = undefined"), {"rate": ("error", 0)}),
    Case("code in a model", answers(head=(
        "import keras\ndef head(inputs, classes):\n    return keras.Sequential([keras.Input("
        "(inputs,)), keras.layers.Lambda(lambda x: x), keras.layers.Dense(classes)])")),
         {"head": ("failed", 0)}),
    Case("huge model", answers(head=(
        "import keras\ndef head(inputs, classes):\n    model = keras.Sequential([keras.Input("
        "(inputs,)), keras.layers.Dense(classes)])\n    make = model.layers[0].get_config\n"
        "    model.layers[0].get_config = lambda: {**make(), 'units': 10**11}\n"
        "    return model")), {"head": ("failed", 0)}),
    Case("nonsense returned", answers(scale="def scale(x):\n    return [object(), {1: scale}]"),
         FAILED),
    *(Case(f"forged {name}", first(code, scale=WRONG_SCALE), FAILED | _HURT.get(name, {}))
      for name, code in FORGERIES.items()),
]  # fmt: skip

ORDINARY = ("a neighbour", "m neighbour", "z neighbour")
"""Students with right answers, graded in between."""


def write_all(root: Path) -> dict[str, Case]:
    """Write every case and the neighbours below a folder; return cases by student."""
    students = {}
    for case in CASES:
        student = case.student or case.name
        light.hand_in(root, student, case.make(root))
        students[student] = case
    for name in ORDINARY:
        light.hand_in(root, name, light.answered())
        students[name] = Case(name, answers())
    return students | _odd_files(root)


def _odd_files(root: Path) -> dict[str, Case]:
    """Write the cases in which the file is no file."""
    neighbour = root / ORDINARY[0] / light.NAME / f"{light.NAME}.ipynb"
    found = {}
    for name in ("link to a file", "link to a folder", "folder, not file"):
        folder = root / name / light.NAME
        if name == "link to a folder":
            folder.parent.mkdir()
            folder.symlink_to(neighbour.parent, target_is_directory=True)
        elif name == "link to a file":
            folder.mkdir(parents=True)
            (folder / f"{light.NAME}.ipynb").symlink_to(neighbour)
        else:
            (folder / f"{light.NAME}.ipynb").mkdir(parents=True)
        found[name] = Case(name, answers(), NOTHING)
    return found
