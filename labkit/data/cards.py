"""What each dataset is: its card, read from ``datasets/<name>.yaml`` and checked by a schema.

A card says where the images come from, what the classes mean, what the splits are
grouped by, which files to fetch, and what not to conclude. Loading one is quick.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from labkit.errors import DataError, choices

Counts = Mapping[str, int | Mapping[str, int]]
"""Images by split ("train", "validation", "test", or "all" where the set is not split):
a number, or a number a class."""


@dataclass(frozen=True)
class ClassMeaning:
    """A class's name, which is also its folder's, and what it means."""

    name: str
    meaning: str


@dataclass(frozen=True)
class RealSet:
    """One real copy of a dataset: what it looks like, counts, what the splits are grouped by."""

    title: str
    images: str
    counts: Counts
    grouped_by: str


@dataclass(frozen=True)
class SimulatedSet:
    """The simulated form; ``classes`` is empty where they are the card's own."""

    description: str
    grouped_by: str
    classes: tuple[ClassMeaning, ...] = ()


@dataclass(frozen=True)
class SourceFile:
    """A file to download: its address, the SHA-256 of its bytes, and how many there are."""

    url: str
    sha256: str
    bytes: int

    @property
    def filename(self) -> str:
        """The last part of the address; the file's name on a mirror and in the cache."""
        return PurePosixPath(urlsplit(self.url).path).name


@dataclass(frozen=True)
class FetchPlan:
    """What to download and how the archive becomes folders (``rule``, see fetching.py)."""

    rule: str
    unpacked_bytes: int
    files: tuple[SourceFile, ...]


@dataclass(frozen=True)
class Similarity:
    """How much the set looks like ImageNet to a pretrained network, as measured."""

    measure: str
    value: float
    interval: tuple[float, float] | None = None
    form: str = "real"


@dataclass(frozen=True)
class DatasetCard:
    """What is known about a dataset; prints as text and, in a notebook, as a table."""

    name: str
    title: str
    similar_to_imagenet: bool
    similarity_note: str
    origin: str
    licence: str
    citation: str
    classes: tuple[ClassMeaning, ...]
    real: tuple[RealSet, ...]
    weaknesses: tuple[str, ...]
    do_not_conclude: tuple[str, ...]
    similarity: Similarity | None = None
    simulated: SimulatedSet | None = None
    fetch: FetchPlan | None = None

    def __str__(self) -> str:
        """Return the card as text of at most 88 columns."""
        lines = [f"{self.title} ({self.name})"]
        for heading, entries in _sections(self):
            lines.append(f"\n{heading}")
            for entry in entries:
                lines += textwrap.wrap(entry, 88, initial_indent="  - ", subsequent_indent="    ")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left;vertical-align:top">{escape(heading)}</th>'
            f'<td style="text-align:left">{"<br>".join(map(escape, entries))}</td></tr>'
            for heading, entries in _sections(self)
        )
        caption = f"{escape(self.title)} (<code>{escape(self.name)}</code>)"
        return f"<table><caption>{caption}</caption><tbody>{rows}</tbody></table>"


def cards_folder() -> Path:
    """Return the checkout's ``datasets`` folder.

    Raises DataError when labkit does not run from its checkout, so that the cards are missing.
    """
    folder = Path(__file__).resolve().parents[2] / "datasets"
    if not (folder / "card.schema.json").is_file():
        raise DataError(
            f"The dataset cards are not at {folder}. labkit runs from its checkout: "
            "install it there with `pip install -e .`."
        )
    return folder


def list_cards() -> list[str]:
    """Return the names of all datasets that have a card, sorted."""
    return sorted(path.stem for path in cards_folder().glob("*.yaml"))


def card_path(name: str) -> Path:
    """Return the card's file. Raises DataError, with the names there are, for an unknown one."""
    names = list_cards()
    if name not in names:
        raise DataError(f"There is no dataset card {name!r}. The cards are: {choices(names)}.")
    return cards_folder() / f"{name}.yaml"


def load_card(name: str) -> DatasetCard:
    """Read and check the card of a dataset.

    Raises DataError for an unknown name, and for a card that breaks ``card.schema.json``
    (the message names the field).
    """
    return read_card(card_path(name))


def read_card(path: Path) -> DatasetCard:
    """Read and check a card's file; see load_card."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"The dataset card {path} cannot be read: {reason}") from None
    problem = min(
        _validator().iter_errors(content), key=lambda e: list(map(str, e.path)), default=None
    )
    if problem is not None:
        where = ".".join(map(str, problem.path)) or "the card"
        reason = " ".join(problem.message.split())[:200]
        raise DataError(f"The dataset card {path} breaks card.schema.json at {where}: {reason}.")
    if content["name"] != path.stem:
        raise DataError(
            f"The dataset card {path} is named {content['name']!r}; its file name says "
            f"{path.stem!r}. Make them the same."
        )
    return _card(content)


@cache
def _validator() -> Any:
    # Importing jsonschema costs more than reading a card does: only when one is read.
    from jsonschema import Draft202012Validator

    schema = json.loads((cards_folder() / "card.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _card(content: dict[str, Any]) -> DatasetCard:
    fields = dict(content)
    fields["classes"] = _classes(content["classes"])
    fields["real"] = tuple(RealSet(**real) for real in content["real"])
    for name in ("weaknesses", "do_not_conclude"):
        fields[name] = tuple(content[name])
    if measured := content.get("similarity"):
        interval = measured.get("interval")
        fields["similarity"] = Similarity(
            **{**measured, "interval": tuple(interval) if interval else None}
        )
    if simulated := content.get("simulated"):
        classes = _classes(simulated.get("classes", []))
        fields["simulated"] = SimulatedSet(**{**simulated, "classes": classes})
    if plan := content.get("fetch"):
        files = tuple(SourceFile(**file) for file in plan["files"])
        fields["fetch"] = FetchPlan(**{**plan, "files": files})
    return DatasetCard(**fields)


def _classes(entries: list[dict[str, str]]) -> tuple[ClassMeaning, ...]:
    return tuple(ClassMeaning(**entry) for entry in entries)


def _sections(card: DatasetCard) -> list[tuple[str, list[str]]]:
    sections = [
        ("Origin", [card.origin]),
        ("Licence", [card.licence]),
        ("Citation", [card.citation]),
        ("Classes", [f"{kind.name}: {kind.meaning}" for kind in card.classes]),
        ("Like ImageNet", _similarity(card)),
    ]
    for real in card.real:
        shown = [real.images, *_counts(real.counts), f"grouped by: {real.grouped_by}"]
        sections.append((f"Real images: {real.title}", shown))
    if card.simulated:
        made = card.simulated
        classes = [f"{kind.name}: {kind.meaning}" for kind in made.classes]
        shown = [made.description, *classes, f"grouped by: {made.grouped_by}"]
        sections.append(("Simulated images", shown))
    if card.fetch:
        shown = [f"{f.url} ({f.bytes / 1e6:,.1f} MB, SHA-256 {f.sha256})" for f in card.fetch.files]
        sections.append(("Files to fetch", shown))
    sections.append(("Biases and weaknesses", list(card.weaknesses)))
    sections.append(("Do not conclude", list(card.do_not_conclude)))
    return sections


def _similarity(card: DatasetCard) -> list[str]:
    lines = [f"{'yes' if card.similar_to_imagenet else 'no'}: {card.similarity_note}"]
    if measured := card.similarity:
        low_high = "" if not measured.interval else " ({:g} to {:g})".format(*measured.interval)
        lines.append(f"{measured.measure}, {measured.form} images: {measured.value:g}{low_high}")
    return lines


def _counts(counts: Counts) -> list[str]:
    lines = []
    for split, count in counts.items():
        if isinstance(count, int):
            lines.append(f"{split}: {count:,} images")
        else:
            classes = ", ".join(f"{number:,} {name}" for name, number in count.items())
            lines.append(f"{split}: {sum(count.values()):,} images ({classes})")
    return lines
