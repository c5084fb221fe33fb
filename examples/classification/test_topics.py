"""Sort short chat messages into four topics; the answer is one word."""

import pytest

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


@pytest.mark.llm_cases("messages.csv")
def test_topic(llm, llm_case):
    question = {"role": "user", "content": llm_case.input}
    reply = llm.complete([*TURNS, question], system="What is the message about?", max_tokens=16)
    topic = reply.content.strip().lower()
    assert topic in TOPICS
    llm.record_score(topic == llm_case.expected, name="topic")
