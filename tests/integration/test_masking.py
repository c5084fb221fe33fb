"""Secrets are taken out of what pytest reports; what a test sees of them stays as it is."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Project, others_but

TOKEN = "9fX2mQ7bTzLw4Rk8Vn3Hs6Yd"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_API_KEY", TOKEN)


def shown(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


def test_a_failing_test_shows_what_was_masked(project: Project) -> None:
    project.write("""
        import os

        def test_it(llm):
            key = os.environ["BANK_API_KEY"]
            print("printed", key)
            assert llm.complete("Hi").content == key
    """)
    result = project.outcomes("--showlocals", failed=1)
    assert TOKEN not in shown(result)
    result.stdout.fnmatch_lines(["key *= '[[]masked: the value of BANK_API_KEY[]]'", "printed [[]masked: *"])
    (record,) = project.records().tests
    assert record.message is not None
    assert TOKEN not in record.message
    assert "[masked: the value of BANK_API_KEY]" in record.message


def test_what_a_test_sees_is_not_masked(project: Project) -> None:
    project.write("""
        import logging, os
        import pytest

        def test_it(llm, caplog, capsys):
            key = os.environ["BANK_API_KEY"]
            llm.complete("Hi")
            with pytest.raises(ValueError, match=key):
                raise ValueError(key)
            print(key)
            assert capsys.readouterr().out.strip() == key
            with caplog.at_level(logging.INFO):
                logging.getLogger("app").info("asked %s of %d", "one", 2)
                logging.getLogger("app").info("key %s", key)
            assert caplog.messages == ["asked one of 2", "key [masked: the value of BANK_API_KEY]"]
            assert caplog.record_tuples[0] == ("app", logging.INFO, "asked one of 2")
            assert caplog.records[1].args == (key,)
    """)
    project.outcomes(passed=1)


def test_tests_without_models_are_left_alone(project: Project) -> None:
    project.write("""
        import logging, os

        def test_asks(llm):
            llm.complete("Hi")

        def test_plain(caplog):
            key = os.environ["BANK_API_KEY"]
            logging.getLogger("app").warning("key %s", key)
            assert caplog.messages == ["key " + key]
            assert key == "another"
    """)
    result = project.outcomes(passed=1, failed=1)
    assert TOKEN in shown(result)


def test_subtests_and_xdist_are_masked_too(project: Project) -> None:
    project.write("""
        import os

        def test_it(llm):
            print("printed", os.environ["BANK_API_KEY"])
            assert os.environ["BANK_API_KEY"] == "another"
    """)
    if hasattr(pytest, "Subtests"):
        project.write(
            """
            import os

            def test_sub(llm, subtests):
                with subtests.test("one"):
                    print("printed", os.environ["BANK_API_KEY"])
                    assert os.environ["BANK_API_KEY"] == "another"
            """,
            "test_sub.py",
        )
    for args in ((), ("-n1",)):
        result = project.run("-rA", *args, without=others_but())
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert TOKEN not in shown(result)
        assert "printed [masked: the value of BANK_API_KEY]" in shown(result)


def test_a_key_as_a_parameter_stands_in_no_node_id(project: Project) -> None:
    project.write("""
        import os
        import pytest

        @pytest.mark.parametrize("key", [os.environ["BANK_API_KEY"], "", "plain"])
        def test_it(llm, key):
            assert llm.complete("Hi").content
    """)
    result = project.outcomes("-v", passed=3)
    assert TOKEN not in shown(result)
    assert any("[key-masked].yaml" in name or "key-masked" in name for name in project.recordings())
    assert not any(TOKEN[:8] in name for name in project.recordings())
    project.outcomes("--llm-record=none", passed=3)


def test_an_id_that_someone_wrote_with_a_key_is_refused(project: Project) -> None:
    project.write("""
        import os
        import pytest

        @pytest.mark.parametrize("key", [1], ids=[os.environ["BANK_API_KEY"]])
        def test_it(llm, key):
            assert llm.complete("Hi").content
    """)
    result = project.run()
    result.stdout.fnmatch_lines(["*not written, since it would hold a secret (the name of the file: the value of*"])
    assert project.recordings() == []


def test_a_key_that_only_the_request_knew_is_masked_and_refused(project: Project) -> None:
    project.write(f"""
        import httpx

        def test_it(llm):
            headers = {{"x-api-key": "".join(["8gT5", "nW3c", "Kd7Y", "qJ2x"])}}
            echo = headers["x-api-key"]
            body = {{"messages": [{{"role": "user", "content": f"what is {{echo}}"}}]}}
            answer = httpx.post("{project.server.url}/chat/completions", json=body, headers=headers).text
            assert answer == "another"
    """)
    result = project.run("--showlocals", "--log-level=DEBUG")
    assert "8gT5nW3cKd7YqJ2x" not in shown(result)
    result.stdout.fnmatch_lines(["*not written*what a request carried in its header x-api-key*"])
    assert project.recordings() == []


def test_a_placeholder_for_a_key_changes_nothing(project: Project) -> None:
    project.write(f"""
        import openai

        def test_it(llm):
            client = openai.OpenAI(base_url="{project.server.url}", api_key="not-needed")
            messages = [{{"role": "user", "content": "is a key not-needed, or is it?"}}]
            answer = client.chat.completions.create(model="m", messages=messages).choices[0].message.content
            assert "not-needed" in answer
    """)
    project.outcomes(passed=1)
    assert "not-needed" in project.recording().read_text(encoding="utf-8")


def test_a_warning_is_masked(project: Project) -> None:
    project.write("""
        import os, warnings

        def test_it(llm):
            warnings.warn(f"old key {os.environ['BANK_API_KEY']}")
            assert llm.complete("Hi").content
    """)
    result = project.outcomes("-Wdefault", passed=1)
    assert TOKEN not in shown(result)
    result.stdout.fnmatch_lines(["*UserWarning: old key [[]masked: the value of BANK_API_KEY[]]"])
