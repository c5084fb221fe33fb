"""A piece of an application: it builds its own client, and knows nothing of tests."""

from openai import OpenAI

TEAMS = {"billing": "finance", "delivery": "logistics", "account": "it", "product": "sales"}
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


def team_for(message: str, model: str = "smollm2-135m") -> str:
    """Return the team that a message goes to; ``"support"`` where the model gives no topic that we know."""
    turns = [{"role": "system", "content": "What is the message about?"}]
    for example, topic in EXAMPLES:
        turns += [{"role": "user", "content": example}, {"role": "assistant", "content": topic}]
    turns.append({"role": "user", "content": message})
    client = OpenAI()
    completion = client.chat.completions.create(model=model, messages=turns, temperature=0, max_tokens=16)
    topic = (completion.choices[0].message.content or "").strip().lower()
    return TEAMS.get(topic, "support")
