"""Prompts with the fields of a case in them: Jinja2 in its sandbox, where a name that is not there is an error."""

from __future__ import annotations

import traceback
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING

import jinja2
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pytest_llmeval.display import escape
from pytest_llmeval.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pytest_llmeval.cases import Case

#: What Jinja2 calls a template that comes as text.
TEXT = "<template>"
ANSWER = "expected"


class TemplateError(ConfigError):
    """A template that could not be filled in; `problem` is the part of the message that holds for other cases too."""

    def __init__(self, problem: str, more: str = "") -> None:
        super().__init__(f"{problem}{more}")
        self.problem = problem


def render(text: str, name: str, case: Case | None) -> str:
    """Return a template's text with the fields of a case. What stands in the fields is data, and never rendered.

    Args:
        text: The template.
        name: Where it was written, for messages.
        case: What it is filled from; None where there is no case, and no field.

    Raises:
        ConfigError: It is no template, needs a field that the case does not have, or does what the sandbox refuses.

    >>> from pytest_llmeval.cases import Case
    >>> render("{{ input }} Order {{ order }}.", "prompt", Case(input="Where is it?", extra={"order": 4521}))
    'Where is it? Order 4521.'
    """
    template = _compiled(text, name)
    fields = {} if case is None else case.fields()
    try:
        return template.render(fields)
    except Exception as exc:
        # A template can do what any code can: divide by zero, add text to numbers, reach for what the sandbox refuses.
        undefined = isinstance(exc, jinja2.UndefinedError)
        kind = "" if undefined else f" ({type(exc).__name__})"
        problem = f"{name}:{_line(exc.__traceback__)}: {escape(str(exc)).removesuffix('.')}{kind}."
        raise TemplateError(
            problem, _known(str(exc), fields, case) if undefined else f" This is with {case}."
        ) from None


@lru_cache(maxsize=256)
def _compiled(text: str, name: str) -> jinja2.Template:
    environment = _environment()
    try:
        template = environment.from_string(text)
        used = meta.find_undeclared_variables(environment.parse(text))
    except jinja2.TemplateSyntaxError as exc:
        raise TemplateError(f"{name}:{exc.lineno}: no template of Jinja2: {escape(str(exc.message))}") from None
    if ANSWER in used:
        raise TemplateError(
            f"{name}: it uses {ANSWER!r}, which prompts do not get: it would tell the model the answer. If it is no "
            "answer, give the field another name."
        )
    return template


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    # A prompt is text for a model, not for a browser, so nothing in it is escaped.
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
    # What is another text in each run makes every recording stale.
    del environment.globals["lipsum"], environment.filters["random"]
    return environment


def _line(trace: TracebackType | None) -> int:
    """Return the line of the template at which a traceback of Jinja2 ends."""
    lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == TEXT]
    return lines[-1] or 1 if lines else 1


def _known(message: str, fields: dict[str, object], case: Case | None) -> str:
    if case is None:
        return " There is no case here to fill it from."
    missing = message.split("'")[1] if message.startswith("'") else ""
    names = ", ".join(fields)
    return (
        f"{nearest(missing, fields)} The fields of {case} are: {escape(names)}. Where one may be missing, write "
        "{{ name | default('') }}."
    )
