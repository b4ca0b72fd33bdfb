"""Any image file in, RGB out; anything else is one sentence."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labkit.data.images import LARGEST, load_square, read_image, square
from labkit.errors import DataError

RED, BLUE = (200, 30, 20), (10, 40, 210)


def halves(left: object, right: object, mode: str = "RGB") -> Image.Image:
    """A picture of 40 x 20 pixels, its halves of one colour each."""
    image = Image.new(mode, (40, 20), left)  # type: ignore[arg-type]
    image.paste(right, (20, 0, 40, 20))  # type: ignore[arg-type]
    return image


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def ends(data: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the colours in the middle of the left and of the right half."""
    image = read_image(data)
    assert image.mode == "RGB"
    width, height = image.size
    pixels = np.asarray(image)
    assert pixels.dtype == np.uint8
    return tuple(pixels[height // 2, width // 4]), tuple(pixels[height // 2, width * 3 // 4])


def close(found: object, wanted: object, tolerance: int = 12) -> None:
    np.testing.assert_allclose(np.array(found, int), np.array(wanted, int), atol=tolerance)


def test_rgb_in_every_format() -> None:
    for form in ("PNG", "BMP", "PPM", "TIFF", "JPEG", "WEBP", "GIF"):
        close(ends(saved(halves(RED, BLUE), form)), (RED, BLUE))


def test_grey() -> None:
    close(ends(saved(halves(40, 220, "L"), "PNG")), ((40,) * 3, (220,) * 3), 0)
    close(ends(saved(halves(40, 220, "L"), "JPEG")), ((40,) * 3, (220,) * 3))


def test_one_bit() -> None:
    close(ends(saved(halves(0, 1, "1"), "PNG")), ((0,) * 3, (255,) * 3), 0)


def test_transparent_pixels_are_white() -> None:
    grey = halves((40, 255), (40, 0), "LA")
    close(ends(saved(grey, "PNG")), ((40,) * 3, (255,) * 3), 0)
    colour = halves((*RED, 255), (*BLUE, 0), "RGBA")
    close(ends(saved(colour, "PNG")), (RED, (255,) * 3), 0)
    half = halves((*RED, 255), (0, 0, 0, 128), "RGBA")
    close(ends(saved(half, "PNG")), (RED, (127,) * 3), 1)


def test_palette_with_and_without_transparency() -> None:
    image = halves(RED, BLUE).quantize(4)
    close(ends(saved(image, "PNG")), (RED, BLUE))
    right = image.getpixel((30, 10))
    close(ends(saved(image, "PNG", transparency=right)), (RED, (255,) * 3))


def test_cmyk_jpeg() -> None:
    close(ends(saved(halves(RED, BLUE).convert("CMYK"), "JPEG", quality=95)), (RED, BLUE), 20)


def test_sixteen_bit_png_is_scaled() -> None:
    values = np.zeros((20, 40), np.uint16)
    values[:, 20:] = 65535
    values[:, :20] = 257 * 100
    close(ends(saved(Image.fromarray(values), "PNG")), ((100,) * 3, (255,) * 3), 1)


def test_eight_bits_in_sixteen_stay_as_they_are() -> None:
    values = np.full((20, 40), 77, np.uint16)
    values[:, 20:] = 250
    close(ends(saved(Image.fromarray(values), "PNG")), ((77,) * 3, (250,) * 3), 0)


def test_float_tiff_is_stretched() -> None:
    values = np.full((20, 40), -1.5, np.float32)
    values[:, 20:] = 2.5
    close(ends(saved(Image.fromarray(values), "TIFF")), ((0,) * 3, (255,) * 3), 0)
    flat = np.full((20, 40), 3.0, np.float32)
    close(ends(saved(Image.fromarray(flat), "TIFF")), ((0,) * 3, (0,) * 3), 0)


def test_missing_values_in_a_float_tiff_are_dark() -> None:
    values = np.full((20, 40), 1.0, np.float32)
    values[:, 20:] = 2.0
    values[0, 0], values[0, 1] = np.nan, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        close(ends(saved(Image.fromarray(values), "TIFF")), ((0,) * 3, (255,) * 3), 0)
        values[:] = np.nan
        close(ends(saved(Image.fromarray(values), "TIFF")), ((0,) * 3, (0,) * 3), 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation: int) -> None:
    """A camera held in any of eight ways gives the same upright picture."""
    upright = Image.new("RGB", (48, 32), BLUE)
    upright.paste(RED, (0, 0, 16, 16))  # red in the corner that is up and left
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(back[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_image(saved(stored, "JPEG", exif=exif, quality=95))
    assert image.size == (48, 32)
    close(image.getpixel((6, 6)), RED, 25)
    for corner in ((42, 6), (6, 28), (42, 28)):
        close(image.getpixel(corner), BLUE, 25)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [halves(RED, BLUE), halves((0, 255, 0), (0, 255, 0))]
    for form in ("GIF", "WEBP", "PNG", "TIFF"):
        data = saved(frames[0], form, save_all=True, append_images=frames[1:])
        close(ends(data), (RED, BLUE), 30)


def test_the_centre_square_is_taken() -> None:
    image = Image.new("RGB", (100, 40), RED)
    image.paste(BLUE, (30, 0, 70, 40))
    pixels = square(image, 16)
    assert (pixels.shape, pixels.dtype) == ((16, 16, 3), np.uint8)
    close(pixels[8, 8], BLUE)
    close(pixels[1:-1, 1:-1].reshape(-1, 3).mean(axis=0), BLUE)
    assert square(Image.new("RGB", (1, 1), RED), 16).shape == (16, 16, 3)
    exact = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8))
    np.testing.assert_array_equal(square(exact, 16), np.asarray(exact))


def test_load_square_reads_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(halves(RED, BLUE), "PNG"))
    assert load_square(tmp_path / "a.png", 20).shape == (20, 20, 3)


# What is left out


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """A PNG whose header says so; there are hardly any pixels in it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


def reason(source: Path | bytes) -> str:
    with pytest.raises(DataError) as error:
        read_image(source)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_decompression_bombs_are_refused_unread() -> None:
    for side in (30_000, 7_500):  # Pillow itself refuses the first, only warns of the second
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert f"{LARGEST:,} pixels" in reason(png(side, side))
    assert "7,500 x 7,500" in reason(png(7_500, 7_500))


def test_no_image() -> None:
    assert reason(b"") == "the file is empty"
    assert "not an image" in reason(b"Dear Sir or Madam")
    assert "not an image" in reason(b"<svg xmlns='http://www.w3.org/2000/svg'/>")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_truncated_images(form: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), form)
    assert reason(data[: int(len(data) * share)])


def test_no_regular_file(tmp_path: Path) -> None:
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nothing.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("dangling.jpg", "folder.jpg", "absent.jpg"):
        assert "not a regular file" in reason(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
@pytest.mark.timeout(20)
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a regular file" in reason(tmp_path / "pipe.jpg")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as stream:
        stream.truncate(201_000_000)  # takes no room on the disk
    assert "larger than 200 MB" in reason(tmp_path / "huge.jpg")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(saved(halves(RED, BLUE), "PNG"))

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert "cannot be read (Permission denied)" in reason(tmp_path / "a.png")
