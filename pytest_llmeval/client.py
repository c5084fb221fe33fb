"""`LLM`: what the `llm` fixture returns. Asks one candidate, prices the answer, notes the call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

from pytest_llmeval.asked import asked_of
from pytest_llmeval.candidates import Candidate
from pytest_llmeval.cases import Case
from pytest_llmeval.cassettes.turns import Turns
from pytest_llmeval.errors import ConfigError, ProviderError
from pytest_llmeval.pacing import Pace, PacedCall, call_of
from pytest_llmeval.promptfiles import PromptFiles, Prompts
from pytest_llmeval.providers.base import OMIT, Provider, Request
from pytest_llmeval.questions import messages_of, own_request
from pytest_llmeval.records import Call
from pytest_llmeval.response import Response
from pytest_llmeval.tariffs import Tariff, cost_together
from pytest_llmeval.testlog import running_log
from pytest_llmeval.workers import run_at_once

Question = str | Sequence[Mapping[str, Any]] | Case

# Stands for "not said here", since None means "send none".
UNSET: Any = type("Unset", (), {"__repr__": lambda _: "..."})()
RESERVED = {"model", "messages"}
FIELDS = ("prompt", "system", "temperature", "max_tokens", "stream", "schema", "tools")

# Place in the test's record of the call that this context makes, where several begin at once.
_place: ContextVar[int | None] = ContextVar("llmeval_place", default=None)


class LLM:
    """One candidate, ready to be asked.

    Attributes:
        name: Name of the candidate, as in the report: the alias, or ``provider:model``.
        candidate: All that is known of it.
        provider: Who speaks to it.

    Args:
        candidate: The candidate.
        provider: Its provider.
        defaults: Keyword arguments of `complete` that hold where a call says nothing (`llm_params`).
        for_cases: Those that hold where a `Case` is asked (`llm_cases`); they go before `defaults`.
        prompts: Reads prompts that live in files; by default, those in the working directory.
        pace: How much its endpoint takes at once.
    """

    def __init__(
        self,
        candidate: Candidate,
        provider: Provider,
        defaults: Mapping[str, Any] | None = None,
        *,
        for_cases: Mapping[str, Any] | None = None,
        prompts: Prompts | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.candidate = candidate
        self.name = candidate.name
        self.provider = provider
        self.pace = pace or Pace()
        self._defaults = dict(defaults or {})
        self._for_cases = dict(for_cases or {})
        self._prompts = prompts or Prompts(PromptFiles(Path.cwd()), Path.cwd())

    def complete(
        self,
        question: Question,
        /,
        *,
        prompt: str | None = UNSET,
        system: str | None = UNSET,
        temperature: float | str | None = UNSET,
        max_tokens: int | str | None = UNSET,
        stream: bool = UNSET,
        schema: Any = UNSET,
        tools: Sequence[Mapping[str, Any]] | None = UNSET,
        **params: Any,
    ) -> Response:
        """Ask, and return the whole answer.

        What a call leaves out comes from `llm_cases` where a `Case` is asked, from `llm_params`, else from the
        defaults named here. What a case says itself (system, max_tokens, schema) goes before all of these.

        Args:
            question: The user's text, messages as ``{"role": ..., "content": ...}``, or a `Case`.
            prompt: The user's message for a case, a template: ``"Sort this: {{ input }}"``, or the file of one:
                ``"@prompts/sort.md"``. Without it, the message is the case's input as it stands.
            system: System text, or a file or a template as `prompt`; none by default.
            temperature: 0.0 by default; left out for models that take none.
            max_tokens: Most tokens that the model may write; 1024 by default.
            stream: Whether to stream, which measures the time to the first token; False by default.
            schema: Ask for an answer that conforms: a JSON Schema as dict or file, or a pydantic model.
            tools: Tools that the model may call, in OpenAI's form.
            **params: Anything else, under the provider's own name. ``"omit"`` leaves any parameter out.

        Raises:
            ProviderError: There is no whole answer: the call failed, or the answer was malformed or cut off by the
                network. It counts against availability, not as a score.

        >>> def test_capital(llm):
        ...     assert "Paris" in llm.complete("What is the capital of France?", max_tokens=20).content
        """
        __tracebackhide__ = True
        given = _given(params, prompt, system, temperature, max_tokens, stream, schema, tools)
        return self._ask(self._request(question, given))

    async def acomplete(
        self,
        question: Question,
        /,
        *,
        prompt: str | None = UNSET,
        system: str | None = UNSET,
        temperature: float | str | None = UNSET,
        max_tokens: int | str | None = UNSET,
        stream: bool = UNSET,
        schema: Any = UNSET,
        tools: Sequence[Mapping[str, Any]] | None = UNSET,
        **params: Any,
    ) -> Response:
        """Do what `complete` does, for ``async def`` tests."""
        __tracebackhide__ = True
        given = _given(params, prompt, system, temperature, max_tokens, stream, schema, tools)
        request = self._request(question, given)
        with call_of(self.pace) as call, self._tariff().asked():
            call.place = _begin()
            while True:
                try:
                    response = await self.provider.acomplete(request)
                except Exception as exc:
                    if not await call.aagain(exc):
                        raise self._failed(exc, call, request) from None
                else:
                    return self._note(response, call, request)

    @overload
    def complete_many(
        self,
        questions: Sequence[Question],
        *,
        concurrency: int | None = None,
        on_error: Literal["raise"] = "raise",
        **request: Any,
    ) -> list[Response]: ...

    @overload
    def complete_many(
        self,
        questions: Sequence[Question],
        *,
        concurrency: int | None = None,
        on_error: Literal["return"],
        **request: Any,
    ) -> list[Response | ProviderError]: ...

    def complete_many(
        self,
        questions: Sequence[Question],
        *,
        concurrency: int | None = None,
        on_error: Literal["raise", "return"] = "raise",
        **request: Any,
    ) -> Sequence[Response | ProviderError]:
        """Ask several questions at once, and return the answers in their order.

        Calls that the endpoint refuses because it is asked too much are tried again until it takes them.

        Args:
            questions: What `complete` takes, each.
            concurrency: Most requests in flight; not more than ``--llm-concurrency``, which is the default.
            on_error: ``"return"`` puts the `ProviderError` of a call that failed in the place of its answer.
            **request: Keyword arguments of `complete`, the same for all.

        Raises:
            ProviderError: The first call that failed; the others are finished and recorded all the same.

        >>> def test_capitals(llm, subtests):
        ...     countries = {"France": "Paris", "Peru": "Lima"}
        ...     replies = llm.complete_many([f"Capital of {name}?" for name in countries], on_error="return")
        ...     for (name, capital), reply in zip(countries.items(), replies):
        ...         with subtests.test(name):
        ...             assert capital in str(reply)
        """
        __tracebackhide__ = True
        if on_error not in ("raise", "return"):
            raise ValueError(f"complete_many(on_error={on_error!r}): write 'raise' or 'return'.")
        requests = [self._request(question, request) for question in questions]
        # Cases with other names and answers may ask the same.
        turns = Turns(requests)
        places = [_begin() for _ in requests]

        def ask(index: int) -> Response:
            _place.set(places[index])
            with turns.of(index):
                return self._ask(requests[index])

        jobs = [partial(ask, index) for index in range(len(requests))]
        results: list[Response | ProviderError] = []
        for result in run_at_once(jobs, concurrency or self.pace.most, self.pace):
            if isinstance(result, BaseException) and not (on_error == "return" and isinstance(result, ProviderError)):
                raise result
            results.append(result)
        return results

    def record_score(self, value: float, name: str = "score") -> None:
        """Note a score (0-1) of this test that no helper has noted, such as a human's or your own metric's."""
        from pytest_llmeval.scoring import record_score

        record_score(value, name)

    def _ask(self, request: Request) -> Response:
        __tracebackhide__ = True
        with call_of(self.pace) as call, self._tariff().asked():
            call.place = _begin()
            while True:
                try:
                    response = self.provider.complete(request)
                except Exception as exc:
                    if not call.again(exc):
                        raise self._failed(exc, call, request) from None
                else:
                    return self._note(response, call, request)

    def _request(self, question: Question, given: Mapping[str, Any]) -> Request:
        case = question if isinstance(question, Case) else None
        if case is None and "prompt" in given:
            raise TypeError("complete(prompt=...) is made of a Case: complete(case, prompt=...). Text comes first.")
        values = {**self._defaults, **(self._for_cases if case else {}), **given, **(own_request(case) if case else {})}
        for name in RESERVED & values.keys():
            raise TypeError(f"complete() takes no {name!r}: the candidate says whom a test asks, the prompt says what.")
        prompt = values.pop("prompt", None)
        if case is not None:
            messages: Sequence[Mapping[str, Any]] = messages_of(case, prompt, self._prompts, _note_prompt)
        else:
            messages = _messages(question)
        known: dict[str, Any] = {key: values.pop(key) for key in FIELDS if key in values}
        if known.get("system") is not None and (case is None or case.system is None):
            known["system"] = self._prompts.text(known["system"], "system", case, _note_prompt)
        params = {key: known.pop(key) for key in list(known) if known[key] == OMIT}
        schema = known.pop("schema", None)
        return Request(
            messages=messages,
            schema=_json_schema(schema),
            params={**values, **params},
            **known,
        )

    def _tariff(self) -> Tariff:
        return Tariff(self.candidate, self.provider.billing, self.provider.hosting)

    def _note(self, response: Response, call: PacedCall, request: Request) -> Response:
        # Of several candidates, each has its own retries and prices.
        if not response.tries:
            if not response.replayed:
                # In a recording they are counted already.
                response.retries += call.earlier
            response.cost = self._tariff().of_response(response)
        response.candidate = self.name
        _note_call(Call.from_response(response), call, request)
        return response

    def _failed(self, exc: Exception, call: PacedCall, request: Request) -> Exception:
        """Note a call that got no answer; return what to raise."""
        if isinstance(exc, Warning | ConfigError):
            # The user's own: an exception that their warning filters made, or a fault of settings. No call was answered
            # badly.
            return exc
        error = exc
        if not isinstance(error, ProviderError):
            # A third party's provider may raise anything.
            text = f"{self.name}: {type(exc).__name__}: {exc}"
            error = ProviderError(text, candidate=self.name, kind="unknown", cause=exc)
        error.retries += call.earlier
        cost = cost_together(error.tries) if error.tries else self._tariff().of_response(Response(""))
        _note_call(Call.from_error(self.name, error, cost), call, request)
        return error

    def __repr__(self) -> str:
        return f"<LLM {self.name}>"


def _begin() -> int | None:
    """Return the place in the running test's record of a call that begins now; None outside of a test."""
    place, log = _place.get(), running_log.get()
    return log.begin_call() if place is None and log is not None else place


def _note_call(record: Call, call: PacedCall, request: Request) -> None:
    """Add a call to the running test's record, with what was asked."""
    log = running_log.get()
    if log is not None:
        asked = asked_of(request)
        record.system_digest, record.messages_digest, record.parameters_digest = asked[:3]
        log.texts.update(asked.texts)
        log.note_call(record, call.place)


def _messages(question: Any) -> list[Mapping[str, Any]]:
    return [{"role": "user", "content": question}] if isinstance(question, str) else list(question)


def _note_prompt(name: str, sha256: str) -> None:
    log = running_log.get()
    if log is not None:
        log.note_prompt(name, sha256)


def _given(params: dict[str, Any], *values: Any) -> dict[str, Any]:
    return {**{key: value for key, value in zip(FIELDS, values, strict=True) if value is not UNSET}, **params}


def _json_schema(schema: Any) -> dict[str, Any] | None:
    if schema is None:
        return None
    from pytest_llmeval.checks import json_schema_of

    return json_schema_of(schema)
