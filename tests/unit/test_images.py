from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.images import image_part, is_url, translated, with_images

HEADS = {
    "png": b"\x89PNG\r\n\x1a\n1234",
    "jpeg": b"\xff\xd8\xff\xe01234",
    "gif": b"GIF89a123456",
    "webp": b"RIFF1234WEBP",
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_file_becomes_a_data_url_by_what_is_in_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.bmp"
    path.write_bytes(HEADS[kind])
    url = f"data:image/{kind};base64,{base64.b64encode(HEADS[kind]).decode()}"
    assert image_part(str(path)) == {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize("url", ["https://x.org/a.png?b=1", "HTTP://x/a", "data:image/png;base64,iVBOR=="])
def test_a_url_goes_as_it_is(url: str) -> None:
    assert image_part(url) == {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    "text", ["a.png", "ftp://x/a", "https://", "data:text/html;base64,aa", "file:///etc/x.png", "https://x/a b"]
)
def test_what_is_no_url_of_a_picture(text: str) -> None:
    assert not is_url(text)


@pytest.mark.parametrize("data", [b"BM6", b"%PDF-1.7", b"<svg/>", b"RIFF1234AVI ", b""])
def test_other_kinds_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"picture\.png is no picture that providers take. Save it as PNG, JPEG"):
        image_part(str(path))


def test_a_file_that_went_away_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.png: this picture cannot be read: No such file"):
        image_part(str(tmp_path / "gone.png"))


def test_pictures_come_before_the_text() -> None:
    url = "https://x.org/a.png"
    assert with_images("What?", [url]) == [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "What?"},
    ]
    assert with_images("What?", []) == "What?"


def test_only_our_own_parts_of_a_message_are_translated() -> None:
    parts = [
        {"type": "image", "url": "https://x.org/a.png"},
        {"type": "image", "source": {"type": "url", "url": "https://x.org/b.png"}},
        {"type": "image_url", "image_url": {"url": "https://x.org/c.png"}},
        {"type": "text", "text": "What?"},
    ]
    made = translated({"role": "user", "content": parts})["content"]
    assert made == [{"type": "image_url", "image_url": {"url": "https://x.org/a.png"}}, *parts[1:]]
    assert translated({"role": "user", "content": "Hi"}) == {"role": "user", "content": "Hi"}
