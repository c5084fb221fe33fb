"""Test application code that asks a model by itself: what it sends is recorded and replayed all the same."""

import pytest
from triage import team_for

pytestmark = pytest.mark.llm_cassette


@pytest.fixture(autouse=True)
def local_server(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8101/v1")
    # The server asks for no key, but the client does not start without one.
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.mark.parametrize(
    ("message", "team"),
    [
        pytest.param("The driver says nobody was home, but I was here all day.", "logistics", id="delivery"),
        pytest.param("There are two payments on my card for one order.", "finance", id="billing"),
        pytest.param("How do I change my e-mail address?", "it", id="account"),
    ],
)
def test_messages_go_to_the_team_that_can_answer(message, team):
    assert team_for(message) == team
