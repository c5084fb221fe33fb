"""What is recorded in order to be migrated: clients that ask three questions, and settings of stock vcrpy.

Runs inside the project that `tests.matrices.migration` makes, under stock vcrpy or under us.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import io
import json
import os
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import anthropic
import httpx
import httpx2
import openai
import requests
import urllib3
import vcr

KEY = "sk-canary-4f8Q2mZ7bTzX9cK3vLp0Rw5"
COOKIE = "a-cookie-value"
#: One is asked twice, and has a character that JSON and YAML write in different ways.
QUESTIONS = ("red", "blue é 😀", "red")
REFUSALS = ("busy 429", "deny 401", "break 500")

Ask = Callable[[str, str, Sequence[str]], list[str]]
Body = dict[str, Any]
Answer = TypeVar("Answer")


def body_of(question: str, **extra: Any) -> Body:
    messages = [{"role": "user", "content": question}]
    return {"model": "chat", "max_tokens": 50, "messages": messages, "user": "someone", **extra}


# --- the SDKs ---------------------------------------------------------------------------------------------------------


@functools.cache
def runner() -> asyncio.Runner:
    """Return one event loop for all, so that asynchronous clients can be kept."""
    return asyncio.Runner()


def run(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    # A runner keeps the context that it began with, which is another test's.
    return runner().run(coroutine, context=contextvars.copy_context())


@functools.cache
def sdk(kind: type[Any], base: str, query: str) -> Any:
    url = base if "Anthropic" in kind.__name__ else f"{base}/v1"
    return kind(base_url=url, api_key=KEY, default_query=dict(_pairs(query)))


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)]


def _outcome(error: Exception) -> str:
    return f"{type(error).__name__} {getattr(error, 'status_code', '')}"


def openai_plain(base: str, query: str, questions: Sequence[str]) -> list[str]:
    def ask(question: str) -> str:
        try:
            answer = sdk(openai.OpenAI, base, query).chat.completions.create(**body_of(question))
        except openai.APIStatusError as exc:
            return _outcome(exc)
        return f"{answer.choices[0].message.content} {answer.usage.total_tokens}"

    return [ask(question) for question in questions]


def openai_streamed(base: str, query: str, questions: Sequence[str]) -> list[str]:
    def ask(question: str) -> str:
        try:
            chunks = list(sdk(openai.OpenAI, base, query).chat.completions.create(**body_of(question, stream=True)))
        except openai.APIStatusError as exc:
            return _outcome(exc)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    return [ask(question) for question in questions]


def openai_async(base: str, query: str, questions: Sequence[str]) -> list[str]:
    async def ask(question: str) -> str:
        try:
            answer = await sdk(openai.AsyncOpenAI, base, query).chat.completions.create(**body_of(question))
        except openai.APIStatusError as exc:
            return _outcome(exc)
        return f"{answer.choices[0].message.content} {answer.usage.total_tokens}"

    return _in_turn(ask, questions)


def openai_async_streamed(base: str, query: str, questions: Sequence[str]) -> list[str]:
    async def ask(question: str) -> str:
        try:
            stream = await sdk(openai.AsyncOpenAI, base, query).chat.completions.create(
                **body_of(question, stream=True)
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        except openai.APIStatusError as exc:
            return _outcome(exc)

    return _in_turn(ask, questions)


def anthropic_plain(base: str, query: str, questions: Sequence[str]) -> list[str]:
    def ask(question: str) -> str:
        try:
            answer = sdk(anthropic.Anthropic, base, query).messages.create(**_anthropic_body(question))
        except anthropic.APIStatusError as exc:
            return _outcome(exc)
        return f"{answer.content[0].text} {answer.usage.output_tokens}"

    return [ask(question) for question in questions]


def anthropic_streamed(base: str, query: str, questions: Sequence[str]) -> list[str]:
    def ask(question: str) -> str:
        try:
            with sdk(anthropic.Anthropic, base, query).messages.stream(**_anthropic_body(question)) as stream:
                return "".join(stream.text_stream)
        except anthropic.APIStatusError as exc:
            return _outcome(exc)

    return [ask(question) for question in questions]


def anthropic_async(base: str, query: str, questions: Sequence[str]) -> list[str]:
    async def ask(question: str) -> str:
        try:
            answer = await sdk(anthropic.AsyncAnthropic, base, query).messages.create(**_anthropic_body(question))
        except anthropic.APIStatusError as exc:
            return _outcome(exc)
        return f"{answer.content[0].text} {answer.usage.output_tokens}"

    return _in_turn(ask, questions)


def anthropic_async_streamed(base: str, query: str, questions: Sequence[str]) -> list[str]:
    async def ask(question: str) -> str:
        try:
            async with sdk(anthropic.AsyncAnthropic, base, query).messages.stream(
                **_anthropic_body(question)
            ) as stream:
                return "".join([text async for text in stream.text_stream])
        except anthropic.APIStatusError as exc:
            return _outcome(exc)

    return _in_turn(ask, questions)


def _anthropic_body(question: str) -> Body:
    body = body_of(question)
    user = body.pop("user")
    return {**body, "extra_body": {"user": user}}


def _in_turn(ask: Callable[[str], Coroutine[Any, Any, str]], questions: Sequence[str]) -> list[str]:
    return [run(ask(question)) for question in questions]


# --- HTTP clients -----------------------------------------------------------------------------------------------------


def url_of(base: str, query: str) -> str:
    return f"{base}/v1/chat/completions" + (f"?{query}" if query else "")


def said(status: int, text: str | bytes) -> str:
    """Return what an answer says: of JSON its values, as its layout may change."""
    return f"{status} {json.loads(text)['choices'][0]['message']['content']}"


HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def httpx_plain(base: str, query: str, questions: Sequence[str], module: Any = httpx) -> list[str]:
    bodies = [body_of(question) for question in questions]
    with module.Client(headers={"Authorization": f"Bearer {KEY}"}) as client:
        answers = [client.post(url_of(base, query), json=body) for body in bodies]
    return [said(answer.status_code, answer.text) for answer in answers]


def httpx2_plain(base: str, query: str, questions: Sequence[str]) -> list[str]:
    return httpx_plain(base, query, questions, httpx2)


def httpx_async(base: str, query: str, questions: Sequence[str]) -> list[str]:
    async def ask(question: str) -> str:
        async with httpx.AsyncClient(headers=HEADERS) as client:
            answer = await client.post(url_of(base, query), json=body_of(question))
        return said(answer.status_code, answer.text)

    return _in_turn(ask, questions)


def httpx_streamed(base: str, query: str, questions: Sequence[str]) -> list[str]:
    def ask(question: str) -> str:
        body = body_of(question, stream=True)
        with httpx.stream("POST", url_of(base, query), json=body, headers=HEADERS) as answer:
            return "\n".join(answer.iter_lines())

    return [ask(question) for question in questions]


def requests_json(base: str, query: str, questions: Sequence[str]) -> list[str]:
    answers = [requests.post(url_of(base, query), json=body_of(each), headers=HEADERS) for each in questions]
    return [said(answer.status_code, answer.text) for answer in answers]


def requests_form(base: str, query: str, questions: Sequence[str]) -> list[str]:
    forms = [{"question": question, "user": "someone"} for question in questions]
    answers = [requests.post(url_of(base, query), data=form, auth=("me", KEY)) for form in forms]
    return [said(answer.status_code, answer.text) for answer in answers]


def requests_upload(base: str, query: str, questions: Sequence[str]) -> list[str]:
    files = [io.BytesIO(json.dumps(body_of(question)).encode()) for question in questions]
    answers = [requests.post(url_of(base, query), data=file, headers=HEADERS) for file in files]
    return [said(answer.status_code, answer.text) for answer in answers]


def requests_iterator(base: str, query: str, questions: Sequence[str]) -> list[str]:
    texts = [json.dumps(body_of(question)).encode() for question in questions]
    answers = [requests.post(url_of(base, query), data=iter([text[:9], text[9:]]), headers=HEADERS) for text in texts]
    return [said(answer.status_code, answer.text) for answer in answers]


def urllib3_json(base: str, query: str, questions: Sequence[str]) -> list[str]:
    pool = urllib3.PoolManager(headers=HEADERS)
    answers = [pool.request("POST", url_of(base, query), json=body_of(question)) for question in questions]
    return [said(answer.status, answer.data) for answer in answers]


def urllib_json(base: str, query: str, questions: Sequence[str]) -> list[str]:
    def ask(question: str) -> str:
        data = json.dumps(body_of(question)).encode()
        with urllib.request.urlopen(urllib.request.Request(url_of(base, query), data, HEADERS)) as answer:
            return said(answer.status, answer.read())

    return [ask(question) for question in questions]


def _aiohttp(base: str, query: str, kwargs: Sequence[Body]) -> list[str]:
    async def ask() -> list[str]:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
            said_by = []
            for each in kwargs:
                async with session.post(url_of(base, query), **each) as answer:
                    said_by.append(said(answer.status, await answer.read()))
            return said_by

    return run(ask())


def aiohttp_json(base: str, query: str, questions: Sequence[str]) -> list[str]:
    return _aiohttp(base, query, [{"json": body_of(question)} for question in questions])


def aiohttp_form(base: str, query: str, questions: Sequence[str]) -> list[str]:
    return _aiohttp(base, query, [{"data": {"question": question, "user": "someone"}} for question in questions])


def aiohttp_pairs(base: str, query: str, questions: Sequence[str]) -> list[str]:
    return _aiohttp(base, query, [{"data": [("question", question), ("user", "someone")]} for question in questions])


def aiohttp_text(base: str, query: str, questions: Sequence[str]) -> list[str]:
    return _aiohttp(base, query, [{"data": json.dumps(body_of(question))} for question in questions])


SDKS: dict[str, Ask] = {
    "openai": openai_plain,
    "openai streamed": openai_streamed,
    "openai async": openai_async,
    "openai async streamed": openai_async_streamed,
    "anthropic": anthropic_plain,
    "anthropic streamed": anthropic_streamed,
    "anthropic async": anthropic_async,
    "anthropic async streamed": anthropic_async_streamed,
}
JSON_CLIENTS: dict[str, Ask] = {
    "httpx": httpx_plain,
    "httpx2": httpx2_plain,
    "httpx async": httpx_async,
    "httpx streamed": httpx_streamed,
    "requests": requests_json,
    "urllib3": urllib3_json,
    "urllib": urllib_json,
    "aiohttp": aiohttp_json,
    "aiohttp text": aiohttp_text,
}
OTHER_CLIENTS: dict[str, Ask] = {
    "requests form": requests_form,
    "requests file": requests_upload,
    "requests iterator": requests_iterator,
    "aiohttp form": aiohttp_form,
    "aiohttp pairs": aiohttp_pairs,
}
CLIENTS = SDKS | JSON_CLIENTS | OTHER_CLIENTS

# --- settings of stock vcrpy ------------------------------------------------------------------------------------------


def without_cookies(response: Body) -> Body:
    headers = {name: values for name, values in response["headers"].items() if name.lower() != "set-cookie"}
    # What is recorded is not what was answered: replay gives what is recorded.
    body = (response["body"]["string"] or b"").replace(b"echo", b"said")
    return {**response, "headers": headers, "body": {"string": body}}


def elsewhere(request: Any) -> Any:
    request.uri = request.uri.replace("/v1/", "/v2/")
    return request


@dataclass(frozen=True)
class Setting:
    """How stock vcrpy is told to record.

    Attributes:
        options: Of `vcr.use_cassette`.
        clients: Who asks.
        packed: Whether the server packs its answers with gzip.
        query: Added to the URLs.
        questions: What is asked.
        adopted: Further options that stock needs after adopting, as secrets are no longer in the file.
        ignore: Rules of `llm_cassette(ignore=...)`.
        loud: What we cannot know how to replay, and so must fail for: the text that says why.
    """

    options: Body = field(default_factory=dict)
    clients: dict[str, Ask] = field(default_factory=lambda: CLIENTS)
    packed: bool = False
    query: str = ""
    questions: tuple[str, ...] = QUESTIONS
    adopted: Body = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    loud: str = ""


WITH_KEY = f"api_key={KEY}&v=1"
AS_YAML = {"serializer": "yaml"}
BY_BODY = ["method", "uri", "body"]
# Of these, vcrpy compares what was passed, or the header Transfer-Encoding, which our form does not keep.
UNCOMPARED = {"aiohttp", "aiohttp form", "aiohttp pairs", "aiohttp text", "requests iterator"}
COMPARED = {name: ask for name, ask in CLIENTS.items() if name not in UNCOMPARED}
# aiohttp leaves out the content type of text, by which vcrpy knows what to filter.
FILTERED = {name: ask for name, ask in (SDKS | JSON_CLIENTS).items() if name != "aiohttp text"}
SETTINGS = {
    "default": Setting(),
    "gzip": Setting(packed=True),
    "decode_compressed_response": Setting({"decode_compressed_response": True}, packed=True),
    "filter_headers": Setting({"filter_headers": ["authorization", "x-api-key"]}),
    "filter_headers, replaced": Setting({"filter_headers": [("authorization", "DUMMY"), ("x-api-key", "DUMMY")]}),
    "filter_query_parameters": Setting({"filter_query_parameters": ["api_key"]}, query=WITH_KEY),
    "filter_query_parameters, replaced": Setting({"filter_query_parameters": [("api_key", "DUMMY")]}, query=WITH_KEY),
    "a key in the URL": Setting(query=WITH_KEY, adopted={"filter_query_parameters": ["api_key"]}),
    "filter_post_data_parameters": Setting(
        {"filter_post_data_parameters": ["user"]}, FILTERED, loud="user: not there -> "
    ),
    "filter_post_data_parameters, ignore=": Setting(
        {"filter_post_data_parameters": ["user"]}, FILTERED, ignore=("user",)
    ),
    "serializer json": Setting(
        {"serializer": "json"}, {**SDKS, **JSON_CLIENTS, "requests form": requests_form}, adopted=AS_YAML
    ),
    "serializer json, decoded": Setting(
        {"serializer": "json", "decode_compressed_response": True}, SDKS | JSON_CLIENTS, packed=True, adopted=AS_YAML
    ),
    "before_record_response": Setting({"before_record_response": without_cookies}),
    "before_record_request": Setting({"before_record_request": elsewhere}, SDKS | JSON_CLIENTS, loud="/v2/"),
    "match_on body": Setting({"match_on": BY_BODY}, COMPARED),
    # Without the body, vcrpy answers all questions with the first answer.
    "allow_playback_repeats": Setting(
        {"allow_playback_repeats": True, "match_on": BY_BODY}, COMPARED, questions=("red", "blue", "green")
    ),
    "allow_playback_repeats, repeated": Setting(
        {"allow_playback_repeats": True, "match_on": BY_BODY}, COMPARED, loud="recorded 1x, asked 2x"
    ),
    "drop_unused_requests": Setting({"drop_unused_requests": True}),
    "errors": Setting(clients=SDKS, questions=REFUSALS),
    "errors, gzip": Setting(clients=SDKS, questions=REFUSALS, packed=True),
}


@dataclass(frozen=True)
class Case:
    """One client under one setting."""

    client: str
    setting: str

    @property
    def name(self) -> str:
        return f"{self.client} / {self.setting}".replace(",", "").replace(" ", "-")

    def ask(self, questions: Sequence[str]) -> list[str]:
        setting = SETTINGS[self.setting]
        base = os.environ["MIGRATION_PACKED" if setting.packed else "MIGRATION_PLAIN"]
        # Whoever is refused once is known by its question.
        asked = [f"{question} {self.name}" if question in REFUSALS else question for question in questions]
        return setting.clients[self.client](base, setting.query, asked)


#: Who asks under every setting, and the settings under which everybody asks, where not all is tried.
SOME_CLIENTS = {"openai", "openai async streamed", "anthropic streamed", "httpx", "requests", "aiohttp"}
SOME_SETTINGS = {"default", "gzip"}


def cases(*, whole: bool) -> list[Case]:
    """Return what is tried."""
    return [
        Case(client, name)
        for name, setting in SETTINGS.items()
        for client in setting.clients
        if whole or name in SOME_SETTINGS or client in SOME_CLIENTS
    ]


def note(name: str, **what: Any) -> None:
    """Hand something to the process that started this one."""
    with Path(os.environ["MIGRATION_NOTES"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"name": name, **what}) + "\n")


def play(case: Case, file: Path, name: str) -> None:
    """Ask under stock vcrpy or, where the plugin has put its cassette in, as the test does."""
    setting, phase = SETTINGS[case.setting], os.environ["MIGRATION_PHASE"]
    if phase == "ours":
        note(case.name, answers=case.ask(setting.questions))
        return
    options = setting.options | (setting.adopted if phase == "stock" else {})
    suffix = options.get("serializer", "yaml")
    path = str(file.parent / "cassettes" / file.stem / f"{name}.{suffix}")
    if phase == "record":
        # With playback repeats, an equal question is answered from what was recorded before.
        repeated = setting.loud.startswith("recorded")
        with vcr.use_cassette(path, record_mode="all", **options):
            case.ask(sorted(set(setting.questions)) if repeated else setting.questions)
    with vcr.use_cassette(path, record_mode="none", **options):
        note(case.name, answers=case.ask(setting.questions))
