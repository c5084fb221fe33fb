"""Stream replies to customers, which measures how soon the first word is there and how fast the others follow."""

import pytest

SYSTEM = "You are the support team of a web shop. Answer in one or two friendly sentences."
EXAMPLES = [
    {"role": "user", "content": "My lamp arrived with a broken switch. Maria"},
    {
        "role": "assistant",
        "content": "Dear Maria, we are sorry about the broken switch. A new lamp is on its way to you.",
    },
    {"role": "user", "content": "Which sizes of the rain jacket do you have? Ahmed"},
    {
        "role": "assistant",
        "content": "Dear Ahmed, the rain jacket comes in S, M and L. May we put one aside for you?",
    },
]
MESSAGES = {
    "John": "My order #4521 arrived damaged, the box was crushed. John",
    "Priya": "The tracking of my parcel has not moved since Tuesday. Priya",
    "Fatima": "I was charged twice this month. Fatima",
}


each_message = pytest.mark.parametrize("name", MESSAGES, ids=str.lower)


@each_message
def test_reply(llm, name):
    check_reply(llm, name)


@pytest.mark.llm_models("smollm2-messages")
@each_message
def test_reply_through_the_anthropic_sdk(llm, name):
    check_reply(llm, name)


def check_reply(llm, name):
    question = {"role": "user", "content": MESSAGES[name]}
    reply = llm.complete([*EXAMPLES, question], system=SYSTEM, max_tokens=60, stream=True)
    qualities = [
        reply.content.startswith(f"Dear {name},"),
        "sorry" in reply.content or "apologize" in reply.content,
        not reply.cut,
    ]
    llm.record_score(sum(qualities) / len(qualities), name="reply")
    assert reply.ttft_ms < 5_000
