"""The line for a call: whole, on one line, clean of what clients send, and free when nobody wants it."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from vsm_runtime.bridge import logs

CALL: dict[str, Any] = {
    "method": "tools/call",
    "tool": "echo",
    "client": "alice",
    "outcome": "ok",
    "seconds": 0.0123456,
    "bytes_in": 10,
    "bytes_out": 20,
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root, loggers = logging.getLogger(), [logging.getLogger(name) for name in ("", "uvicorn", "httpx")]
    handlers, levels = list(root.handlers), [logger.level for logger in loggers]
    yield
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_call_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG")
    logs.call_line(**CALL)
    (line,) = lines(capsys)
    assert line.pop("time")
    assert line == {
        "level": "debug",
        "logger": "bridge.calls",
        "message": "call",
        "method": "tools/call",
        "tool": "echo",
        "client": "alice",
        "outcome": "ok",
        "ms": 12.346,
        "bytesIn": 10,
        "bytesOut": 20,
        "traceparent": CALL["traceparent"],
    }


def test_nothing_is_made_of_it_above_debug(capsys: pytest.CaptureFixture[str]) -> None:
    class Untouchable:
        def __str__(self) -> str:
            raise AssertionError("formatted for nobody")

    logs.configure("INFO")
    logs.call_line(**{**CALL, "tool": Untouchable(), "traceparent": Untouchable()})
    assert lines(capsys) == []


def test_what_clients_send_is_cut_and_cleaned(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG")
    logs.call_line(**{**CALL, "tool": "x\r\x1b[2J" + "y" * 9999, "method": "a\u202eb\ud800", "traceparent": {"a": 1}})
    (line,) = lines(capsys)
    assert len(line["tool"]) == logs.MAX_NAME_SHOWN
    assert line["tool"].startswith("x yyy")
    assert line["method"] == "a b "
    assert line["traceparent"] is None


def test_fields_cannot_stand_in_for_the_time_or_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG")
    logging.getLogger("vsm_runtime.x").warning("real", extra={"fields": {"level": "false", "message": "false", "n": 1}})
    (line,) = lines(capsys)
    assert (line["level"], line["message"], line["n"]) == ("warning", "real", 1)
