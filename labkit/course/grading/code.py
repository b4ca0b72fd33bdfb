"""Reads notebook code without running it: which names a cell defines, which it uses."""

from __future__ import annotations

import ast
import functools
import symtable
import warnings
from collections.abc import Iterator

_TRANSPARENT = ("%%capture", "%%time", "%%timeit", "%%prun")
"""Cell magics under which the code is Python that runs in the notebook."""

LONGEST_CELL = 300_000
"""Characters; a longer cell is not looked into, though it is run."""

MOST_MAGICS = 100
"""Lines with magics or shell commands; IPython takes ever longer over more of them."""


@functools.lru_cache(4096)
def as_python(source: str) -> str | None:
    """Return a cell as plain Python, magics and shell lines turned to calls; None if it is none."""
    if len(source) > LONGEST_CELL:
        return None
    lines = source.replace("\r\n", "\n").split("\n")
    while lines and (lines[0].startswith("%%") or not lines[0].strip()):
        if lines[0].startswith("%%") and lines[0].split()[0] not in _TRANSPARENT:
            return None
        lines.pop(0)
    text = "\n".join(lines)
    return next((code for code in (text, _without_magics(text)) if _parses(code)), None)


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):  # a student's, not ours
            symtable.symtable(text, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _without_magics(text: str) -> str:
    from IPython.core.inputtransformer2 import TransformerManager

    if sum(line.lstrip().startswith(("!", "%")) for line in text.split("\n")) > MOST_MAGICS:
        return text
    try:
        return TransformerManager().transform_cell(text)
    except Exception:  # IPython raises many types on what it cannot read
        return text


@functools.lru_cache(4096)
def defined(source: str) -> frozenset[str]:
    """Return the names that a cell defines at its top level, imports left out."""
    text = as_python(source)
    if text is None:
        return frozenset()
    symbols = symtable.symtable(text, "<cell>", "exec").get_symbols()
    return frozenset(s.get_name() for s in symbols if s.is_assigned() and not s.is_imported())


@functools.lru_cache(4096)
def used(source: str) -> frozenset[str]:
    """Return the names that a cell reads from the notebook, in its functions as well."""
    text = as_python(source)
    if text is None:
        return frozenset()
    return frozenset(_read(symtable.symtable(text, "<cell>", "exec")))


def _read(table: symtable.SymbolTable) -> Iterator[str]:
    module = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (module or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _read(child)


def same_code(one: str, other: str) -> bool:
    """Tell whether two cells mean the same: line ends, blanks and comments do not count."""
    if _bare(one) == _bare(other):
        return True
    texts = as_python(one), as_python(other)
    return None not in texts and _dump(texts[0] or "") == _dump(texts[1] or "")


@functools.lru_cache(4096)
def _dump(text: str) -> str:
    with warnings.catch_warnings(action="ignore"):
        try:
            return ast.dump(ast.parse(text))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return text


def _bare(source: str) -> list[str]:
    return [line.rstrip() for line in source.splitlines() if line.strip()]
