"""Log records are masked when they are formatted, and are otherwise what they were."""

from __future__ import annotations

import copy
import io
import logging
import pickle
from collections.abc import Iterator
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Any

import pytest

from pytest_llmeval.cassettes.logs import masked_logs

TOKEN = "9fX2mQ7bTzLw4Rk8Vn3Hs6Yd"


def mask(text: str) -> str:
    return text.replace(TOKEN, "[masked]")


@pytest.fixture
def masking() -> Iterator[None]:
    with masked_logs(mask, lambda: True):
        yield


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(stream: io.StringIO) -> Iterator[logging.Logger]:
    logger = logging.getLogger("llmeval-test-of-logs")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)
    logger.propagate = True


class Counted:
    """Counts how often it is shown."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.shown = 0

    def __str__(self) -> str:
        self.shown += 1
        return self.text


@pytest.mark.usefixtures("masking")
def test_message_arguments_and_traceback_are_masked(log: logging.Logger, stream: io.StringIO) -> None:
    log.info("key %s of %r", TOKEN, {"a": TOKEN})
    log.info(f"key {TOKEN}")
    log.info("%s", Counted(f"key {TOKEN}"))
    try:
        raise ValueError(TOKEN)
    except ValueError:
        log.exception("failed with %(key)s", {"key": TOKEN}, stack_info=True)
    assert TOKEN not in stream.getvalue()
    assert stream.getvalue().count("[masked]") >= 6
    assert "ValueError: [masked]" in stream.getvalue()


@pytest.mark.usefixtures("masking")
def test_a_record_keeps_what_was_logged(log: logging.Logger) -> None:
    seen: list[logging.LogRecord] = []

    def note(record: logging.LogRecord) -> bool:
        seen.append(record)
        return True

    log.addFilter(note)
    value = {"a": TOKEN}
    log.warning("value %s", value, extra={"tenant": "t"})
    (record,) = seen
    assert record.args is value
    assert record.msg == "value %s"
    assert isinstance(record, logging.LogRecord)
    assert type(record).__name__ == "LogRecord"
    plain = logging.LogRecord("n", logging.INFO, "p", 1, "m", None, None)
    assert vars(record).keys() - {"tenant", "message", "asctime"} == vars(plain).keys()


@pytest.mark.usefixtures("masking")
def test_a_record_is_formatted_when_a_handler_asks_for_it_and_not_before() -> None:
    value = Counted("text")
    record = logging.getLogRecordFactory()("n", logging.INFO, "p", 1, "%s", (value,), None)
    assert value.shown == 0
    assert record.getMessage() == "text"
    assert value.shown == 1


@pytest.mark.usefixtures("masking")
def test_a_record_can_be_copied_queued_and_sent_to_another_process(log: logging.Logger) -> None:
    queue: SimpleQueue[Any] = SimpleQueue()
    log.addHandler(QueueHandler(queue))
    log.info("key %s", TOKEN)
    log.removeHandler(log.handlers[-1])
    queued = queue.get()
    assert queued.getMessage() == "key [masked]"
    record = logging.getLogRecordFactory()("n", logging.INFO, "p", 1, "key %s", (TOKEN,), None)
    assert copy.copy(record).args == (TOKEN,)
    assert copy.copy(record).getMessage() == "key [masked]"
    data = pickle.dumps(record)
    assert TOKEN.encode() not in data
    assert pickle.loads(data).getMessage() == "key [masked]"
    assert logging.makeLogRecord({"msg": f"key {TOKEN}"}).getMessage() == "key [masked]"


def test_a_factory_of_the_project_is_kept_and_put_back(log: logging.Logger, stream: io.StringIO) -> None:
    class Own(logging.LogRecord):
        tenant = "t"

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(Own)
    try:
        with masked_logs(mask, lambda: True):
            record = logging.getLogRecordFactory()("n", logging.INFO, "p", 1, TOKEN, (), None)
            assert isinstance(record, Own)
            assert record.tenant == "t"
            assert record.getMessage() == "[masked]"
        assert logging.getLogRecordFactory() is Own
        with masked_logs(mask, lambda: True):
            inner = logging.getLogRecordFactory()
            late = lambda *args, **kwargs: inner(*args, **kwargs)  # noqa: E731 - a wrapper as a project would set one
            logging.setLogRecordFactory(late)
        assert logging.getLogRecordFactory() is late
        log.info(TOKEN)
        assert TOKEN in stream.getvalue()
    finally:
        logging.setLogRecordFactory(before)


def test_records_that_are_not_wanted_are_left_alone(log: logging.Logger, stream: io.StringIO) -> None:
    with masked_logs(mask, lambda: False):
        log.info(TOKEN)
    assert TOKEN in stream.getvalue()
