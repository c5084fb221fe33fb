"""A case passes or fails by how many of its samples passed: `llm_repeat(n, min_pass_rate=...)`."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.integration.conftest import Project, others_but

# The server numbers its answers, so that a sample can pass or fail by the number that it got.
RATED = """
import pytest

@pytest.mark.llm_repeat({n}, min_pass_rate={rate})
def test_ask(llm):
    n = llm.complete("Hi").json()["n"]
    assert n not in {bad}, f"answer {{n}} is bad"
"""


def rated(project: Project, *bad: int, n: int = 10, rate: float = 0.8) -> Project:
    """Write a test of one case, some of whose answers are bad."""
    project.write(RATED.format(n=n, rate=rate, bad=bad))
    return project


def said(result: pytest.RunResult) -> str:
    """Return pytest's last line."""
    return result.outlines[-1].strip("= ").rpartition(" in ")[0]


def test_a_case_passes_at_its_rate_and_no_failed_sample_counts_as_passed(project: Project) -> None:
    result = rated(project, 2, 7).run("-v")
    assert (result.ret, said(result)) == (pytest.ExitCode.OK, "8 passed, 2 sample failed")
    result.stdout.fnmatch_lines(["*::test_ask?chat-sample2? SAMPLE FAILED (answer 2 is bad)*"])
    result.stdout.no_fnmatch_line("*FAILURES*")
    assert [test.outcome for test in project.records().tests].count("failed") == 2


def test_a_case_fails_once_below_its_rate_and_says_why(project: Project) -> None:
    result = rated(project, 2, 7, 10).run()
    assert (result.ret, said(result)) == (pytest.ExitCode.TESTS_FAILED, "1 failed, 7 passed, 3 sample failed")
    result.stdout.fnmatch_lines(
        [
            "*test_ask?chat? ___*",
            "7 of 10 samples passed; min_pass_rate is 0.8",
            "  sample 2: answer 2 is bad",
            "  sample 7: answer 7 is bad",
            "  sample 10: answer 10 is bad",
            "Sample 2:",
            ">*assert n not in (2, 7, 10)*",
            "E*AssertionError: answer 2 is bad",
            "FAILED test_chat.py::test_ask?chat? - 7 of 10 samples passed; min_pass_rate is 0.8",
        ]
    )
    # A failure that the case has held is no failure of its own.
    result.stdout.no_fnmatch_line("FAILED *sample*-*bad*")


@pytest.mark.parametrize(("bad", "status"), [((2, 7), 0), ((2, 7, 10), 1)])
def test_replays_come_to_the_same(project: Project, bad: tuple[int, ...], status: int) -> None:
    live = rated(project, *bad).run()
    project.stop_server()
    replayed = project.run("--llm-record=none")
    assert (live.ret, said(live)) == (replayed.ret, said(replayed))
    assert replayed.ret == status


@pytest.mark.parametrize(("bad", "status"), [((2, 7), 0), ((2, 7, 10), 1)])
def test_samples_in_different_workers_make_one_case(project: Project, bad: tuple[int, ...], status: int) -> None:
    result = rated(project, *bad).run("-n2", "--dist=load")
    failed = "1 failed, " * status
    assert (result.ret, said(result)) == (status, f"{failed}{10 - len(bad)} passed, {len(bad)} sample failed")
    if status:
        result.stdout.fnmatch_lines(["FAILED test_chat.py::test_ask?chat? - 7 of 10 samples passed*"])


def test_without_a_rate_each_failing_sample_is_a_failing_test(project: Project) -> None:
    rated(project, 2, 7).write(RATED.format(n=10, rate=None, bad=(2, 7)))
    result = project.run()
    assert (result.ret, said(result)) == (pytest.ExitCode.TESTS_FAILED, "2 failed, 8 passed")
    result.stdout.fnmatch_lines(["FAILED test_chat.py::test_ask?chat-sample2?*", "FAILED *::test_ask?chat-sample7?*"])


TWO_CASES = """
import pytest

@pytest.mark.llm_repeat(4, min_pass_rate=0.75)
@pytest.mark.parametrize("case", ["a", "b"])
def test_ask(llm, case):
    llm.complete(case)
    assert case != "a"
"""


def test_x_stops_for_a_case_and_not_for_a_sample(project: Project) -> None:
    project.write(TWO_CASES)
    result = project.run("-x")
    assert (result.ret, said(result)) == (pytest.ExitCode.TESTS_FAILED, "1 failed, 4 sample failed")
    assert len(project.server.asked) == 4
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    rated(project, 2, 7)
    assert project.run("-x", "--llm-record=live").ret == pytest.ExitCode.OK


def test_x_stops_for_a_case_in_workers_too(project: Project) -> None:
    project.write(TWO_CASES.replace('["a", "b"]', '["a", *map(str, range(40))]'))
    result = project.run("-x", "-n2", "--dist=load")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    assert len(project.server.asked) < 160


def test_maxfail_counts_cases(project: Project) -> None:
    project.write(TWO_CASES.replace('["a", "b"]', '["a", "b", "c"]').replace('!= "a"', 'not in "ab"'))
    result = project.run("--maxfail=2")
    assert said(result) == "2 failed, 8 sample failed"


def last_failed(project: Project, *args: str) -> pytest.RunResult:
    return project.run("--lf", *args, without=others_but("cacheprovider"))


def test_lf_runs_all_samples_of_a_case_that_failed_again_and_nothing_else(project: Project) -> None:
    project.write(TWO_CASES)
    assert said(last_failed(project, "-n2")) == "1 failed, 4 passed, 4 sample failed"
    assert said(last_failed(project)) == "1 failed, 4 sample failed"
    project.write(TWO_CASES.replace('!= "a"', 'in "ab"'))
    assert said(last_failed(project, "-n2")) == "4 passed"
    assert said(last_failed(project)) == "8 passed"


def test_lf_leaves_out_a_case_that_passed_though_samples_failed(project: Project) -> None:
    rated(project, 2, 7).write("def test_other(): assert 0\n", "test_other.py")
    assert said(last_failed(project)) == "1 failed, 8 passed, 2 sample failed"
    assert said(last_failed(project)) == "1 failed"


def test_lf_runs_the_samples_that_passed_again_too_where_each_has_to(project: Project) -> None:
    project.write(RATED.format(n=4, rate=None, bad=(3,)) + "\ndef test_other(): pass\n")
    assert said(last_failed(project)) == "1 failed, 4 passed"
    assert said(last_failed(project)) == "1 failed, 3 passed"


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_junit_xml_has_the_case_as_a_failure_and_no_failed_sample_as_a_success(project: Project, workers: str) -> None:
    rated(project, 2, 7, 10).run(workers, "--junit-xml=junit.xml")
    (suite,) = ET.parse(project.path / "junit.xml").getroot()
    counts = [suite.attrib[key] for key in ("tests", "failures", "errors", "skipped")]
    assert counts == ["11", "1", "0", "3"]
    (failure,) = suite.findall("testcase/failure")
    assert failure.attrib["message"] == "7 of 10 samples passed; min_pass_rate is 0.8"
    assert "AssertionError: answer" in (failure.text or "")
    assert suite.findall("testcase/failure/..")[0].attrib["name"] == "test_ask[chat]"
    held = suite.findall("testcase/skipped")
    assert {each.attrib["type"] for each in held} == {"pytest.xfail"}
    assert {each.attrib["message"] for each in held} == {f"answer {n} is bad" for n in (2, 7, 10)}


def test_a_sample_that_errs_is_an_error_and_counts_for_and_against_nothing(project: Project) -> None:
    # The SDK tries three times; the numbers of the tries are gone.
    project.server.failures += [500] * 3
    result = rated(project, 4, 5, 6).run()
    assert (result.ret, said(result)) == (pytest.ExitCode.TESTS_FAILED, "2 failed, 6 passed, 3 sample failed")
    result.stdout.fnmatch_lines(
        [
            "6 of 9 samples that ran passed (10 asked); min_pass_rate is 0.8",
            "  sample 1 no verdict, error: chat: *500*",
            "  sample 2: answer 4 is bad",
        ]
    )


def test_a_case_that_passes_without_its_errors_is_not_failed_for_them(project: Project) -> None:
    project.server.failures += [500] * 3
    result = rated(project, 4).run()
    assert (result.ret, said(result)) == (pytest.ExitCode.TESTS_FAILED, "1 failed, 8 passed, 1 sample failed")
    result.stdout.no_fnmatch_line("*samples that ran passed*")


def test_a_case_is_judged_by_the_samples_that_were_selected(project: Project) -> None:
    result = rated(project, 2, 3).run("-k", "sample1 or sample2 or sample3 or sample4 or sample5")
    # The first sample has no number in its name; `sample1` is the tenth.
    assert said(result) == "1 failed, 3 passed, 5 deselected, 2 sample failed"
    result.stdout.fnmatch_lines(["3 of 5 samples that ran passed (10 asked); min_pass_rate is 0.8"])


def test_a_case_is_judged_by_the_samples_that_ran_before_the_run_was_stopped(project: Project) -> None:
    rated(project, 1, 2)
    stop = "if 'sample5' in item.nodeid: raise KeyboardInterrupt"
    project.write(f"def pytest_runtest_setup(item):\n    {stop}\n", "conftest.py")
    result = project.run_in_new_process("--junit-xml=junit.xml")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*2 of 4 samples that ran passed (10 asked); min_pass_rate is 0.8"])
    assert "1 failed" in said(result)
    assert "2 of 4 samples" in (project.path / "junit.xml").read_text()


def test_samples_left_out_by_x_do_not_let_their_case_pass(project: Project) -> None:
    project.server.failures += [0, 0, *[500] * 3]
    result = rated(project, 1).run("-x")
    assert (result.ret, said(result)) == (pytest.ExitCode.TESTS_FAILED, "2 failed, 1 passed, 1 sample failed")
    result.stdout.fnmatch_lines(["1 of 2 samples that ran passed (10 asked); min_pass_rate is 0.8"])


def test_subtests_of_a_sample_are_held_with_it(project: Project) -> None:
    if not hasattr(pytest, "Subtests"):
        pytest.skip("subtests came with pytest 9")
    project.write(
        """
        import pytest

        @pytest.mark.llm_repeat(4, min_pass_rate={rate})
        def test_ask(llm, subtests):
            n = llm.complete("Hi").json()["n"]
            for part in range(3):
                with subtests.test(part=part):
                    assert n != 2 or part == 0
    """.replace("{rate}", "0.75")
    )
    result = project.run()
    assert (result.ret, said(result)) == (pytest.ExitCode.OK, "3 passed, 1 sample failed")
    project.write((project.path / "test_chat.py").read_text().replace("0.75", "0.8"))
    for workers in ("-n0", "-n2"):
        result = project.run(workers)
        assert (result.ret, said(result)) == (1, "1 failed, 3 passed, 1 sample failed")
        result.stdout.fnmatch_lines(["3 of 4 samples passed; min_pass_rate is 0.8"])


def test_failures_that_are_expected_and_skips_fail_no_case(project: Project) -> None:
    project.write("""
        import pytest

        pytestmark = pytest.mark.llm_repeat(4, min_pass_rate=0.75)

        @pytest.mark.xfail
        def test_expected(llm):
            assert llm.complete("Hi").json()["n"] in (1, 2)

        @pytest.mark.skip
        def test_skipped(llm): pass

        def test_part(llm):
            if llm.complete("Hi").json()["n"] < 7:
                pytest.skip("not now")
    """)
    result = project.run()
    assert (result.ret, said(result)) == (0, "2 passed, 6 skipped, 2 xfailed, 2 xpassed")


def test_a_strict_xfail_that_passes_fails_its_case(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.llm_repeat(3, min_pass_rate=0.5)
        @pytest.mark.xfail(strict=True)
        def test_expected(llm):
            assert llm.complete("Hi").json()["n"] == 2
    """)
    assert said(project.run()) == "1 failed, 2 xfailed, 1 sample failed"


def test_reruns_are_for_errors_and_never_for_samples_that_failed(project: Project) -> None:
    project.server.failures += [0, *[500] * 3]
    result = rated(project, 1, n=4, rate=0.5).run("--reruns=2", without=others_but("rerunfailures"))
    assert (result.ret, said(result)) == (0, "3 passed, 1 sample failed, 1 rerun")
    assert [test.outcome for test in project.records().tests] == ["failed", "passed", "passed", "passed"]


def test_a_case_waits_for_the_last_rerun_of_its_last_sample(project: Project) -> None:
    project.server.failures += [0, *[500] * 3, 0]
    result = rated(project, 1, 5, n=2, rate=0.5).run("--reruns=2", without=others_but("rerunfailures"))
    assert said(result) == "1 failed, 2 sample failed, 1 rerun"
    result.stdout.fnmatch_lines(["0 of 2 samples passed; min_pass_rate is 0.5"])


def test_an_error_at_the_teardown_of_a_sample_stays_one(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.fixture
        def broken():
            yield
            raise OSError("disk full")

        @pytest.mark.llm_repeat(2, min_pass_rate=0.5)
        def test_ask(llm, broken):
            assert llm.complete("Hi").json()["n"] == 1
    """)
    result = project.run()
    assert (result.ret, said(result)) == (1, "1 passed, 2 errors, 1 sample failed")


def test_a_missing_recording_is_an_error_of_its_sample(project: Project) -> None:
    rated(project, n=3, rate=0.5).outcomes(passed=3)
    (project.path / "llm_cassettes/test_chat/chat/test_ask[sample2].yaml").unlink()
    result = project.run("--llm-record=none")
    assert (result.ret, said(result)) == (1, "1 failed, 2 passed")
    result.stdout.fnmatch_lines(["*test_ask?sample2?.yaml*", "*pytest *test_ask?chat-sample2?*--llm-record=*"])


def test_a_single_sample_passes_or_fails_as_ever(project: Project) -> None:
    result = rated(project, 1, n=1, rate=0.5).run()
    assert said(result) == "1 failed"
    result.stdout.no_fnmatch_line("*min_pass_rate is*")


def test_a_message_cannot_steer_the_terminal_and_hundreds_are_cut(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.llm_repeat(14, min_pass_rate=0.5)
        def test_ask(llm):
            llm.complete("Hi")
            pytest.fail("\\x1b[2Jwiped\\nsecond", pytrace=False)
    """)
    result = project.run()
    result.stdout.fnmatch_lines([r"  sample 10: \x1b[[]2Jwiped", "  ... and 4 more"])
    result.stdout.no_fnmatch_line("  sample 11*")


def test_a_case_some_of_whose_samples_another_plugin_took_away_is_judged_at_the_end(project: Project) -> None:
    rated(project, 2, n=4, rate=0.9)
    project.write(
        "def pytest_runtest_protocol(item):\n    return True if 'sample4' in item.nodeid else None\n", "conftest.py"
    )
    result = project.run()
    assert (result.ret, said(result)) == (pytest.ExitCode.TESTS_FAILED, "1 failed, 2 passed, 1 sample failed")
    result.stdout.fnmatch_lines(["2 of 3 samples that ran passed (4 asked); min_pass_rate is 0.9"])


def test_a_case_is_reported_after_its_samples_and_like_a_test(project: Project) -> None:
    rated(project, 1, n=2, rate=0.9)
    project.write(
        "def pytest_runtest_logreport(report):\n"
        "    with open('reports.txt', 'a') as file:\n"
        "        print(report.nodeid.rpartition('::')[2], report.when, report.outcome, file=file)\n",
        "conftest.py",
    )
    # The first sample comes last, and has the name of the case.
    project.run("test_chat.py::test_ask[chat-sample2]", "test_chat.py::test_ask[chat]", "--junit-xml=junit.xml")
    lines = (project.path / "reports.txt").read_text().splitlines()
    assert lines[-5:] == [
        *("test_ask[chat] setup passed", "test_ask[chat] call passed", "test_ask[chat] teardown passed"),
        *("test_ask[chat] call failed", "test_ask[chat] teardown passed"),
    ]
    cases = ET.parse(project.path / "junit.xml").getroot().findall("testsuite/testcase")
    assert [(case.attrib["name"], [each.tag for each in case if each.tag != "properties"]) for case in cases] == [
        ("test_ask[chat-sample2]", ["skipped"]),
        ("test_ask[chat]", []),
        ("test_ask[chat]", ["failure"]),
    ]
