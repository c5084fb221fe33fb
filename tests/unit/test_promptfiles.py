from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pytest_llmeval.cases import Case
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.promptfiles import PromptFiles, Prompts

CASE = Case(id="a", input="{{ x }}", extra={"topic": "parcels"})


@pytest.fixture
def prompts(tmp_path: Path) -> Prompts:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "tests").mkdir()
    for name, text in {
        "prompts/sort.md": "Sort messages about {{ topic }}.\n",
        "prompts/plain.md": "Be brief.\n\nAlways.\n",
        "tests/near.md": "near",
        "near.md": "far",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Prompts(PromptFiles(tmp_path), tmp_path / "tests")


@pytest.mark.parametrize(
    ("written", "case", "made"),
    [
        ("Be brief.", CASE, "Be brief."),
        ("About {{ topic }}.\n", CASE, "About parcels."),
        ("{% if topic %}yes{% endif %}", CASE, "yes"),
        ("Use {{ braces }}.", None, "Use {{ braces }}."),
        ("{# no template #}", CASE, "{# no template #}"),
        ("@prompts/sort.md", CASE, "Sort messages about parcels."),
        ("@prompts/plain.md", CASE, "Be brief.\n\nAlways."),
        ("@prompts/plain.md", None, "Be brief.\n\nAlways."),
        ("@near.md", CASE, "near"),
        ("@@home I say {{ topic }}", CASE, "@home I say parcels"),
        ("@@home", None, "@home"),
        ("@Ann:\nplease sort", CASE, "@Ann:\nplease sort"),
    ],
)
def test_text_is_a_file_a_template_or_itself(prompts: Prompts, written: str, case: Case | None, made: str) -> None:
    assert prompts.text(written, "system", case) == made


def test_a_file_that_was_used_is_told_with_its_hash(prompts: Prompts) -> None:
    noted: dict[str, str] = {}
    prompts.text("@prompts/sort.md", "system", CASE, noted.__setitem__)
    prompts.text("no file", "system", CASE, noted.__setitem__)
    assert noted == {"prompts/sort.md": hashlib.sha256(b"Sort messages about {{ topic }}.\n").hexdigest()}


def test_ends_of_lines_make_no_difference(tmp_path: Path) -> None:
    read = []
    for name, data in (("a.md", b"x\ny\n"), ("b.md", b"x\r\ny\r\n"), ("c.md", b"\xef\xbb\xbfx\ny\n")):
        (tmp_path / name).write_bytes(data)
        file = PromptFiles(tmp_path).read(name, tmp_path)
        read.append((file.text, file.sha256))
    assert read == [("x\ny", hashlib.sha256(b"x\ny\n").hexdigest())] * 3


def refused(prompts: Prompts, written: Any, case: Case | None = CASE) -> str:
    with pytest.raises(ConfigError) as caught:
        prompts.text(written, "system", case)
    return str(caught.value)


def test_a_file_that_is_not_there_names_the_nearest_and_the_way_out(prompts: Prompts) -> None:
    message = refused(prompts, "@prompts/srt.md")
    assert message.startswith("system='@prompts/srt.md': prompts/srt.md: there is no such prompt in ")
    assert message.endswith(" Did you mean 'sort.md'? For text that begins with @, write @@.")


def test_a_fault_in_a_template_names_its_file_or_its_argument(prompts: Prompts) -> None:
    other = Case(id="a", input="x", extra={"tpic": 1})
    assert refused(prompts, "@prompts/sort.md", other).startswith("prompts/sort.md:1: 'topic' is undefined.")
    assert refused(prompts, "a\n{{ topic }}", other).startswith("system:2: 'topic' is undefined.")
    assert refused(prompts, "@prompts/sort.md", None).endswith("There is no case here to fill it from.")


def test_a_prompt_is_text(prompts: Prompts) -> None:
    assert refused(prompts, 5) == "system=5: should be text."
