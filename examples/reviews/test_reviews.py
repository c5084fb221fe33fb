"""Find out of 61 reviews which product each is about, and how the customer feels. Cases and prompt are files."""

from typing import Literal

import pytest
from pydantic import BaseModel

from pytest_llmeval import score_fields


class Review(BaseModel):
    """What the shop wants to know of a review."""

    product: str
    sentiment: Literal["positive", "neutral", "negative"]


@pytest.mark.llm_cases("reviews.jsonl", system="@prompts/review.md", schema=Review, max_tokens=40)
def test_review(llm_reply, llm_case):
    # "bathroom scale" will do where "scale" is expected.
    score = score_fields(llm_reply, llm_case.expected, compare={"product": "contains"}, name="review")
    # The server enforces the schema word by word, so only an answer that was cut off can be broken JSON.
    assert score.reason is None or llm_reply.cut
