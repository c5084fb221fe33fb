"""Sort short chat messages into four topics; the answer is one word."""

import csv
from operator import itemgetter
from pathlib import Path

import pytest

with Path(__file__).with_name("messages.csv").open(encoding="utf-8", newline="") as file:
    MESSAGES = list(csv.DictReader(file))

TOPICS = {"billing", "delivery", "account", "product"}
EXAMPLES = [
    ("Do you take credit cards?", "billing"),
    ("My order has not arrived yet.", "delivery"),
    ("I cannot sign in.", "account"),
    ("How long is the cable?", "product"),
    ("Tracking says that my parcel is in another city.", "delivery"),
    ("What colours does it come in?", "product"),
    ("Please change my phone number in my profile.", "account"),
    ("My refund is 5 euros short.", "billing"),
]
TURNS = [
    {"role": role, "content": text}
    for example in EXAMPLES
    for role, text in zip(("user", "assistant"), example, strict=True)
]


@pytest.mark.parametrize("message", MESSAGES, ids=itemgetter("id"))
def test_topic(llm, message):
    question = {"role": "user", "content": message["input"]}
    reply = llm.complete([*TURNS, question], system="What is the message about?", max_tokens=16)
    topic = reply.content.strip().lower()
    assert topic in TOPICS
    llm.record_score(topic == message["expected"], name="topic")
