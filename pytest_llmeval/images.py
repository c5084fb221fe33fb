"""Pictures in prompts: files are checked when the dataset is read, and go into the request as data URLs."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_llmeval.errors import ConfigError

URL = re.compile(r"https?://\S+|data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+", re.IGNORECASE)
#: What both OpenAI and Anthropic take, by its first bytes.
#: https://platform.openai.com/docs/guides/images-vision, https://platform.claude.com/docs/en/build-with-claude/vision
MEDIA_TYPES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
)
SUPPORTED = "PNG, JPEG, GIF or WebP"


def is_url(text: str) -> bool:
    """Whether a picture is named by URL, which goes to the provider as it is.

    >>> is_url("https://example.org/x.png"), is_url("x.png")
    (True, False)
    """
    return URL.fullmatch(text) is not None


def media_type(head: bytes, name: str) -> str:
    """Return the media type of a picture; its first bytes say it, since a suffix may lie.

    Raises:
        ConfigError: It is of a kind that providers do not take.

    >>> media_type(b"GIF89a", "x.png")
    'image/gif'
    """
    for pattern, found in MEDIA_TYPES:
        if pattern.match(head):
            return found
    raise ConfigError(f"{name} is no picture that providers take. Save it as {SUPPORTED}.")


def read_image(path: Path, length: int = -1) -> bytes:
    """Return the bytes of a picture, or its first ones.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(length)
    except OSError as exc:
        raise ConfigError(f"{path}: this picture cannot be read: {exc.strerror}.") from None


def image_part(image: str) -> dict[str, Any]:
    """Return a picture, named by path or URL, as a part of a message in OpenAI's form.

    Raises:
        ConfigError: The file cannot be read.
    """
    url = image
    if not is_url(image):
        data = read_image(Path(image))
        url = f"data:{media_type(data, image)};base64,{base64.b64encode(data).decode('ascii')}"
    return {"type": "image_url", "image_url": {"url": url}}


def with_images(text: str, images: Sequence[str]) -> str | list[dict[str, Any]]:
    """Return the content of a message: the text alone, or pictures and then the text.

    That order is what Anthropic recommends; OpenAI takes any.
    https://platform.claude.com/docs/en/build-with-claude/vision

    >>> with_images("What is it?", ["https://example.org/x.png"])[1]
    {'type': 'text', 'text': 'What is it?'}
    """
    if not images:
        return text
    return [*map(image_part, images), {"type": "text", "text": text}]


def translated(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message with its pictures, ``{"type": "image", "path" | "url": ...}``, in OpenAI's form."""
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    parts = [image_part(part.get("path") or part["url"]) if is_image(part) else part for part in content]
    return {**message, "content": parts}


def is_image(part: Mapping[str, Any]) -> bool:
    """Whether a part of a message is a picture in our form; one with a `source` is in Anthropic's already."""
    return part.get("type") == "image" and "source" not in part
