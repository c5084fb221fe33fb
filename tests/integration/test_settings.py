"""`[tool.llmeval]` and `llmeval.toml`, the options and ini keys, and what is said of those that cannot be used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_llmeval.markers import MARKERS
from tests.integration.conftest import OTHERS, Project

ASK = """
def test_ask(llm):
    assert llm.complete("Hi").json()["echo"] == "Hi"
"""

FAULTS = {
    "unknown table": ("[tool.llmeval.modles.x]", "tool.llmeval.modles: unknown key. Did you mean 'models'?"),
    "unknown key": (
        '[tool.llmeval.models.x]\nmodel = "openai:x"\nbase_ulr = "http://x"',
        "tool.llmeval.models.x.base_ulr: unknown key. Did you mean 'base_url'?",
    ),
    "unknown price": (
        '[tool.llmeval.models.x]\nmodel = "openai:x"\nprices = { inptu = 1 }',
        "tool.llmeval.models.x.prices*inptu: unknown key. Did you mean 'input'?",
    ),
    "missing key": ("[tool.llmeval.models.x]\n", "tool.llmeval.models.x.model: required, but not there"),
    "bad value": (
        '[tool.llmeval.models.x]\nmodel = "openai:x"\ntimeout = -1',
        "tool.llmeval.models.x.timeout: * (it is -1)",
    ),
    "bad choice": (
        '[tool.llmeval.models.x]\nmodel = "openai:x"\nhosting = "cloud"',
        "tool.llmeval.models.x.hosting: *'api', 'self-hosted' or 'local' (it is 'cloud')",
    ),
}


@pytest.mark.parametrize(("settings", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_its_file_and_path(project: Project, settings: str, said: str) -> None:
    project.write(ASK)
    project.add_settings(settings)
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {project.path}/pyproject.toml: settings that cannot be used:", f"  {said}"])
    assert len([line for line in result.errlines if line.startswith("  ")]) == 1


@pytest.mark.parametrize("where", ["ini", "marker", "nowhere"])
def test_a_fault_is_told_without_a_traceback_wherever_the_candidates_come_from(project: Project, where: str) -> None:
    marker = 'import pytest\n\npytestmark = pytest.mark.llm_models("chat")\n' if where == "marker" else ""
    project.write(marker + ASK)
    project.add_settings(FAULTS["unknown key"][0])
    result = project.run(*(["-o", "llm_models=chat"] if where == "ini" else []), models=None)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*/pyproject.toml: settings that cannot be used:", "*base_ulr: unknown key.*"])
    result.stdout.no_fnmatch_line("*plugin.py*")


def test_all_faults_are_told_at_once(project: Project) -> None:
    project.add_settings('[tool.llmeval.models.x]\nmodle = "openai:x"\ntimeout = 0')
    result = project.run()
    faults = [line.strip().split(":")[0].rpartition(".")[2] for line in result.errlines if line.startswith("  ")]
    assert sorted(faults) == ["model", "modle", "timeout"]


def test_a_broken_file_is_named(project: Project) -> None:
    project.write("[models\n", "llmeval.toml")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {project.path}/llmeval.toml: not valid TOML: *line 1*"])


@pytest.mark.parametrize("text", ["[tool]\nllmeval = 3", "[tool.llmeval]\nmodels = 3"])
def test_a_table_that_is_none_is_named(project: Project, text: str) -> None:
    project.write(text, "pyproject.toml")
    project.write(ASK)
    result = project.run("-c", "/dev/null", "--rootdir", project.path)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {project.path}/pyproject.toml*"])
    assert "Traceback" not in result.stderr.str()


def test_llmeval_toml_is_used_instead_of_pyproject(project: Project) -> None:
    project.write(ASK)
    project.write(f'[models.own]\nmodel = "openai:own"\nbase_url = "{project.server.url}"\n', "llmeval.toml")
    project.outcomes(models="own", passed=1)
    assert project.run(models="chat").ret == pytest.ExitCode.USAGE_ERROR


def test_parameters_of_a_candidate_are_sent_over_those_of_the_test(project: Project) -> None:
    project.add_model("other", 'model = "openai:o"\nparameters = { max_tokens = 5, temperature = "omit", top_k = 3 }')
    project.write("""
        import pytest

        @pytest.mark.llm_params(max_tokens=7, temperature=0.5, seed=1, system="module")
        class TestIt:
            @pytest.mark.llm_params(system="function")
            def test_it(self, llm):
                llm.complete("Hi", seed=2)
    """)
    project.outcomes(models="chat,other", passed=2)
    chat, other = project.server.asked
    assert chat == {
        "model": "chat",
        "messages": [{"role": "system", "content": "function"}, {"role": "user", "content": "Hi"}],
        "max_tokens": 7,
        "temperature": 0.5,
        "seed": 2,
    }
    assert {key: other.get(key) for key in ("max_tokens", "temperature", "top_k", "seed")} == {
        "max_tokens": 5,
        "temperature": None,
        "top_k": 3,
        "seed": 2,
    }


@pytest.mark.parametrize(("prices", "cost"), [("{ input = 1, output = 10 }", "0.00032"), ('"free"', "0")])
def test_prices_of_a_candidate_set_the_cost(project: Project, prices: str, cost: str) -> None:
    project.add_model("other", f'model = "openai:o"\nprices = {prices}')
    project.write(ASK)
    project.outcomes(models="other", passed=1)
    assert [call.cost for test in project.records().tests for call in test.calls] == [cost]


def test_without_prices_the_cost_is_unknown_and_not_zero(project: Project) -> None:
    project.add_model("other", 'model = "openai:o"')
    project.write(ASK)
    result = project.outcomes(models="other", passed=1)
    assert [call.cost for test in project.records().tests for call in test.calls] == [None]
    result.stdout.fnmatch_lines(["other * [?]", "unpriced *set `prices` for the model (other: 1 call)"])


@pytest.mark.parametrize(
    "option",
    [["--llm-record=sometimes"], ["-o", "llm_record=sometimes"], ["--llm-summary=maybe"], ["-o", "llm_summary=maybe"]],
)
def test_an_option_with_a_wrong_value_lists_the_right_ones(project: Project, option: list[str]) -> None:
    result = project.run(*option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{'once' if 'record' in option[-1] else 'off'}*"])
    assert "Traceback" not in result.stderr.str()


def test_every_setting_is_in_the_help(project: Project) -> None:
    result = project.run("--help")
    result.stdout.fnmatch_lines(["LLM evaluation (pytest-llmeval):", "*--llm-models=*", "*--llm-record=*"])
    result.stdout.fnmatch_lines(["*llm_models (linelist):*", "*llm_cassette_dir (string):*"])
    assert project.run("--markers").stdout.str().count("@pytest.mark.llm_") == len(MARKERS)


def test_a_run_without_llm_tests_imports_nothing_and_says_nothing(project: Project) -> None:
    project.write("""
        import sys

        def test_plain():
            heavy = {"openai", "anthropic", "vcr", "yaml", "pydantic", "rich", "httpx", "httpx2", "genai_prices"}
            assert sorted(heavy & set(sys.modules)) == []
    """)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *(f"-pno:{name}" for name in OTHERS)],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "llmeval:" not in done.stdout
    assert "LLM evaluation" not in done.stdout
