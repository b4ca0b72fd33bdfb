"""Certificates: a page that says what a student has reached, and that nobody can change.

Two Ed25519 signatures (RFC 8032). One covers the statement, a few lines of text that the QR
code holds, so that a printed page can be checked. The other covers every byte of the file and
stands in a comment at its end. Checking needs the public key and no network.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from labkit.course.certificate_page import COURSE, pdf, svg
from labkit.errors import CourseError, choices
from labkit.paths import atomic_write

LONGEST_NAME = 100
"""Characters of a name that can still be read on the page."""

_EMBEDDED = re.compile(rb"labkit-statement:([\w-]+)")
_SEALED = re.compile(rb"(.*)\n(?:%|<!--) labkit-signature:([\w-]+)(?: -->)?\n", re.DOTALL)
_SIGNED_TEXT = re.compile(r"(.*\nkey ([\w-]+)\n)signature ([\w-]+)", re.DOTALL)


@dataclass(frozen=True)
class Certificate:
    """What is certified.

    Attributes:
        name: of the student, as it is printed.
        lessons: name, points and highest points of each lesson.
        day: when it was signed.
    """

    name: str
    lessons: tuple[tuple[str, float, float], ...]
    day: date

    @property
    def total(self) -> str:
        """All points, as "118 of 135"."""
        return f"{sum(p for _, p, _ in self.lessons):g} of {sum(m for *_, m in self.lessons):g}"

    def lines(self) -> list[str]:
        """Return the statement that is signed, line by line."""
        reached = [f"{lesson}: {points:g} of {most:g}" for lesson, points, most in self.lessons]
        return [f"{COURSE}: certificate", self.name, f"{self.day}", *reached, f"all: {self.total}"]


@dataclass(frozen=True)
class Verified:
    """A certificate that was found unchanged: its lines, and whose key signed it.

    ``trusted``: the key was compared with one that the reader has, not only named by the file.
    """

    lines: tuple[str, ...]
    fingerprint: str
    trusted: bool

    def __str__(self) -> str:
        """Return what the certificate says, and what that is worth."""
        verdict = f"Unchanged since it was signed with the key {self.fingerprint}."
        if not self.trusted:
            verdict += (
                " Anybody can make a key: compare these digits with those that the course "
                "gives, or name its public key with --key."
            )
        return "\n".join([*self.lines, "", verdict])


def new_key(file: Path) -> Path:
    """Write a new private key to ``file`` and the public one beside it, as ``.pub``; return that.

    Raises CourseError when one of them is there already: a lost key cannot be made again.
    """
    public = file.with_suffix(".pub")
    for path in (file, public):
        if path.exists():
            raise CourseError(f"{path} is there already: name another file with --key.")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:
        stream.write(private)
    with atomic_write(public) as stream:
        stream.write(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
    return public


def read_grades(grades: Path, student: str, *, name: str = "") -> Certificate:
    """Return what a student has reached, from ``summary.csv`` or ``gradebook.db``.

    Args:
        grades: what ``labkit grade`` wrote.
        student: as the grades call the student, often a number.
        name: as it is to be printed; "": as in the grades.

    Raises CourseError when the file cannot be read or has no such student.
    """
    if not grades.is_file():
        raise CourseError(f"There is no file {grades}: 'labkit grade' writes summary.csv.")
    rows = _from_csv(grades) if grades.suffix == ".csv" else _from_gradebook(grades)
    lessons = sorted((a, p, m) for s, a, p, m in rows if s == student)
    if not lessons:
        known = sorted({row[0] for row in rows})
        raise CourseError(f"{grades} has no student {student!r}. It has {choices(known[:20])}.")
    if len({lesson for lesson, *_ in lessons}) < len(lessons):
        raise CourseError(f"{grades} has two rows for one assignment of {student!r}.")
    return Certificate(name or student, tuple(lessons), date.today())


def _from_csv(file: Path) -> list[tuple[str, str, float, float]]:
    rows = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            for number, row in enumerate(csv.DictReader(stream), start=2):
                points, most = float(row["points"]), float(row["max_points"])
                if not 0 <= points <= most < float("inf"):
                    raise ValueError(f"{points:g} of {most:g} points in line {number}")
                rows.append((row["student"], row["assignment"], points, most))
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise CourseError(
            f"{file} is not a summary that 'labkit grade' wrote, or is damaged: {error}."
        ) from error
    return rows


def _from_gradebook(file: Path) -> list[tuple[str, str, float, float]]:
    from sqlalchemy.exc import SQLAlchemyError

    from labkit.course.grading.gradebook import open_gradebook

    try:  # read only: a file that is no gradebook must not become one
        with open_gradebook(f"sqlite:///file:{file.resolve().as_posix()}?mode=ro&uri=true") as book:
            return [
                (row.student.id, assignment.name, float(row.score), float(row.max_score))
                for assignment in book.assignments
                for row in assignment.submissions
            ]
    except (SQLAlchemyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CourseError(
            f"{file} is not an nbgrader gradebook, or is damaged: {reason}"
        ) from error


def issue(certificate: Certificate, key_file: Path, target: Path) -> None:
    """Sign a certificate and write its page, ``.svg`` or ``.pdf``.

    Raises CourseError when the key cannot be read, or the page cannot be drawn as asked.
    """
    suffix = target.suffix.lower()
    if suffix not in (".svg", ".pdf"):
        raise CourseError(f"A certificate is an .svg or a .pdf file. Received: {target.name!r}.")
    _check(certificate)
    key = _private_key(key_file)
    public = key.public_key().public_bytes_raw()
    text = "\n".join([*certificate.lines(), f"key {_encode(public)}", ""])
    text += f"signature {_encode(key.sign(text.encode()))}"
    draw, mark = (svg, "<!-- {} -->") if suffix == ".svg" else (pdf, "% {}")
    embedded = f"labkit-statement:{_encode(text.encode())}"
    page = draw(certificate, text, embedded, _fingerprint(public))
    seal = mark.format(f"labkit-signature:{_encode(key.sign(page))}")
    with atomic_write(target) as stream:
        stream.write(page + f"\n{seal}\n".encode())


def verify(file: Path, key_file: Path | None = None) -> Verified:
    """Check a certificate: a page, or a text file with what its QR code says.

    Args:
        file: an .svg or .pdf that ``issue`` wrote, or the text.
        key_file: the course's public key; None: the key that the certificate names itself,
            which anybody can have made. Then the fingerprint has to be compared.

    Raises:
        CourseError: there is no certificate in it, it was changed, or another key signed it.
    """
    if not file.is_file():
        raise CourseError(f"There is no file {file}.")
    data = file.read_bytes()
    embedded = _EMBEDDED.search(data)
    text = (_decode(embedded[1]) if embedded else data).decode("utf-8", "replace")
    parts = _SIGNED_TEXT.fullmatch(text.strip().replace("\r\n", "\n"))
    if parts is None:
        raise CourseError(f"{file} holds no certificate, or what was signed is damaged.")
    statement, public, signature = parts.groups()
    _compare_keys(file, _decode(public), key_file)
    _check_signature(_decode(public), statement.encode(), _decode(signature), file, "")
    lines = statement.splitlines()[:-1]
    if embedded:
        sealed = _SEALED.fullmatch(data)
        page, mark = (sealed[1], _decode(sealed[2])) if sealed else (data, b"")
        said = f" What was signed is: {'; '.join(lines[1:3] + lines[-1:])}."
        _check_signature(_decode(public), page, mark, file, said)
    return Verified(tuple(lines), _fingerprint(_decode(public)), trusted=key_file is not None)


def _check_signature(public: bytes, data: bytes, signature: bytes, file: Path, said: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        raise CourseError(
            f"{file} was changed after it was signed: the signature does not fit.{said}"
        ) from None


def _compare_keys(file: Path, public: bytes, key_file: Path | None) -> None:
    if key_file is None:
        return
    expected = _public_key(key_file)
    if public != expected:
        raise CourseError(
            f"{file} was signed with the key {_fingerprint(public)}, not with the key "
            f"{_fingerprint(expected)} of {key_file}: it is another course's, or forged."
        )


def _private_key(file: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise CourseError(
            f"{file} is no private key that can be read: make one with "
            f"'labkit certificate --new-key --key {file}'."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise CourseError(f"{file} is a private key of another kind, not Ed25519.")
    return key


def _public_key(file: Path) -> bytes:
    try:
        data = file.read_bytes()
        if b"PRIVATE" in data:
            return _private_key(file).public_key().public_bytes_raw()
        key = serialization.load_pem_public_key(data)
    except (OSError, ValueError) as error:
        raise CourseError(f"{file} is no public key that can be read.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise CourseError(f"{file} is a public key of another kind, not Ed25519.")
    return key.public_bytes_raw()


def _fingerprint(public: bytes) -> str:
    """Return what people compare: the start of the key's SHA-256, in groups of four digits."""
    digits = hashlib.sha256(public).hexdigest()[:16]
    return " ".join(digits[i : i + 4] for i in range(0, 16, 4))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str | bytes) -> bytes:
    """Undo ``_encode``; b"" for what it never wrote, which no signature fits."""
    raw = text.encode() if isinstance(text, str) else text
    try:
        return base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except ValueError:
        return b""


def _check(certificate: Certificate) -> None:
    for text in (certificate.name, *(lesson for lesson, *_ in certificate.lessons)):
        plain = text.replace("\u200c", "").replace("\u200d", "")  # joiners, in names in Hindi
        if not plain.strip() or not plain.isprintable() or len(text) > LONGEST_NAME:
            raise CourseError(
                f"{text[:40]!r} cannot be printed on a certificate: a name has 1 to "
                f"{LONGEST_NAME} characters, and no line breaks or other control characters."
            )
