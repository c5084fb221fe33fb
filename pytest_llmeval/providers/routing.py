"""Candidates made of candidates: who is asked, and who next."""

from __future__ import annotations

import importlib
import re
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from pytest_llmeval.bounds import BYTES_PER_TOKEN
from pytest_llmeval.breaker import CircuitBreaker
from pytest_llmeval.candidates import Candidate
from pytest_llmeval.checks import conforms
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.mixes import RouterSettings
from pytest_llmeval.pacing import Pace
from pytest_llmeval.providers.base import Provider, Request
from pytest_llmeval.providers.mixing import PASSING, Ask, Member, Mix, Steps, mixed, none_served
from pytest_llmeval.response import Response, Try
from pytest_llmeval.settings import ModelSettings

#: Providers' words for an answer that their rules did not let through, or that the model did not want to give.
REFUSALS = {"refusal", "content_filter"}
SIMPLE, COMPLEX = "simple", "complex"
#: An answer of one word takes no more.
FEW_TOKENS = 10
CLASSIFY = (
    "You sort the requests of users by how hard they are to answer. Answer with one word alone: simple, if a small "
    "model answers it well; complex, if it takes reasoning, several steps or knowledge of a field."
)
#: About what a classifier reads beside the request, and the most that it writes.
CLASSIFY_TOKENS = len(CLASSIFY) // BYTES_PER_TOKEN, FEW_TOKENS
ASK_SCORE = (
    "How sure are you that your last answer is right and complete? Answer with a whole number alone, from 0 (not at "
    "all) to 10 (certain)."
)


class InTurn(Mix):
    """Asks the first, and where that fails or its answer does not serve, the next: a fallback or a cascade.

    The last one is asked even if its circuit is open.

    Args:
        candidate: The mix.
        members: Whom to ask, in order.
        reasons: Why an answer does not serve.
        least: Score below which one is a ``low_score``.
    """

    def __init__(
        self, candidate: Candidate, members: Sequence[Member], reasons: Sequence[str], least: float = 0.0
    ) -> None:
        super().__init__(candidate, members)
        self._reasons = reasons
        self._least = least

    def steps(self, request: Request) -> Steps:
        """Yield whom to ask; return the first answer that serves, else the last that came.

        Raises:
            ProviderError: Nobody has answered.
        """
        tries: list[Try] = []
        for member in self.members:
            last = member is self.members[-1]
            tried = yield Ask(member, request, skip=not last and not member.breaker.allows())
            tries.append(tried)
            if tried.response is None:
                if tried.why not in PASSING:
                    break
                continue
            place = len(tries) - 1
            why = yield from self._complaint(member, request, tried.response, tries, last=last)
            if why is None:
                return mixed(tried, tries)
            tries[place] = replace(tried, why=why)
        answered = [place for place, tried in enumerate(tries) if tried.response is not None and tried.role == "answer"]
        if not answered:
            raise none_served(self.candidate.name, tries)
        # Better than none: the test says what it is worth.
        served = tries[answered[-1]] = replace(tries[answered[-1]], why=None)
        return mixed(served, tries)

    def _complaint(
        self, member: Member, request: Request, response: Response, tries: list[Try], *, last: bool
    ) -> Generator[Ask, Try, str | None]:
        """Return why an answer does not serve, or None."""
        found = next((why for why in self._reasons if _complains(why, request, response)), None)
        if found is not None or last or "low_score" not in self._reasons:
            return found
        tried = yield Ask(member, score_request(request, response), role="score")
        tries.append(tried)
        return "low_score" if score_of(tried.response) < self._least else None


def _complains(why: str, request: Request, response: Response) -> bool:
    if why == "refusal":
        return response.finish_reason in REFUSALS
    if why == "cut_off":
        return response.cut
    # An answer that calls tools has no text to be JSON.
    if response.tool_calls:
        return False
    if why == "invalid_json":
        return not is_json(response)
    return why == "schema" and request.schema is not None and not conforms(response.content, request.schema)


def is_json(response: Response) -> bool:
    """Whether an answer is JSON."""
    try:
        response.json()
    except (ValueError, RecursionError):
        return False
    return True


def score_request(request: Request, response: Response) -> Request:
    """Return what asks a model how sure it is of its answer."""
    answer = {"role": "assistant", "content": response.content or "(no text)"}
    asked = [*request.messages, answer, {"role": "user", "content": ASK_SCORE}]
    return Request(asked, request.system, max_tokens=FEW_TOKENS)


def score_of(response: Response | None) -> float:
    """Return the score (0-1) that a model gives itself; what is no number is no score, and counts 0.

    >>> score_of(Response(" 8.")), score_of(Response("I am sure")), score_of(Response("80"))
    (0.8, 0.0, 0.0)
    """
    found = re.fullmatch(r"\W*(10|\d)(?:\s*/\s*10)?\W*", response.content) if response is not None else None
    return int(found[1]) / 10 if found is not None else 0.0


class Router(Mix):
    """Asks one of two.

    Args:
        candidate: The mix.
        members: Who is asked what is simple, who is asked all else, and the classifier if there is one.
        settings: What decides.
    """

    def __init__(self, candidate: Candidate, members: Sequence[Member], settings: RouterSettings) -> None:
        super().__init__(candidate, members)
        self._settings = settings
        self._decide = _decider(candidate.name, settings)

    def steps(self, request: Request) -> Steps:
        """Yield whom to ask; return the answer of the one that was chosen.

        Raises:
            ProviderError: It has not answered, or the classifier has failed for good.
        """
        tries: list[Try] = []
        text = text_of(request)
        if self._decide is not None:
            route = self._decide(text)
        else:
            system = self._settings.prompt or CLASSIFY
            asked = Request([{"role": "user", "content": text}], system, max_tokens=FEW_TOKENS)
            tried = yield Ask(self.members[2], asked, role="classify")
            tries.append(tried)
            if tried.response is None and tried.why not in PASSING:
                raise none_served(self.candidate.name, tries)
            route = label_of(tried.response)
        tried = yield Ask(self.members[0 if route == SIMPLE else 1], request)
        tries.append(tried)
        if tried.response is None:
            raise none_served(self.candidate.name, tries)
        response = mixed(tried, tries)
        response.route = route
        return response


def label_of(response: Response | None) -> str:
    """Return what a classifier says: what is neither word counts as complex.

    >>> label_of(Response("Simple.")), label_of(Response("simple, I think")), label_of(None)
    ('simple', 'complex', 'complex')
    """
    said = re.sub(r"^\W+|\W+$", "", response.content).lower() if response is not None else ""
    return SIMPLE if said == SIMPLE else COMPLEX


def text_of(request: Request) -> str:
    """Return what a user has said last, as text: pictures are left out.

    >>> text_of(Request([{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url"}]}]))
    'Hi'
    """
    said = [message.get("content") for message in request.messages if message.get("role") == "user"]
    last = said[-1] if said else ""
    parts = last if isinstance(last, list | tuple) else [{"text": last}]
    return "\n".join(str(part["text"]) for part in parts if isinstance(part, dict) and part.get("text"))


def _decider(name: str, settings: RouterSettings) -> Callable[[str], str] | None:
    """Return what decides by the user's text; None if a classifier does."""
    if settings.rule is not None:
        return _rule(name, settings.rule)
    if settings.pattern is not None:
        pattern = re.compile(settings.pattern)
        return lambda text: COMPLEX if pattern.search(text) else SIMPLE
    longest = settings.longer_than
    return None if longest is None else lambda text: COMPLEX if len(text) > longest else SIMPLE


def _rule(name: str, rule: str) -> Callable[[str], str]:
    module, _, function = rule.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as exc:
        raise ConfigError(
            f"router of {name!r}: rule {rule!r} cannot be imported: {exc}. Name a module on Python's path, such as one "
            "in a folder of pytest's pythonpath, and a function in it."
        ) from exc
    if not callable(found):
        raise ConfigError(f"router of {name!r}: rule {rule!r} is no function.")

    def decide(text: str) -> str:
        try:
            route = found(text)
        except Exception as exc:
            # The user's code: whoever hides it as a candidate that does not answer helps nobody.
            frame = traceback.extract_tb(exc.__traceback__)[-1]
            where = f"{frame.filename}:{frame.lineno}"
            raise ConfigError(
                f"router of {name!r}: rule {rule!r} failed: {type(exc).__name__}: {exc} ({where})."
            ) from exc
        if route not in (SIMPLE, COMPLEX):
            raise ConfigError(f"router of {name!r}: rule {rule!r} returned {route!r}; return 'simple' or 'complex'.")
        return str(route)

    return decide


def build_mix(
    candidate: Candidate, provider_of: Callable[[Candidate], Provider], pace_of: Callable[[Candidate], Pace]
) -> Mix:
    """Return who answers for a candidate that is made of others.

    Args:
        candidate: The mix.
        provider_of: Returns the provider of a member, which may be a mix too.
        pace_of: Returns the pace of a member.

    Raises:
        ConfigError: The rule of a router cannot be used.
    """
    settings = candidate.mix or ModelSettings()
    breaker = settings.circuit_breaker
    members = [
        Member(each, provider_of(each), pace_of(each), CircuitBreaker(breaker.failures, breaker.cooldown))
        for each in candidate.members
    ]
    if settings.router is not None:
        return Router(candidate, members, settings.router)
    if settings.cascade is not None:
        return InTurn(candidate, members, settings.escalate_on, settings.min_score)
    return InTurn(candidate, members, settings.fallback_on)
