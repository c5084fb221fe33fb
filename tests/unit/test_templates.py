from __future__ import annotations

import pytest

from pytest_llmeval.cases import Case
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.templates import render

CASE = Case(
    id="late",
    input="Hi {{ order }} {% x",
    expected="delivery",
    tags=("a", "b"),
    extra={"order": 4521, "customer": {"name": "Ann"}, "Order No": 7, "items": ["x", "y"]},
    source="t.jsonl:3",
)
FIELDS = "The fields of case late (t.jsonl:3) are: id, tags, extra, input, order, customer, Order No, items."


def refused(text: str, case: Case | None = CASE) -> str:
    with pytest.raises(ConfigError) as caught:
        render(text, "prompts/x.md", case)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{{ order }}\n", "4521"),
        ("{{ order }}\n\n", "4521\n"),
        ("{{ customer.name }} {{ extra['Order No'] }}", "Ann 7"),
        ("{% for tag in tags %}{{ tag }};{% endfor %}{{ id }}", "a;b;late"),
        ("{{ nothing | default('-') }}{% if nothing is defined %}x{% endif %}", "-"),
        ("<b>{{ '<&>' }}</b>", "<b><&></b>"),
        ("{% raw %}{{ order }}{% endraw %}", "{{ order }}"),
    ],
)
def test_fields_of_the_case_are_variables(text: str, made: str) -> None:
    assert render(text, "x", CASE) == made


def test_what_stands_in_the_data_is_never_rendered() -> None:
    assert render("{{ input }}", "x", CASE) == "Hi {{ order }} {% x"


@pytest.mark.parametrize(
    "text", ["{{ expected }}", "{% if expected is defined %}x{% endif %}", "{{ input ~ expected }}"]
)
def test_the_answer_is_not_for_prompts(text: str) -> None:
    assert refused(text).startswith(
        "prompts/x.md: it uses 'expected', which prompts do not get: it would tell the model the answer."
    )


def test_a_name_that_is_not_there_is_told_with_line_fields_and_the_nearest() -> None:
    assert refused("a\n\nb {{ ordr }}") == (
        f"prompts/x.md:3: 'ordr' is undefined. Did you mean 'order'? {FIELDS} "
        "Where one may be missing, write {{ name | default('') }}."
    )
    assert refused("{{ customer.nme }}").startswith("prompts/x.md:1: 'dict object' has no attribute 'nme'.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n{{ order", "prompts/x.md:2: no template of Jinja2: unexpected end of template"),
        ("{% if %}", "prompts/x.md:1: no template of Jinja2: Expected an expression"),
        (
            "a\nb {{ 1 / 0 }}",
            "prompts/x.md:2: division by zero (ZeroDivisionError). This is with case late (t.jsonl:3).",
        ),
        ("{{ order + 'a' }}", "prompts/x.md:1: unsupported operand type(s) for +: 'int' and 'str' (TypeError)."),
        ("{% include 'y.md' %}", "prompts/x.md:1: no loader for this environment specified (TypeError)."),
        ("{{ 'abc' | random }}", "prompts/x.md:1: no template of Jinja2: No filter named 'random'"),
        ("{{ lipsum() }}", "prompts/x.md:1: 'lipsum' is undefined."),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "prompts/x.md:1: maximum recursion depth exceeded"),
    ],
)
def test_a_template_that_fails_says_where_and_why(text: str, said: str) -> None:
    assert refused(text).startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        "{{ input.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ input | attr('__class__') }}",
        "{{ '{0.__class__}'.format(input) }}",
        "{{ items.append('z') }}",
        "{{ customer.update({'name': 'x'}) }}",
        "{{ self.__init__ }}",
        "{% for n in range(1000000) %}{% endfor %}",
    ],
)
def test_the_sandbox_holds(text: str) -> None:
    assert "(SecurityError)" in refused(text) or "(OverflowError)" in refused(text)
    assert CASE.extra["customer"] == {"name": "Ann"}


def test_without_a_case_there_is_nothing_to_fill_in() -> None:
    assert render("{% raw %}{{ x }}{% endraw %}", "x", None) == "{{ x }}"
    assert (
        refused("{{ input }}", None) == "prompts/x.md:1: 'input' is undefined. There is no case here to fill it from."
    )
