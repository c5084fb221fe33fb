"""Extract who writes, what the matter is and how they feel from the messages that a support team gets."""

import json
from pathlib import Path
from statistics import fmean
from typing import Literal

import pytest
from pydantic import BaseModel

from pytest_llmeval import assert_json, load_cases, score_fields

TICKETS = load_cases(Path(__file__).with_name("tickets.jsonl"))


class Ticket(BaseModel):
    """What a support team wants to know of a message."""

    name: str
    issue: str
    sentiment: Literal["positive", "neutral", "negative"]


SYSTEM = "Extract who writes the message, the issue in two or three words, and the sentiment. Return JSON."

# To a small model, four examples say more than a long explanation.
EXAMPLES = {
    "The coat is warm and looks great, thanks to Peter for the advice! Emma Berg": {
        "name": "Emma Berg",
        "issue": "warm coat",
        "sentiment": "positive",
    },
    "Bonjour, je suis Paul Martin. La porte du four ne ferme plus.": {
        "name": "Paul Martin",
        "issue": "broken oven",
        "sentiment": "negative",
    },
    "Hello, this is Ahmed Hassan. Which sizes of the rain jacket do you have?": {
        "name": "Ahmed Hassan",
        "issue": "jacket sizes",
        "sentiment": "neutral",
    },
    "The lamp I bought has a broken switch. I am really annoyed. Maria Lopez": {
        "name": "Maria Lopez",
        "issue": "broken lamp",
        "sentiment": "negative",
    },
}

# The same issue can be put in several ways: the data names those that we take. The rest is compared as text.
COMPARE = {"issue": "one_of"}


def conversation(message):
    turns = []
    for example, answer in EXAMPLES.items():
        turns.append({"role": "user", "content": example})
        turns.append({"role": "assistant", "content": json.dumps(answer)})
    return [*turns, {"role": "user", "content": message}]


MESSAGES = [ticket.input for ticket in TICKETS]
CONVERSATIONS = [conversation(message) for message in MESSAGES]

each_ticket = pytest.mark.llm_cases(TICKETS)


@each_ticket
def test_ticket(llm, llm_case):
    reply = llm.complete(conversation(llm_case.input), system=SYSTEM, schema=Ticket, max_tokens=80)
    found = assert_json(reply, schema=Ticket)
    # The score goes into the summary. How good is good enough, the next test says, of all tickets together.
    score_fields(found, llm_case.expected, compare=COMPARE, name="ticket")


def test_all_tickets_are_good_enough(llm):
    scores = [
        score_fields(reply, ticket.expected, compare=COMPARE, name="ticket")
        for reply, ticket in zip(ask_all(llm, CONVERSATIONS), TICKETS, strict=True)
    ]
    names = [field.score for score in scores for field in score.fields if field.path == "name"]
    assert fmean(scores) >= 0.45
    assert fmean(names) >= 0.75


def test_all_tickets_without_examples(llm):
    for reply, ticket in zip(ask_all(llm, MESSAGES), TICKETS, strict=True):
        score = score_fields(reply, ticket.expected, compare=COMPARE, name="ticket without examples")
        # The server enforces the schema word by word, so only an answer that was cut off can be broken JSON.
        assert score.reason is None or reply.cut


@pytest.mark.llm_models("smollm2-messages")
@each_ticket
def test_ticket_through_the_anthropic_sdk(llm, llm_case):
    reply = llm.complete(conversation(llm_case.input), system=SYSTEM, schema=Ticket, max_tokens=80)
    # This endpoint enforces no schema, so it is asked for in the prompt, and not every answer need conform to it.
    found = assert_json(reply)
    score_fields(found, llm_case.expected, compare=COMPARE, name="ticket")


def ask_all(llm, prompts):
    # One at a time, since a second request would only queue up in front of a server on this machine.
    return llm.complete_many(prompts, concurrency=1, system=SYSTEM, schema=Ticket, max_tokens=80)
