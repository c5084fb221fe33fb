"""Check that an answer is valid JSON and conforms to a JSON Schema or a pydantic model, and say where it does not."""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, overload

from pytest_llmeval.display import escape, path_text, shorten
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.jsontext import JSONTextError, excerpt, line_and_column, load_document
from pytest_llmeval.response import Response, parse_json
from pytest_llmeval.testlog import running_log

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")
MAX_FAULTS = 10
# Where more are wrong than anyone counts, finding them all takes long and tells nothing.
MAX_ERRORS = 1000
LONG_TEXT = 500
JSON_TYPES: tuple[tuple[Any, str], ...] = (
    (type(None), "null"),
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    ((list, tuple), "array"),
    (dict, "object"),
)


class JSONCheckError(AssertionError):
    """An answer that is not the JSON that was asked for. `reason` says why in one line, the message shows where."""

    def __init__(self, reason: str, details: Iterable[str] = ()) -> None:
        super().__init__("\n".join([reason, *details]))
        self.reason = reason


@overload
def assert_json(reply: Any, *, schema: type[Model], strict: bool = True) -> Model: ...
@overload
def assert_json(reply: Any, *, schema: Mapping[str, Any] | str | Path | None = None, strict: bool = True) -> Any: ...
def assert_json(reply: Any, *, schema: Any = None, strict: bool = True) -> Any:
    """Assert that an answer is JSON, and conforms to `schema` if there is one; return the data.

    While a test with a candidate runs, the outcome also goes into that test's record.

    Args:
        reply: A `Response`, text, or parsed data.
        schema: A JSON Schema as a dict, the path of a file that holds one (a string that ends in ``.json``, or a
            `Path`; relative to the working directory), or a pydantic model class. ``format`` is checked as far as
            jsonschema has a checker for it; ``$ref`` to another document is never fetched.
        strict: Whether the whole text must be one JSON document. False also takes one in a fenced ``json`` block, or
            the only object or array in other text.

    Returns:
        The parsed data, or an instance of `schema` if that is a pydantic model class.

    Raises:
        JSONCheckError: An `AssertionError` whose message shows the reason, the position and the text around it; for a
            schema, each fault with its JSON path, what was expected and what was got (the first 10).
        ConfigError: The schema itself cannot be used.
        TypeError: `reply` is none of the above, for example a coroutine that was not awaited.

    >>> assert_json('{"name": "John"}', schema={"type": "object", "required": ["name"]})
    {'name': 'John'}
    >>> assert_json('Sure: {"name": "John"}', strict=False)
    {'name': 'John'}
    >>> assert_json('{"name": John}')
    Traceback (most recent call last):
    pytest_llmeval.checks.JSONCheckError: not JSON: Expecting value at line 1, column 10
      1 | {"name": John}
        |          ^
    """
    __tracebackhide__ = True
    try:
        return _noted_check(reply, schema, strict)
    except JSONCheckError as exc:
        failure = exc
    # Raised from here, so that pytest shows the line of the test and not the insides of the check.
    raise failure.with_traceback(None) from None


def is_valid_json(reply: Any, *, schema: Any = None, strict: bool = True) -> bool:
    """Whether an answer is JSON, and conforms to `schema` if there is one. Arguments are those of `assert_json`.

    While a test with a candidate runs, the outcome also goes into that test's record.

    Raises:
        ConfigError: The schema itself cannot be used.
        TypeError: `reply` is neither a `Response`, nor text, nor parsed data.

    >>> is_valid_json("[1, 2]"), is_valid_json("[1, 2"), is_valid_json("[NaN]")
    (True, False, False)
    """
    try:
        _noted_check(reply, schema, strict)
    except JSONCheckError:
        return False
    return True


def conforms(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether a text is JSON that conforms to a JSON Schema. Unlike the others here, this notes nothing in a record.

    >>> conforms("{}", {"type": "object", "required": ["name"]})
    False
    """
    try:
        _check(text, schema, strict=True)
    except JSONCheckError:
        return False
    return True


def json_schema_of(schema: Mapping[str, Any] | str | Path | type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema that a dict, a path to a JSON file, or a pydantic model class stands for.

    Raises:
        ConfigError: It is none of these, the file cannot be read, or what it holds is no JSON Schema.

    >>> json_schema_of({"type": "object"})
    {'type': 'object'}
    """
    if _is_model_class(schema):
        try:
            return dict(schema.model_json_schema())
        except Exception as exc:
            raise ConfigError(f"schema {schema.__name__}: pydantic makes no JSON Schema of it: {exc}") from exc
    data, source = _schema_data(schema)
    _validator(data, source)
    return data


def parse_reply(reply: Any, *, strict: bool = True) -> Any:
    """Return the data of a `Response`, text, a pydantic model instance or parsed data.

    Raises:
        JSONCheckError: The text is not JSON.
        TypeError: `reply` is none of these.

    >>> parse_reply(Response("[1]")), parse_reply({"a": 1})
    ([1], {'a': 1})
    """
    return _load(reply, strict)[0]


def text_of(reply: Any) -> str | None:
    """Return the text of a `Response` or of a string; None for data that is parsed already."""
    if isinstance(reply, Response):
        return reply.content
    return reply if isinstance(reply, str) else None


def note_json(valid: bool, reply: object) -> None:
    """Note whether an answer is valid JSON in the record of the running test, if one runs."""
    log = running_log.get()
    if log is not None:
        log.note_json(valid, reply)


def is_model(value: Any) -> TypeGuard[BaseModel]:
    """Whether a value is an instance of a pydantic model."""
    # Nobody can hand over a pydantic model without having imported pydantic.
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def json_type(value: Any) -> str:
    """Return JSON's name of the type of a value, else Python's.

    >>> json_type({}), json_type(True), json_type(1.5)
    ('object', 'boolean', 'number')
    """
    for types, name in JSON_TYPES:
        if isinstance(value, types):
            return name
    return type(value).__name__


def _noted_check(reply: Any, schema: Any, strict: bool) -> Any:
    __tracebackhide__ = True
    try:
        value = _check(reply, schema, strict)
    except JSONCheckError:
        note_json(False, reply)
        raise
    note_json(True, reply)
    return value


def _check(reply: Any, schema: Any, strict: bool) -> Any:
    if schema is not None and _is_model_class(schema):
        return _model_instance(reply, schema, strict)
    validator = None if schema is None else _validator(*_schema_data(schema))
    data = parse_reply(reply, strict=strict)
    if validator is not None:
        faults = _schema_faults(validator, data)
        if faults:
            raise JSONCheckError("valid JSON, but it does not conform to the schema", faults + _cut_hint(reply))
    return data


def _load(reply: Any, strict: bool) -> tuple[Any, str | None]:
    """Return the data of `reply` and its JSON text; None for data that is parsed already."""
    text = text_of(reply)
    if text is None:
        return _plain_data(reply), None
    try:
        return load_document(text, strict=strict)
    except JSONTextError as fault:
        raise _not_json(reply, text, fault, strict) from None


def _not_json(reply: Any, text: str, fault: JSONTextError, strict: bool) -> JSONCheckError:
    hints = _cut_hint(reply)
    if not text.strip():
        if isinstance(reply, Response) and reply.tool_calls:
            names = ", ".join(shorten(call.name) for call in reply.tool_calls)
            hints.append(f"The model called tools instead: {names}.")
        return JSONCheckError("not JSON: the answer is empty", hints)
    line, column = line_and_column(text, fault.position)
    if strict and _holds_document(text):
        hints.append("The text holds a JSON document among other text: strict=False takes that.")
    if len(text) > LONG_TEXT:
        hints.append(f"The text has {len(text):,} characters.")
    return JSONCheckError(
        f"not JSON: {fault.reason} at line {line}, column {column}", excerpt(text, fault.position) + hints
    )


def _holds_document(text: str) -> bool:
    try:
        load_document(text, strict=False)
    except JSONTextError:
        return False
    return True


def _cut_hint(reply: Any) -> list[str]:
    if isinstance(reply, Response) and reply.cut:
        return ["The answer was cut: the model ran into max_tokens. Allow it more."]
    return []


def _plain_data(reply: Any) -> Any:
    if reply is None or isinstance(reply, (Mapping, list, tuple, bool, int, float)):
        return reply
    if is_model(reply):
        return reply.model_dump(mode="json")
    raise TypeError(
        f"expected a Response, text or parsed JSON data, not {shorten(reply)} of type {type(reply).__name__}"
        f"{': await it first.' if inspect.isawaitable(reply) else '.'}"
    )


def _is_model_class(value: Any) -> TypeGuard[type[BaseModel]]:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, type) and issubclass(value, pydantic.BaseModel)


def _model_instance(reply: Any, model: type[BaseModel], strict: bool) -> BaseModel:
    from pydantic import ValidationError

    if isinstance(reply, model):
        return reply
    data, text = _load(reply, strict)
    try:
        if text is None:
            return model.model_validate(data)
        # Read as JSON, since pydantic's strict fields take a date or an enum from JSON text, but not from a str.
        return model.model_validate_json(text.strip())
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False)
    faults = [
        f"{_json_path(error['loc'])}: {escape(error['msg'])}" + _got(error["input"], error["type"]) for error in errors
    ]
    reason = f"valid JSON, but it does not conform to {model.__name__}"
    raise JSONCheckError(reason, _listed(faults) + _cut_hint(reply))


def _got(value: Any, kind: str) -> str:
    return "" if kind in ("missing", "json_invalid") else f", got {shorten(value)} ({json_type(value)})"


def _schema_data(schema: Any) -> tuple[dict[str, Any], str]:
    if isinstance(schema, Mapping):
        return dict(schema), "schema"
    if not isinstance(schema, Path) and not (isinstance(schema, str) and schema.endswith(".json")):
        raise ConfigError(
            f"schema={shorten(schema)}: give a dict, the path of a .json file, or a pydantic model class."
        )
    path = Path(schema).absolute()
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"schema file {path} cannot be read: {exc.strerror}.") from None
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"schema file {path} is not JSON: {exc}.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"schema file {path} holds JSON of type {json_type(data)}, where an object was expected.")
    return data, f"schema file {path}"


def _validator(schema: dict[str, Any], source: str) -> Any:
    import jsonschema
    from jsonschema.validators import validator_for
    from referencing import Registry

    try:
        cls = validator_for(schema, default=jsonschema.Draft202012Validator)
        cls.check_schema(schema)
    except jsonschema.SchemaError as exc:
        raise ConfigError(f"{source} is no JSON Schema: at {exc.json_path}: {escape(exc.message)}.") from None
    except Exception as exc:
        # Before it looks at the schema, jsonschema trusts it: a "$schema" that is no string ends in an AttributeError.
        raise ConfigError(f"{source} is no JSON Schema: {type(exc).__name__}: {escape(str(exc))}.") from None
    # Without a registry of its own, jsonschema fetches the documents that "$ref" names from the network.
    registry: Registry[Any] = Registry()
    return cls(schema, registry=registry, format_checker=cls.FORMAT_CHECKER)


def _schema_faults(validator: Any, data: Any) -> list[str]:
    from referencing.exceptions import Unresolvable

    try:
        errors = list(itertools.islice(validator.iter_errors(data), MAX_ERRORS))
        return _listed(dict.fromkeys(_schema_fault(error) for error in errors))
    except Unresolvable as exc:
        raise ConfigError(
            f"the schema refers to {exc.ref!r}, which it does not hold; references are never fetched: "
            f"put what it names under '$defs'."
        ) from None
    except RecursionError:
        return ["$: nested too deep to check, or the schema refers to itself without end"]
    except (ArithmeticError, ValueError) as exc:
        return [f"$: cannot be checked: {escape(str(exc))}"]


def _schema_fault(error: Any) -> str:
    from jsonschema.exceptions import best_match

    # Of "none of the alternatives fits", the fault of the alternative that nearly fits is what helps.
    error = best_match([error]) or error
    path, got = _json_path(error.absolute_path), error.instance
    keyword, wanted = error.validator, error.validator_value
    if keyword == "required":
        missing = ", ".join(shorten(key) for key in wanted if key not in got)
        return f"{path}: expected the keys {missing}, got {shorten(list(got))}"
    if keyword == "additionalProperties" or keyword is None:
        return f"{path}: {_clip(escape(error.message))}"
    if keyword == "type":
        types = " or ".join(wanted) if isinstance(wanted, list) else wanted
        return f"{path}: expected type {types}, got {shorten(got)} ({json_type(got)})"
    return f"{path}: expected {keyword} {shorten(wanted)}, got {shorten(got)} ({json_type(got)})"


def _listed(faults: Iterable[str]) -> list[str]:
    lines = [f"  {fault}" for fault in faults]
    more = len(lines) - MAX_FAULTS
    return lines[:MAX_FAULTS] + ([f"  ... and {more} more"] if more > 0 else [])


def _json_path(parts: Iterable[Any]) -> str:
    path = path_text(parts)
    return _clip(f"${path}" if not path or path.startswith("[") else f"$.{path}")


def _clip(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
