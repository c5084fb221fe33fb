"""What is asked for a case: its messages and the system text, out of what the case and the test say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_llmeval.display import escape
from pytest_llmeval.errors import ConfigError, DatasetError
from pytest_llmeval.images import translated, with_images

if TYPE_CHECKING:
    from pytest_llmeval.cases import Case
    from pytest_llmeval.promptfiles import Prompts

Note = Callable[[str, str], None]


def own_request(case: Case) -> dict[str, Any]:
    """Return what a case says itself; it goes before what is said for all cases."""
    own = {"system": case.system, "max_tokens": case.max_tokens, "schema": case.schema}
    return {name: value for name, value in own.items() if value is not None}


def messages_of(case: Case, prompt: str | None, prompts: Prompts, note: Note) -> list[dict[str, Any]]:
    """Return the messages of a case; see `user_text`.

    Raises:
        ConfigError: There is nothing to ask, or the prompt or a picture cannot be used.
    """
    if case.messages is not None and prompt is None:
        return [translated(message) for message in case.messages]
    text = user_text(case, prompt, prompts, note)
    return [{"role": "user", "content": with_images(text, case.images)}]


def user_text(case: Case, prompt: str | None, prompts: Prompts, note: Note = lambda *_: None) -> str:
    """Return the user's message: `prompt`, filled in from the case, else the case's input as it stands.

    Raises:
        ConfigError: There is neither, there are messages already, or the prompt cannot be used.
    """
    if prompt is not None:
        if case.messages is not None:
            raise ConfigError(
                f"{case} has messages, and prompt= makes one of its own. Leave prompt= out, or give the case an input."
            )
        return prompts.text(prompt, "prompt", case, note)
    if case.input is None:
        raise ConfigError(
            f"{case} has neither input nor messages. Say what to ask with prompt='{{{{ field }}}}'; its other fields "
            f"are: {escape(', '.join(case.extra)) or 'none'}."
        )
    return case.input


def check_questions(
    cases: Iterable[Case], request: Mapping[str, Any], prompts: Prompts, *, declared: bool, name: str
) -> None:
    """Check that what a marker says can be asked for each case.

    Args:
        cases: The cases.
        request: The marker's keyword arguments.
        prompts: Reads files and fills templates.
        declared: Whether the cases will be asked just so, and not by the test's own code.
        name: What the faults are of, for the message.

    Raises:
        DatasetError: All faults at once, each one once, however many cases have it.
    """
    prompt, system = request.get("prompt"), request.get("system")
    faults: dict[str, list[str]] = {}
    for case in cases:
        try:
            if prompt is not None or (declared and case.messages is None):
                user_text(case, prompt, prompts)
            if system is not None and case.system is None:
                prompts.text(system, "system", case)
        except ConfigError as exc:
            faults.setdefault(getattr(exc, "problem", str(exc)), []).append(str(exc))
    if faults:
        told = [f"{same[0]}{_others(len(same) - 1)}" for same in faults.values()]
        raise DatasetError(f"{name}: cases that cannot be asked:", told)


def _others(number: int) -> str:
    return f" ({number:,} other case{'s' * (number > 1)} too)" if number else ""
