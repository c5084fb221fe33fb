"""Places where a secret can be planted: what the code under test sends, and what the server answers."""

from __future__ import annotations

import base64
import gzip
import json
import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

from tests.dialects import (
    ANTHROPIC,
    OPENAI,
    anthropic_start,
    block_delta,
    block_start,
    message_delta,
    openai_answer,
    openai_chunk,
)
from tests.servers import Reply, json_reply, sse_reply

#: What is done with a recording: written without the secret, not written, or nothing that would be kept anyway.
DROPPED, REFUSED, NOT_KEPT = "dropped", "refused", "not kept"

PIECE = 7
#: A variable for this canary alone; `KEY_OF_ENV` in its code is the value.
OWN = "its own"


@dataclass(frozen=True)
class Asked:
    """One request that the server got."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def _fine(asked: Asked) -> Reply:
    return json_reply(ANTHROPIC.answer if asked.path.endswith("/messages") else OPENAI.answer)


@dataclass(frozen=True)
class Canary:
    """One secret in one place.

    Attributes:
        place: Where it is planted.
        secret: The secret itself.
        core: The random part of it: what must be seen nowhere.
        code: Statements of a test; `URL` is the server, and `answer` is what they end with.
        written: What is to be done with the recording.
        env: Variables of the process that runs the test.
        reply: What the server answers.
        settings: Keys of the candidate `NAME`, for tests that take `llm`.
        parameter: Whether the test is parametrized with the secret.
        answers: Whether the test gets an answer, and not an exception.
    """

    place: str
    secret: str
    core: str
    code: str
    written: str = DROPPED
    env: Mapping[str, str] = field(default_factory=dict)
    reply: Callable[[Asked], Reply] = _fine
    settings: str = ""
    parameter: bool = False
    answers: bool = True

    @property
    def slug(self) -> str:
        """Its place as a name of a module."""
        return "".join(char if char.isalnum() else "_" for char in self.place.lower())


def canary(place: str, code: str, prefix: str = "", *, variable: str = "PLANTED", **rest: Any) -> Canary:
    """Return a canary; its secret, in place of ``SECRET`` in `env`, is random but the same in each run.

    Args:
        place: Where it is planted.
        code: Statements of the test.
        prefix: What the secret begins with, so that its shape is known.
        variable: The environment variable that holds it. ``PLANTED`` is none that is known to hold keys.
        **rest: Attributes of `Canary`; `reply` gets the secret first.
    """
    own = "".join(char if char.isalnum() else "_" for char in f"A {place}".upper()) + "_API_KEY"
    code = code.replace("KEY_OF_ENV", f"os.environ['{own}']")
    variable = own if variable == OWN else variable
    chance = random.Random(place)
    core = "".join(chance.choice(string.ascii_letters + string.digits) for _ in range(24)) + "7q"
    secret = prefix + core
    reply = rest.pop("reply", None)
    if reply:
        rest["reply"] = lambda asked: reply(secret, asked)
    env = {name: value.replace("SECRET", secret) for name, value in rest.pop("env", {variable: "SECRET"}).items()}
    return Canary(place, secret, core, dedent(code).strip(), env=env, **rest)


OPENAI_SDK = """
import openai
key = "not-needed"
client = openai.OpenAI(base_url=f"{URL}/v1", api_key=key, max_retries=0)
messages = [{"role": "user", "content": "Hi"}]
"""
ANTHROPIC_SDK = """
import anthropic
client = anthropic.Anthropic(base_url=URL, api_key="not-needed", max_retries=0)
messages = [{"role": "user", "content": "Hi"}]
"""
CHAT = OPENAI_SDK + 'answer = client.chat.completions.create(model="m", messages=messages)\n'
CHAT_STREAM = (
    OPENAI_SDK
    + """
answer = list(client.chat.completions.create(model="m", messages=messages, stream=True))
pieces = [chunk.choices[0].delta.content for chunk in answer if chunk.choices]
joined = "".join(piece or "" for piece in pieces)
"""
)
MESSAGES_STREAM = (
    ANTHROPIC_SDK
    + """
with client.messages.stream(model="m", max_tokens=9, messages=messages) as stream:
    events = list(stream)
    answer = stream.get_final_message()
"""
)
POST = """
import httpx
response = httpx.post(f"{URL}/v1/chat", json=BODY, headers=HEADERS)
headers = list(response.headers.items())
answer = response.text
"""


def posted(body: str = '{"q": "Hi"}', headers: str = "{}") -> str:
    """Return a test that posts this body with these headers through httpx."""
    return POST.replace("BODY", body).replace("HEADERS", headers)


def sent(content: str, headers: str = "{}") -> str:
    """Return a test that posts these bytes."""
    return posted().replace('json={"q": "Hi"}, headers={}', f"content={content}, headers={headers}")


def pieces_of(secret: str) -> list[str]:
    """Return a text that holds the secret, in pieces as a stream brings it."""
    text = f"The key is {secret}, keep it."
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def chat(content: str, status: int = 200) -> Reply:
    """Return a chat answer."""
    return json_reply(openai_answer({"content": content}), status)


def chat_stream(deltas: list[dict[str, Any]]) -> Reply:
    """Return a streamed chat answer of these deltas."""
    return sse_reply(*(openai_chunk(**delta) for delta in deltas), openai_chunk("stop"), "[DONE]")


def tool_stream(secret: str, _: Asked) -> Reply:
    """Bring a tool call whose arguments hold the secret."""
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"k": "'}}
    parts = [{"index": 0, "function": {"arguments": piece}} for piece in [*pieces_of(secret), '"}']]
    return chat_stream([{"tool_calls": [part]} for part in [first, *parts]])


def message_stream(start: dict[str, Any], deltas: list[dict[str, Any]]) -> Reply:
    """Return a streamed message of one block."""
    opening = [anthropic_start(input_tokens=1, output_tokens=1), block_start(start)]
    closing = [{"type": "content_block_stop", "index": 0}, message_delta("end_turn", output_tokens=1)]
    return sse_reply(*opening, *map(block_delta, deltas), *closing, {"type": "message_stop"})


def partial_json(secret: str, _: Asked) -> Reply:
    """Bring a tool use whose input holds the secret."""
    parts = ['{"k": "', *pieces_of(secret), '"}']
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    return message_stream(block, [{"type": "input_json_delta", "partial_json": part} for part in parts])


def thinking(secret: str, _: Asked) -> Reply:
    """Bring thoughts that hold the secret."""
    block = {"type": "thinking", "thinking": "", "signature": ""}
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces_of(secret)]
    return message_stream(block, [*deltas, {"type": "signature_delta", "signature": "c2ln"}])


def responses(secret: str, _: Asked) -> Reply:
    """Bring an answer of the Responses API in deltas, and no whole text at the end."""
    common = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    whole = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [], "status": "completed"}
    deltas = [{"type": "response.output_text.delta", **common, "delta": piece} for piece in pieces_of(secret)]
    return sse_reply(*deltas, {"type": "response.completed", "response": whole})


def echoed(status: int) -> Callable[[str, Asked], Reply]:
    """Return a server that repeats the key in the error that it answers with."""
    return lambda secret, _: json_reply({"error": {"message": f"Incorrect API key provided: {secret}."}}, status)


def with_headers(**headers: str) -> Callable[[str, Asked], Reply]:
    """Return a server that answers with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda secret, _: Reply(
        (json.dumps(OPENAI.answer).encode(),),
        headers={name: value.replace("SECRET", secret) for name, value in named.items()},
    )


def in_chunks(secret: str, _: Asked) -> Reply:
    """Split the answer in the middle of the secret, over chunks of HTTP that go out one by one."""
    body = json.dumps(openai_answer({"content": f"It is {secret}."}))
    middle = body.index(secret) + len(secret) // 2
    return Reply((body[:middle].encode(), body[middle:].encode()), chunked=True)


def zipped(secret: str, _: Asked) -> Reply:
    """Compress the answer."""
    body = gzip.compress(json.dumps(openai_answer({"content": f"It is {secret}."})).encode())
    return Reply((body,), headers={"content-encoding": "gzip"})


def escaped(secret: str, _: Asked) -> Reply:
    """Write each character of the secret as an escape of JSON."""
    body = json.dumps(openai_answer({"content": "It is SECRET."}))
    return Reply((body.replace("SECRET", "".join(f"\\u{ord(char):04x}" for char in secret)).encode(),))


def redirected(secret: str, asked: Asked) -> Reply:
    """Send the client to a signed URL."""
    if "signature" in asked.path.lower():
        return chat("Hello")
    return Reply((b"",), 307, headers={"location": f"{asked.path}?X-Amz-Signature={secret}"})


def _answers(text: str) -> Callable[[str, Asked], Reply]:
    return lambda secret, _: chat(text.replace("SECRET", secret))


def _encoded(secret: str, _: Asked) -> Reply:
    return chat("data:" + base64.b64encode(f"the file says {secret} in its third line".encode()).decode())


def _llm(place: str, call: str, prefix: str = "", **rest: Any) -> Canary:
    key = "".join(char if char.isalnum() else "_" for char in f"A {place}".upper()) + "_KEY"
    model = ("anthropic" if "nthropic" in place else "openai") + ":m"
    settings = f'model = "{model}"\napi_key_env = "{key}"\nmax_retries = 0'
    return canary(place, f"answer = {call}", prefix, variable=key, settings=settings, **rest)


AUTHORIZED = "{'authorization': f'Bearer {PLANTED}'}"
REQUEST_HEADERS = (
    _llm("our OpenAI client, Authorization", 'llm.complete("Hi")'),
    _llm("our Anthropic client, X-Api-Key", 'llm.complete("Hi")'),
    canary(
        "OpenAI SDK, Authorization", CHAT.replace('"not-needed"', 'os.environ["OPENAI_API_KEY"]'),
        variable="OPENAI_API_KEY",
    ),
    canary(
        "Anthropic SDK, X-Api-Key",
        ANTHROPIC_SDK.replace('"not-needed"', 'os.environ["ANTHROPIC_API_KEY"]')
        + 'answer = client.messages.create(model="m", max_tokens=9, messages=messages)',
        variable="ANTHROPIC_API_KEY",
    ),
    canary("OPENAI_ORG_ID, openai-organization", CHAT, "org-", variable="OPENAI_ORG_ID"),
    canary("OPENAI_PROJECT_ID, openai-project", CHAT, "proj_", variable="OPENAI_PROJECT_ID"),
    canary(
        "httpx, X-Goog-Api-Key", posted(headers="{'x-goog-api-key': os.environ['GEMINI_API_KEY']}"),
        variable="GEMINI_API_KEY",
    ),
    canary(
        "requests, Api-Key",
        """
        import requests
        response = requests.post(f"{URL}/v1", json={"q": 1}, headers={"Api-Key": os.environ["AZURE_OPENAI_API_KEY"]})
        answer = response.text
        """,
        variable="AZURE_OPENAI_API_KEY",
    ),
    canary(
        "aiohttp, Authorization",
        """
        import aiohttp, asyncio
        async def post():
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {PLANTED}"}) as session:
                async with session.post(f"{URL}/v1", json={"q": 1}) as response:
                    return await response.text()
        answer = asyncio.run(post())
        """,
    ),
    canary("httpx, a key of no variable", posted(headers=AUTHORIZED)),
    canary("httpx, Basic", posted().replace("headers={}", "auth=('user', PLANTED)")),
    canary("httpx, Cookie", posted(headers="{'cookie': f'session={PLANTED}; lang=en'}")),
    canary(
        "httpx, User-Agent", posted(headers="{'user-agent': KEY_OF_ENV}"), written=REFUSED,
        variable=OWN,
    ),
)  # fmt: skip

BOTO = """
import boto3
from botocore.config import Config
config = Config(retries={"max_attempts": 1})
client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=URL, config=config)
answer = client.invoke_model(modelId="m", body=json.dumps({"q": QUESTION}))["body"].read()
"""
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
AWS_CLIENT = (
    canary(
        "boto3, AWS_SESSION_TOKEN in its header", BOTO.replace("QUESTION", "1"),
        env={**AWS, "AWS_SESSION_TOKEN": "SECRET"},
    ),
    canary(
        "boto3, AWS_SECRET_ACCESS_KEY in the body",
        BOTO.replace("QUESTION", "os.environ['AWS_SECRET_ACCESS_KEY']"),
        written=REFUSED, env={**AWS, "AWS_SECRET_ACCESS_KEY": "SECRET"},
    ),
)  # fmt: skip

GET = "import httpx\nanswer = httpx.get(ADDRESS, follow_redirects=True).text"
URLS = (
    canary("URL, ?key=", GET.replace("ADDRESS", "f'{URL}/v1?key={PLANTED}&alt=sse'")),
    canary(
        "URL, ?api_key= of requests",
        'import requests\nanswer = requests.get(f"{URL}/v1", params={"api_key": PLANTED}).text',
    ),
    canary(
        "URL, password",
        GET.replace("ADDRESS", "URL.replace('://', f'://user:{PLANTED}@') + '/v1'"),
    ),
    canary(
        "URL, path", GET.replace("ADDRESS", "URL + '/bot' + KEY_OF_ENV + '/send'"), written=REFUSED,
        variable=OWN,
    ),
    canary("URL, signed", GET.replace("ADDRESS", "f'{URL}/f?X-Amz-Date=1&X-Amz-Signature={PLANTED}'")),
    canary("URL, signed, of a redirect", GET.replace("ADDRESS", "f'{URL}/f'"), reply=redirected),
)  # fmt: skip

KEY = "KEY_OF_ENV"
UPLOAD = posted().replace('json={"q": "Hi"}', "files={'f': FILE}")
REQUEST_BODIES = tuple(
    canary(f"request body, {place}", code, "sk-proj-" if "shape" in place else "", variable=variable, written=REFUSED)
    for place, code, variable in (
        ("prompt", CHAT.replace('"Hi"', "'My key is ' + KEY_OF_ENV"), OWN),
        ("JSON in JSON", posted(f"{{'a': json.dumps({{'b': json.dumps({KEY})}})}}"), OWN),
        (
            "escapes of JSON",
            sent(f"('\"' + ''.join(f'\\\\u{{ord(c):04x}}' for c in {KEY}) + '\"').encode()"),
            OWN,
        ),
        ("percent-encoded form", sent("('q=' + ''.join(f'%{ord(c):02X}' for c in " + KEY + ")).encode()"), OWN),
        ("hex", posted(f"{{'h': {KEY}.encode().hex()}}"), OWN),
        ("base64", posted(f"{{'h': b64('user:' + {KEY} + '!')}}"), OWN),
        ("base64 in base64", posted(f"{{'h': b64(b64('xy' + {KEY} + 'z'))}}"), OWN),
        ("gzip", sent(f"gzip.compress(b'x' * 50 + {KEY}.encode())", "{'content-encoding': 'gzip'}"), OWN),
        ("upload", UPLOAD.replace("FILE", f"('f.bin', b'\\x00\\xff' + {KEY}.encode())"), OWN),
        ("upload in UTF-16", UPLOAD.replace("FILE", f"{KEY}.encode('utf-16')"), OWN),
        ("a shape, of no variable", posted("{'q': PLANTED}"), "PLANTED"),
        ("a shape in base64", posted("{'q': b64(f'it is {PLANTED} or so')}"), "PLANTED"),
        ("tool definition", posted(f"{{'tools': [{{'function': {{'description': {KEY}}}}}]}}"), OWN),
    )
)  # fmt: skip

ANSWER_HEADERS = (
    canary("answer, Set-Cookie", CHAT, reply=with_headers(set_cookie="__cf_bm=SECRET; path=/; HttpOnly")),
    canary("answer, openai-organization", posted(), reply=with_headers(openai_organization="org-SECRET")),
    canary("answer, Authorization", posted(), reply=with_headers(authorization="Bearer SECRET")),
    canary(
        "answer, a header of its own", posted(), variable=OWN, reply=with_headers(x_debug="key is SECRET"),
    ),
)  # fmt: skip

ERRORS = (
    canary("400 that echoes the key", posted(), variable=OWN, reply=echoed(400), written=REFUSED),
    canary(
        "400 that echoes a key of no variable", posted(headers=AUTHORIZED), reply=echoed(400), written=REFUSED,
    ),
    canary(
        "400 that echoes the key of ?key=",
        posted().replace("/v1/chat", "/v1/chat?key={PLANTED}"), reply=echoed(400), written=REFUSED,
    ),
    canary(
        "400 that tells the organisation",
        posted(), "org-", written=REFUSED,
        reply=lambda secret, _: json_reply({"error": {"message": f"No such model for {secret}"}}, 400),
    ),
    canary(
        "401 that echoes the key",
        OPENAI_SDK.replace('"not-needed"', "KEY_OF_ENV")
        + "try:\n    client.models.list()\nexcept openai.APIError as exc:\n    answer = error = exc",
        variable=OWN, reply=echoed(401), written=NOT_KEPT,
    ),
    _llm("401 that echoes the key, our client", 'str(pytest.raises(Exception, llm.complete, "Hi").value)',
         reply=echoed(401), written=NOT_KEPT),
    canary("500 that echoes the key", posted(headers=AUTHORIZED), reply=echoed(500), written=NOT_KEPT),
    canary(
        "429 that echoes the key, raised",
        OPENAI_SDK.replace('"not-needed"', "KEY_OF_ENV") + "answer = None\nclient.models.list()",
        variable=OWN, reply=echoed(429), written=NOT_KEPT, answers=False,
    ),
)  # fmt: skip

PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIB"
    + "SECRET\n-----END PRIVATE KEY-----\n"
)
ANSWERS = tuple(
    canary(f"answer, {place}", CHAT, prefix, variable=variable, written=REFUSED, reply=reply)
    for place, prefix, variable, reply in (
        ("text", "", OWN, _answers("It is SECRET.")),
        ("a shape, of no variable", "sk-ant-api03-", "PLANTED", _answers("It is SECRET.")),
        ("JSON web token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.", "PLANTED", _answers("SECRET")),
        ("private key", "", "PLANTED", _answers(PEM)),
        ("signed URL", "", "PLANTED", _answers("https://b.example.com/i.png?se=2026&sp=r&sig=SECRET&x=1")),
        ("split over chunks", "", OWN, in_chunks),
        ("gzip", "", OWN, zipped),
        ("escapes of JSON", "", OWN, escaped),
        ("a shape in escapes of JSON", "gsk_", "PLANTED", escaped),
        ("base64", "", OWN, _encoded),
        ("a shape in base64", "ghp_X6b2", "PLANTED", _encoded),
    )
)  # fmt: skip

STREAMS = (
    _llm("stream, our client", 'llm.complete("Hi", stream=True).content', written=REFUSED,
         reply=lambda secret, _: chat_stream([{"content": piece} for piece in pieces_of(secret)])),
    canary(
        "stream, content", CHAT_STREAM, variable=OWN, written=REFUSED,
        reply=lambda secret, _: chat_stream([{"content": piece} for piece in pieces_of(secret)]),
    ),
    canary(
        "stream, a shape, of no variable", CHAT_STREAM, "sk-proj-", written=REFUSED,
        reply=lambda secret, _: chat_stream([{"content": piece} for piece in pieces_of(secret)]),
    ),
    canary("stream, tool arguments", CHAT_STREAM, variable=OWN, written=REFUSED, reply=tool_stream),
    canary("stream, partial_json", MESSAGES_STREAM, variable=OWN, written=REFUSED, reply=partial_json),
    canary("stream, thinking", MESSAGES_STREAM, variable=OWN, written=REFUSED, reply=thinking),
    canary(
        "stream, Responses API",
        OPENAI_SDK + 'answer = list(client.responses.create(model="m", input="Hi", stream=True))',
        variable=OWN, written=REFUSED, reply=responses,
    ),
    canary(
        "stream, a text of each line", posted() + "lines = answer.splitlines()", variable=OWN,
        written=REFUSED, reply=lambda secret, _: chat_stream([{"content": piece} for piece in pieces_of(secret)]),
    ),
)  # fmt: skip

REPORTED = (
    canary("print and a logger", posted() + """
print("the key is", KEY_OF_ENV)
logging.getLogger("app").warning("key %s, %r", KEY_OF_ENV, {"key": KEY_OF_ENV})
""", variable=OWN),
    canary("a logged exception", posted() + """
try:
    raise ValueError(KEY_OF_ENV)
except ValueError:
    logging.getLogger("app").exception("failed")
""", variable=OWN),
    canary("a warning", posted() + 'warnings.warn("old key " + KEY_OF_ENV)', variable=OWN),
    canary("a property of JUnit XML", posted() + 'record_property("key", KEY_OF_ENV)', variable=OWN),
    canary("chained exceptions", posted() + """
try:
    raise ValueError(KEY_OF_ENV)
except ValueError as exc:
    error = exc
    answer = f"{exc}"
""", variable=OWN),
    canary("a long value that is cut", posted() + """
answer = {"x" * 60: "y" * 54 + KEY_OF_ENV + "z" * 300}
deep = "y" * 95 + KEY_OF_ENV + "z" * 300
later = "y" * 300 + KEY_OF_ENV + "z" * 90
""", variable=OWN),
    canary("the parameter of a test", posted(), variable=OWN, parameter=True),
)  # fmt: skip

CANARIES = (
    *REQUEST_HEADERS, *AWS_CLIENT, *URLS, *REQUEST_BODIES, *ANSWER_HEADERS, *ERRORS, *ANSWERS, *STREAMS, *REPORTED,
)  # fmt: skip
