"""Ask from async code, several questions at once."""

import anyio
import pytest

ADDRESSES = {
    "14 Rue des Lilas, Lyon": "France",
    "Alexanderplatz 1, Berlin": "Germany",
    "Shijo Street 2, Kyoto": "Japan",
    "Karl Johans gate 5, Oslo": "Norway",
    "500 Main Street, Houston": "USA",
    "Avenida Paulista 900, São Paulo": "Brazil",
}
EXAMPLES = [
    {"role": "user", "content": "12 Princes Street, Edinburgh"},
    {"role": "assistant", "content": "Scotland"},
    {"role": "user", "content": "Plaza Mayor 3, Madrid"},
    {"role": "assistant", "content": "Spain"},
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_countries(llm):
    found = {}

    async def ask(address):
        question = {"role": "user", "content": address}
        reply = await llm.acomplete([*EXAMPLES, question], system="Which country is it in?", max_tokens=16)
        found[address] = reply.content

    async with anyio.create_task_group() as tasks:
        for address in ADDRESSES:
            tasks.start_soon(ask, address)
    right = sum(found[address] == country for address, country in ADDRESSES.items())
    llm.record_score(right / len(ADDRESSES), name="country")
    assert right >= 4
