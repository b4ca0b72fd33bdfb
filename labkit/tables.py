"""Small tables that read well in a notebook, in a terminal and by a screen reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape


def html_table(
    rows: Iterable[Sequence[object]], *, header: Sequence[object] = (), caption: str = ""
) -> str:
    """Return an HTML table; the first cell of each row is the row's header."""
    body = "".join(
        f"<tr><th scope='row' style='text-align:left'>{escape(str(first))}</th>"
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    cells = "".join(f"<th scope='col'>{escape(str(cell))}</th>" for cell in header)
    head = f"<thead><tr>{cells}</tr></thead>" if header else ""
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}{head}<tbody>{body}</tbody></table>"


def text_table(
    rows: Iterable[Sequence[object]], *, header: Sequence[object] = (), caption: str = ""
) -> str:
    """Return the table as aligned text; numbers and all columns but the first to the right."""
    lines = [[str(cell) for cell in row] for row in (*([header] if header else []), *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([caption, *text] if caption else text)


@dataclass(frozen=True, repr=False)
class Table:
    """A table given by its columns; a notebook shows it when it is the last line of a cell.

    >>> Table({"labels": (10, 100), "accuracy": ("0.90", "0.95")})
    labels  accuracy
    10          0.90
    100         0.95
    """

    columns: Mapping[str, Sequence[object]]
    caption: str = ""

    def _rows(self) -> list[tuple[object, ...]]:
        return list(zip(*self.columns.values(), strict=True))

    def __repr__(self) -> str:
        """Return the table as text."""
        return text_table(self._rows(), header=list(self.columns), caption=self.caption)

    def _repr_html_(self) -> str:
        return html_table(self._rows(), header=list(self.columns), caption=self.caption)
