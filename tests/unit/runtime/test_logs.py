"""Log lines: readable by machines, and without secrets."""

import io
import json
import logging
from typing import Any

import pytest

from vsm_operator.kube.kinds import Key
from vsm_operator.runtime.logs import MASK, JsonFormatter, Reconciling, Redactor, configure, reconciling


def line(message: str, *args: object, redactor: Redactor | None = None, **extra: Any) -> dict[str, Any]:
    record = logging.LogRecord("vsm", logging.INFO, __file__, 1, message, args, None)
    vars(record).update(extra)
    found: dict[str, Any] = json.loads(JsonFormatter(redactor).format(record))
    return found


def test_a_line_has_time_level_logger_message_and_what_extra_brought() -> None:
    found = line("made %d", 3, child="Service ns/w", paths=["/spec"])
    assert found["msg"] == "made 3"
    assert (found["level"], found["logger"], found["child"], found["paths"]) == (
        "INFO",
        "vsm",
        "Service ns/w",
        ["/spec"],
    )
    assert found["ts"].endswith("+00:00")


def test_a_line_says_what_is_being_reconciled() -> None:
    token = reconciling.set(Reconciling(Key("Widget", "ns", "w"), 4, "cafe"))
    try:
        found = line("hello")
    finally:
        reconciling.reset(token)
    assert (found["key"], found["generation"], found["reconcile_id"]) == ("Widget ns/w", 4, "cafe")
    assert "key" not in line("hello")


def test_a_line_feed_in_a_message_cannot_fake_a_second_line() -> None:
    record = logging.LogRecord("vsm", logging.INFO, __file__, 1, 'x\n{"level":"ERROR"}', (), None)
    assert "\n" not in JsonFormatter().format(record)


MADE_UP_KEY = "sk-" + "a1b2" * 6


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefghijklmnop",
        "token eyJhbGciOiJSUzI1NiIsImtpZCI6.eyJpc3MiOiJrdWJlcm5ldGVz.c2lnbmF0dXJl",
        f"key {MADE_UP_KEY}",
        "http://user:hunter22@registry.test/v2/",
        "announced: correct horse battery staple",
    ],
)
def test_secrets_are_masked_wherever_they_appear(text: str) -> None:
    redactor = Redactor()
    redactor.hide("correct horse battery staple")
    secrets = ("abcdefghijklmnop", "c2lnbmF0dXJl", MADE_UP_KEY, "hunter22", "horse")
    for found in (line(text, redactor=redactor), line("x", note=text, redactor=redactor)):
        assert MASK in json.dumps(found)
        assert not any(secret in json.dumps(found) for secret in secrets)


def test_whatever_a_server_printed_can_be_logged() -> None:
    text = "🚀 \ud800 \x00 é"
    record = logging.LogRecord("vsm", logging.INFO, __file__, 1, "%s", (text,), None)
    formatted = JsonFormatter().format(record)
    assert formatted.isascii()
    assert json.loads(formatted)["msg"] == text


def test_a_secret_in_a_traceback_is_masked() -> None:
    redactor = Redactor()
    redactor.hide("hunter2hunter2")
    try:
        int("hunter2hunter2")
    except ValueError as error:
        record = logging.LogRecord("vsm", 40, __file__, 1, "m", (), (type(error), error, error.__traceback__))
    text = JsonFormatter(redactor).format(record)
    assert "ValueError" in text
    assert "hunter2" not in text


def test_fields_whose_name_says_secret_are_masked_and_harmless_ones_are_not() -> None:
    found = line("x", password="p", api_key="k", secret="vsm-system/name", reason="r")
    assert (found["password"], found["api_key"]) == (MASK, MASK)
    assert (found["secret"], found["reason"]) == ("vsm-system/name", "r")


def test_short_values_are_not_hidden() -> None:
    redactor = Redactor()
    redactor.hide("a")
    assert redactor.redacted("banana") == "banana"


def test_configure_quietens_the_libraries() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure("INFO", stream=stream)
        logging.getLogger("kopf.objects").info("Handler succeeded.")
        logging.getLogger("vsm_operator.x").info("ours")
    finally:
        root.handlers[:], root.level = before, level
    assert [json.loads(text)["msg"] for text in stream.getvalue().splitlines()] == ["ours"]
