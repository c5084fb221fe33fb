"""From a row, as it was read, to a `Case`; or all that is wrong with the row, each with field, value and fix."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError

from pytest_llmeval.caseids import canonical
from pytest_llmeval.cases import Case
from pytest_llmeval.checks import json_schema_of
from pytest_llmeval.display import path_text, shorten
from pytest_llmeval.errors import ConfigError, nearest
from pytest_llmeval.images import is_image, is_url, media_type, read_image
from pytest_llmeval.projectfiles import find_file

ROLES = ("user", "assistant", "system", "developer", "tool")
#: Fields of a row that mean something; all others are `Case.extra`.
FIELDS = tuple(field.name for field in fields(Case) if field.name not in ("extra", "source"))
#: What `-m` can be given; pytest cuts a marker's name at the first colon or bracket, and takes none with an underscore.
TAG = re.compile(r"[^\W_][\w.+/-]*")
#: Markers that pytest, and this plugin, do something for.
#: The one marker of ours that a case can have by itself.
KNOWN_FAILING = "llm_known_failing"
MARKERS = ["skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings", "tryfirst", "trylast"]


def _split(value: Any) -> Any:
    """Take a list from a table's cell: ``billing; urgent``."""
    return _listed(
        [part.strip() for part in re.split("[,;]", value) if part.strip()] if isinstance(value, str) else value
    )


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, tuple) else value


def _number_as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _id(value: str) -> str:
    if not value.strip() or not value.isprintable() or "::" in value:
        raise ValueError("should be printable text without '::', which divides pytest's own ids")
    return value


def _tag(value: str) -> str:
    if value in MARKERS or (value.startswith("llm_") and value != KNOWN_FAILING):
        raise ValueError("this is a marker that does something. Choose another word")
    if not TAG.fullmatch(value) or keyword.iskeyword(value):
        raise ValueError("should be a word that pytest -m can be given: letters, digits, - _ . + /")
    return value


def _kind_of_content(value: Any) -> str:
    return "parts" if isinstance(value, list | tuple) else "text"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Part(_Strict):
    type: str


class _Message(_Strict):
    role: Literal["user", "assistant", "system", "developer", "tool"]
    content: Annotated[
        Annotated[str | None, Tag("text")] | Annotated[Sequence[_Part], Tag("parts")], Discriminator(_kind_of_content)
    ] = None


class _Fields(_Strict):
    id: Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_id)] | None = None
    input: str | None = None
    messages: Annotated[Sequence[_Message], Field(min_length=1)] | None = None
    system: str | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    tags: Annotated[list[Annotated[str, AfterValidator(_tag)]], BeforeValidator(_split)] | None = None
    weight: Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)] | None = None
    images: Annotated[list[str], BeforeValidator(_listed)] | None = None


class RowReader:
    """Makes cases of the rows of one dataset.

    Args:
        folders: Where pictures and schemas are that rows name: relative to the first of these that has them.
        anywhere: Whether they may be outside of these folders.
    """

    def __init__(self, folders: Sequence[Path], *, anywhere: bool = False) -> None:
        self._folders = folders
        self._anywhere = anywhere
        self._schemas: dict[str, Mapping[str, Any]] = {}

    def case(self, row: Any, where: str) -> tuple[Case | None, list[str]]:
        """Return the case, without an id if the row has none, and what is wrong with the row."""
        data = plain_row(row)
        if not isinstance(data, dict):
            return None, [f"a row should be an object, text, a Case or a pydantic model (it is {shorten(data)})"]
        faults = _unreadable(data)
        if faults:
            return None, faults
        try:
            known = _Fields.model_validate(data)
        except ValidationError as exc:
            return None, [_told(error) for error in exc.errors(include_url=False)]
        faults = _contradictions(data)
        schema = self._checked(faults, "schema", self._schema, data.get("schema"))
        images = [self._checked(faults, "images", self._image, name) or "" for name in known.images or ()]
        messages = [self._message(faults, message, n) for n, message in enumerate(data.get("messages") or ())]
        return None if faults else Case(
            id=known.id or "",
            input=known.input,
            messages=messages or None,
            system=known.system,
            expected=data.get("expected"),
            max_tokens=known.max_tokens,
            schema=schema,
            tags=tuple(dict.fromkeys(known.tags or ())),
            weight=1.0 if known.weight is None else known.weight,
            images=tuple(images),
            extra={name: value for name, value in data.items() if name not in FIELDS},
            source=where,
        ), faults

    def _checked(self, faults: list[str], field: str, check: Callable[[Any], Any], value: Any) -> Any:
        try:
            return None if value is None else check(value)
        except ConfigError as exc:
            faults.append(f"{field}: {exc}")
            return None

    def _schema(self, schema: Any) -> Mapping[str, Any]:
        if isinstance(schema, str):
            schema = self._own_file(schema, "schema")
        key = json.dumps(schema, sort_keys=True, default=repr) if isinstance(schema, dict) else repr(schema)
        if key not in self._schemas:
            self._schemas[key] = json_schema_of(schema)
        return self._schemas[key]

    def _message(self, faults: list[str], message: Mapping[str, Any], number: int) -> dict[str, Any]:
        content = message.get("content")
        if not isinstance(content, list | tuple):
            return dict(message)
        parts = []
        for index, part in enumerate(content):
            if is_image(part):
                place = f"messages[{number}].content[{index}]"
                part = self._checked(faults, place, self._image_part, part)
            parts.append(part)
        return {**message, "content": parts}

    def _image_part(self, part: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: part[name] for name in ("path", "url") if part.get(name) is not None}
        unknown = ", ".join(part.keys() - {"type", "path", "url"})
        if len(given) != 1 or unknown or not isinstance(next(iter(given.values())), str):
            said = f"; it also has {unknown}" if unknown else ""
            raise ConfigError(f"a picture has either a path or a url, and nothing else{said}.")
        if "path" in given:
            return {"type": "image", "path": self._image(given["path"], url=False)}
        if not is_url(given["url"]):
            raise ConfigError(f"{shorten(given['url'])} is no URL of a picture. Begin with https://, or write a path.")
        return {"type": "image", **given}

    def _image(self, written: str, *, url: bool = True) -> str:
        if url and is_url(written):
            return written
        path = self._own_file(written, "picture")
        media_type(read_image(path, 12), written)
        return str(path)

    def _own_file(self, written: str, what: str) -> Path:
        path = find_file(written, self._folders, what)
        if not self._anywhere and not any(path.is_relative_to(folder) for folder in self._folders):
            # What a row names is sent to a provider, and a dataset may be a stranger's. A `Case` is the test's own.
            raise ConfigError(f"{written}: this {what} is outside of the project. Copy it beside the dataset.")
        return path


def plain_row(row: Any) -> Any:
    """Return a row as a dict: of text, a `Case`, a pydantic model or a mapping; anything else as it is."""
    if isinstance(row, str):
        return {"input": row}
    if isinstance(row, Case):
        empty = Case()
        own = {name: getattr(row, name) for name in FIELDS}
        return {**row.extra, **{name: value for name, value in own.items() if value != getattr(empty, name)}}
    if isinstance(row, BaseModel):
        return row.model_dump(mode="json")
    return dict(row) if isinstance(row, Mapping) else row


def _unreadable(data: Mapping[Any, Any]) -> list[str]:
    odd = [f"{shorten(name)}: the name of a field should be text" for name in data if not isinstance(name, str)]
    if not odd:
        try:
            canonical(data).encode()
        except UnicodeEncodeError as exc:
            odd.append(f"holds {shorten(exc.object[exc.start])}, which is half of a character and cannot be sent")
        except ValueError as exc:
            odd.append(f"cannot be written as JSON: {exc}")
    return odd


def _contradictions(data: Mapping[str, Any]) -> list[str]:
    if data.get("messages") is None:
        return []
    faults = []
    if data.get("input") is not None:
        faults.append("input: there are messages too. Put the input at their end, or leave one of the two out")
    if data.get("images"):
        faults.append("images: these go with an input. Put them into the messages: {'type': 'image', 'path': ...}")
    return faults


#: What to say of a fault, by pydantic's name for it; all else is said in pydantic's own words.
SAID = {
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "greater_than": "should be above 0",
    "greater_than_equal": "should be above 0",
    "less_than_equal": "should be at most 1e9",
    "finite_number": "should be a finite number",
    "list_type": "should be a list",
    "dict_type": "should be an object",
    "model_type": "should be an object",
    "sequence_str": "should be a list",
    "is_instance_of": "should be a list",
    "too_short": "should not be empty",
    "missing": "is not there",
}


def _told(error: Any) -> str:
    # pydantic puts the tags of the variants into the path.
    path = [part for part in error["loc"] if part not in ("text", "parts")]
    kind, value = error["type"], error["input"]
    said = SAID.get(kind, error["msg"].removeprefix("Value error, "))
    fix = ""
    if kind == "string_type" and isinstance(value, int | float):
        fix = ". Put it in quotes"
    if kind == "literal_error":
        said, fix = f"should be one of {', '.join(ROLES)}", f".{nearest(str(value), ROLES)}".rstrip(".")
    return f"{path_text(path)}: {said}{'' if kind == 'missing' else f' (it is {shorten(value)})'}{fix}"


def neither(cases: Iterable[Case]) -> list[Case]:
    """Return the cases that have neither input nor messages where others have: one of them was forgotten.

    Where none has, tests build what they ask from other fields.
    """
    known = list(cases)
    empty = [case for case in known if case.input is None and case.messages is None]
    return empty if len(empty) < len(known) else []
