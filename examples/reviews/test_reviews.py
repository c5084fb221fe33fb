"""Find out of 61 reviews which product each is about, and how the customer feels. Cases and prompt are files."""

from typing import Literal

import pytest
from pydantic import BaseModel

from pytest_llmeval import assert_json, score_fields


class Review(BaseModel):
    """What the shop wants to know of a review."""

    product: str
    sentiment: Literal["positive", "neutral", "negative"]


@pytest.mark.llm_cases("reviews.jsonl", system="@prompts/review.md", schema=Review, max_tokens=40)
def test_review(llm_reply, llm_case):
    found = assert_json(llm_reply, schema=Review)
    # "bathroom scale" will do where "scale" is expected.
    score_fields(found, llm_case.expected, compare={"product": "contains"}, name="review")
