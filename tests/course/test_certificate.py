"""Certificates: what they say, how they look, and that a change of any kind is noticed."""

import re
import xml.etree.ElementTree as ET
from datetime import date

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from labkit.course import certificate_page
from labkit.course.certificate import Certificate, issue, new_key, read_grades, verify
from labkit.errors import CourseError

SUMMARY = """student,assignment,points,max_points,status,reason,seconds
ana,02_cats_vs_dogs_frozen,18.5,20,passed,,31
ana,00_what_is_transfer,5,5,passed,,12
bo,00_what_is_transfer,3,5,partial,"one, two",12
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A course's private and public key."""
    private = tmp_path_factory.mktemp("keys") / "course.key"
    return private, new_key(private)


@pytest.fixture
def summary(tmp_path):
    file = tmp_path / "summary.csv"
    file.write_text(SUMMARY, encoding="utf-8")
    return file


def certificate(name="Ana Müller"):
    lessons = (("00_what_is_transfer", 5.0, 5.0), ("04_cancer_cells", 17.5, 25.0))
    return Certificate(name, lessons, date(2026, 3, 1))


@pytest.fixture(params=["svg", "pdf"])
def page(request, keys, tmp_path):
    file = tmp_path / f"page.{request.param}"
    issue(certificate(), keys[0], file)
    return file


# What it says


def test_a_row_of_the_summary_becomes_a_certificate(summary):
    found = read_grades(summary, "ana")
    assert found.lessons == (("00_what_is_transfer", 5, 5), ("02_cats_vs_dogs_frozen", 18.5, 20))
    assert found.total == "23.5 of 25"
    assert found.name == "ana"
    assert read_grades(summary, "ana", name="Ana Müller").name == "Ana Müller"


def test_a_gradebook_gives_the_same(tmp_path):
    from labkit.course.grading.gradebook import open_gradebook

    file = tmp_path / "gradebook.db"
    with open_gradebook(f"sqlite:///{file}") as book:
        book.add_assignment("01_inside_a_backbone")
        book.add_notebook("n", "01_inside_a_backbone")
        book.add_grade_cell("c", "n", "01_inside_a_backbone", max_score=4, cell_type="code")
        book.add_student("ana")
        book.add_submission("01_inside_a_backbone", "ana")
        book.find_grade("c", "n", "01_inside_a_backbone", "ana").auto_score = 3
        book.db.commit()
    before = file.read_bytes()
    assert read_grades(file, "ana").lessons == (("01_inside_a_backbone", 3, 4),)
    assert file.read_bytes() == before


def test_verify_tells_what_was_signed(page, keys):
    found = verify(page, keys[1])
    assert found.lines == (
        "Transfer-learning lab: certificate",
        "Ana Müller",
        "2026-03-01",
        "00_what_is_transfer: 5 of 5",
        "04_cancer_cells: 17.5 of 25",
        "all: 22.5 of 30",
    )
    assert "Anybody can make a key" not in str(found)


def test_without_the_public_key_the_fingerprint_is_to_be_compared(page, keys):
    found = verify(page)
    assert found.fingerprint == verify(page, keys[1]).fingerprint
    assert re.fullmatch(r"([0-9a-f]{4} ?){4}", found.fingerprint)
    assert "compare these digits" in str(found)


def test_the_text_of_the_qr_code_can_be_checked_alone(keys, tmp_path, monkeypatch):
    texts = []
    drawn = certificate_page._qr_runs
    monkeypatch.setattr(certificate_page, "_qr_runs", lambda t: texts.append(t) or drawn(t))
    issue(certificate(), keys[0], tmp_path / "page.svg")
    scanned = tmp_path / "scanned.txt"
    scanned.write_bytes(texts[0].replace("\n", "\r\n").encode())
    assert "Ana Müller" in verify(scanned, keys[1]).lines
    scanned.write_text(texts[0].replace("17.5", "24.5"), encoding="utf-8")
    with pytest.raises(CourseError, match="was changed after it was signed"):
        verify(scanned, keys[1])


# How it looks


def test_the_svg_has_words_for_who_cannot_see_it(keys, tmp_path):
    file = tmp_path / "page.svg"
    issue(certificate("<Ana> & Bo"), keys[0], file)
    root = ET.parse(file).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.find(f"{space}title").text == "Transfer-learning lab: certificate of <Ana> & Bo"
    assert "04_cancer_cells: 17.5 of 25" in root.find(f"{space}desc").text
    texts = [element.text for element in root.iter(f"{space}text")]
    assert {"<Ana> & Bo", "04 cancer cells", "17.5 of 25", "01 March 2026"} <= set(texts)


@pytest.mark.parametrize("suffix", ["svg", "pdf"])
@pytest.mark.parametrize("name", ["Ñandú Ørsted-Łukasiewicz", "Ελένη Δ.", "W" * 100, "I"])
def test_long_and_foreign_names_stay_on_the_page(name, suffix, keys, tmp_path):
    file = tmp_path / f"page.{suffix}"
    issue(certificate(name), keys[0], file)
    assert name in verify(file, keys[1]).lines
    lines = list(certificate_page._layout(certificate(name), "key"))
    assert all(t.x + t.size * certificate_page._width(t.text) <= 287 for t in lines)


def test_many_lessons_stay_above_the_date(keys):
    lessons = tuple((f"{i:02d}_lesson", 1.0, 2.0) for i in range(30))
    places = [t.y for t in certificate_page._layout(Certificate("A", lessons, date.today()), "key")]
    assert max(places) <= 192


def test_a_font_that_lacks_a_character_is_said(keys, tmp_path):
    with pytest.raises(CourseError, match=r"lacks a character of '王小明'.*write an \.svg"):
        issue(certificate("王小明"), keys[0], tmp_path / "page.pdf")
    assert not (tmp_path / "page.pdf").exists()
    issue(certificate("王小明"), keys[0], tmp_path / "page.svg")
    assert "王小明" in verify(tmp_path / "page.svg", keys[1]).lines


# A change is noticed


@pytest.mark.parametrize(
    ("old", "new"), [("Ana Müller", "Ana Möller"), ("17.5 of 25", "25 of 25"), ("March", "April")]
)
def test_a_changed_name_score_or_date_fails(old, new, keys, tmp_path):
    file = tmp_path / "page.svg"
    issue(certificate(), keys[0], file)
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(CourseError, match=r"was changed.*signed is: Ana Müller; .*22\.5 of 30"):
        verify(file, keys[1])


def test_a_change_of_any_byte_fails(page, keys):
    data = page.read_bytes()
    end = data.rindex(b"labkit-signature:") + 40
    for place in range(0, end, max(end // 60, 1)):
        page.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(CourseError):
            verify(page, keys[1])


@pytest.mark.parametrize("cut", [0, 200, -1, -60])
def test_a_file_that_was_cut_fails(cut, page, keys):
    page.write_bytes(page.read_bytes()[:cut])
    with pytest.raises(CourseError, match=r"holds no certificate|was changed"):
        verify(page, keys[1])


def test_another_key_is_noticed(page, tmp_path):
    other = new_key(tmp_path / "other.key")
    with pytest.raises(
        CourseError, match=r"was signed with the key .* another course's, or forged"
    ):
        verify(page, other)


def test_the_seal_of_one_page_does_not_fit_another(keys, tmp_path):
    files = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for file, name in zip(files, ("Ana", "Bo"), strict=True):
        issue(certificate(name), keys[0], file)
    pages = [file.read_bytes().rpartition(b"\n<!--") for file in files]
    files[0].write_bytes(b"".join([pages[0][0], *pages[1][1:]]))
    with pytest.raises(CourseError, match="was changed"):
        verify(files[0], keys[1])


# Bad input


def test_a_key_is_secret_and_never_overwritten(tmp_path):
    private = tmp_path / "keys" / "course.key"
    public = new_key(private)
    assert private.stat().st_mode & 0o077 == 0
    assert b"PRIVATE" not in public.read_bytes()
    with pytest.raises(CourseError, match="is there already"):
        new_key(private)


def test_no_such_student_names_those_there_are(summary):
    with pytest.raises(CourseError, match=r"no student 'Ana'.*'ana', 'bo'"):
        read_grades(summary, "Ana")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        SUMMARY.replace("18.5", "many"),
        SUMMARY.replace("18.5", "21"),
        SUMMARY.replace("18.5", "nan"),
        SUMMARY + "bo,00_what_is_transfer\n",
        SUMMARY + "ana,00_what_is_transfer,5,5,passed,,12\n",
        "\x00\x01",
    ],
)
def test_a_damaged_summary_is_one_line(text, summary):
    summary.write_text(text)
    with pytest.raises(CourseError, match=r"damaged|has no student|has two rows") as caught:
        read_grades(summary, "ana")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00 and no more"])
def test_a_damaged_gradebook_is_one_line_and_left_alone(content, tmp_path):
    file = tmp_path / "gradebook.db"
    file.write_bytes(content)
    with pytest.raises(CourseError, match="not an nbgrader gradebook, or is damaged") as caught:
        read_grades(file, "ana")
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == content


def test_files_that_are_missing(tmp_path, keys):
    with pytest.raises(CourseError, match="There is no file"):
        read_grades(tmp_path / "summary.csv", "ana")
    with pytest.raises(CourseError, match="There is no file"):
        verify(tmp_path / "page.svg")
    with pytest.raises(CourseError, match=r"no private key .* --new-key"):
        issue(certificate(), tmp_path / "course.key", tmp_path / "page.svg")
    with pytest.raises(CourseError, match="no private key"):
        issue(certificate(), keys[1], tmp_path / "page.svg")
    issue(certificate(), keys[0], tmp_path / "page.svg")
    with pytest.raises(CourseError, match="no public key"):
        verify(tmp_path / "page.svg", tmp_path / "course.pub")


def test_a_key_of_another_kind(tmp_path):
    other = tmp_path / "other.key"
    other.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    with pytest.raises(CourseError, match="another kind, not Ed25519"):
        issue(certificate(), other, tmp_path / "page.svg")


@pytest.mark.parametrize("name", ["", " ", "A\nall: 30 of 30", "a\u202eb", "x" * 101, "\ud800"])
def test_a_name_that_cannot_be_printed(name, keys, tmp_path):
    with pytest.raises(CourseError, match="cannot be printed"):
        issue(certificate(name), keys[0], tmp_path / "page.svg")


def test_another_kind_of_page(keys, tmp_path):
    with pytest.raises(CourseError, match=r"an \.svg or a \.pdf file"):
        issue(certificate(), keys[0], tmp_path / "page.png")
