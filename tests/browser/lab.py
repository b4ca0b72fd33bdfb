"""A real JupyterLab and a page of it, for the tests of the widgets and their benchmark.

Everything that Jupyter, IPython and matplotlib would write goes into one temporary folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
SECONDS = 1000.0  # milliseconds, as playwright counts


def find_browser() -> str | None:
    """Return the path of the system's Chromium, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextlib.contextmanager
def jupyter(folder: Path, notebooks: dict[str, Sequence[str]]) -> Iterator[str]:
    """Serve notebooks, given by their cells, by a JupyterLab of its own; yields its address."""
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    for name, cells in notebooks.items():
        notebook = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        )
        nbformat.write(notebook, work / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--allow-root", *_options(folder, work, port)],
            env=_environment(folder), stdout=log, stderr=log,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, server, folder / "server.log")
            yield address
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(20)
            server.kill()


def _options(folder: Path, work: Path, port: int) -> list[str]:
    settings = folder / "settings" / "@jupyterlab"
    for name, values in {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},
    }.items():
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    return [
        "--no-browser", f"--port={port}", "--ip=127.0.0.1", f"--ServerApp.root_dir={work}",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--expose-app-in-browser",
        "--LabApp.extension_manager=readonly", f"--LabApp.user_settings_dir={folder / 'settings'}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
    ]  # fmt: skip


def _environment(folder: Path) -> dict[str, str]:
    places = {
        name: str(folder / name.lower())
        for name in (
            "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
            "MPLCONFIGDIR",
        )
    }  # fmt: skip
    root = Path(__file__).parents[2]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    return {
        **os.environ, **places, "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONPATH": path,
        "TQDM_DISABLE": "1",
    }  # fmt: skip


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/api/status"):
            return
        if server.poll() is not None:
            break
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text(errors='replace')[-2000:]}")


class Lab:
    """A browser page with one notebook open.

    It has a workspace of its own, since the server keeps workspaces: in a shared one a reload
    would open what another page has open, too.
    """

    def __init__(self, page: Any, address: str, notebook: str) -> None:
        self.page, self.address, self.notebook = page, address, notebook
        page.set_default_timeout(60 * SECONDS)

    def open(self, *, reset: bool = True) -> Lab:
        """Open the notebook and wait until its kernel is ready."""
        workspace = f"{self.address}/lab/workspaces/{Path(self.notebook).stem}"
        self.page.goto(f"{workspace}/tree/{self.notebook}{'?reset' if reset else ''}")
        # A second tab is sent on to a workspace of its own; waiting for a function survives that.
        self.page.wait_for_function(
            """() => {
                window.jupyterapp?.restored.then(() => { window.labIsRestored = true; });
                return window.labIsRestored === true;
            }"""
        )
        self.page.wait_for_function(
            """name => {
                const panel = window.jupyterapp.shell.currentWidget;
                const kernel = panel?.sessionContext?.session?.kernel;
                return panel?.context?.path === name && kernel?.connectionStatus === 'connected'
                    && kernel?.status === 'idle';
            }""",
            arg=self.notebook, timeout=120 * SECONDS,
        )  # fmt: skip
        return self

    def run_all(self) -> None:
        """Run all cells; fails when one of them raises."""
        done = self.page.evaluate(
            "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"
        )
        assert done is not False, f"a cell failed: {self.errors()}"

    def errors(self) -> list[str]:
        """Return the tracebacks that the page shows."""
        shown = self.page.locator("[data-mime-type='application/vnd.jupyter.stderr'], "
                                  "[data-mime-type='application/vnd.jupyter.error']")  # fmt: skip
        return [text[-500:] for text in shown.all_inner_texts()]

    def kernel(self, code: str) -> str:
        """Run code in the kernel, not in a cell; return what it prints."""
        printed: str = self.page.evaluate(
            """async code => {
                const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                const future = kernel.requestExecute({code, store_history: false});
                let text = "";
                future.onIOPub = ({content}) => {
                    text += content.text ?? content.traceback?.join("\\n") ?? "";
                };
                await future.done;
                return text;
            }""",
            code,
        )
        return printed.strip()

    def widget(self, title: str) -> Any:
        """Return the place of a widget in the page, by its title."""
        return self.page.locator(".labkit-live").filter(
            has=self.page.get_by_role("form", name=title, exact=True, include_hidden=True)
        )
