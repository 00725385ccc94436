"""What cannot be measured by calls per second: a start, guests that come and go, the death of the child."""

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from bench.bridge import processes
from bench.bridge.load import begin_session, connect, post, read_answer, tool_call
from bench.bridge.sides import Running, Side

START_SECONDS = 60.0
SETTLE_SECONDS = 10.0
"""How long processes of guests that left may take to disappear."""
PATIENCE_SECONDS = 15.0
"""A pending call that has no answer by then gets none, and a bridge that does not serve by then never will."""
GUESTS = 50
SERVED_SECONDS = 12.0
"""How old a child, and its session, are when it is killed: an accident in the middle of a life, not a failed start."""
_STATUS = re.compile(rb"HTTP/1\.1 (\d+)")
_CODE = re.compile(rb'"code":\s*(-\d+)')


@dataclass(frozen=True, slots=True)
class Death:
    """What clients notice of a killed child. Seconds; None is never."""

    pending: str
    pending_seconds: float | None
    meanwhile: str
    """What calls were answered with until one succeeded."""
    same_session_seconds: float | None
    new_client_seconds: float | None


def ask(side: Side, port: int) -> None:
    """One client from connect to answer. Raises OSError."""
    session = begin_session(port) if side.has_sessions else None
    _call(port, session)


def first_answer(side: Side, running: Running, *, begun: float) -> float:
    """Seconds since `begun` until a tool call is answered with a result."""
    deadline = begun + START_SECONDS
    while True:
        try:
            ask(side, running.port)
        except OSError:
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.005)
        else:
            return time.perf_counter() - begun


def guests(side: Side, running: Running) -> tuple[int, int]:
    """Processes before and after so many clients did one call each and left without a goodbye."""
    before = _settled(running)
    for _ in range(GUESTS):
        ask(side, running.port)
    deadline = time.perf_counter() + SETTLE_SECONDS
    while len(running.tree()) > before and time.perf_counter() < deadline:
        time.sleep(0.1)
    return before, len(running.tree())


def _settled(running: Running) -> int:
    """The number of processes, once it stays: a child for one request may be on its way out."""
    count = -1
    while count != (now := len(running.tree())):
        count = now
        time.sleep(0.5)
    return count


def death(side: Side, running: Running, program: Path) -> Death:
    """The child is stopped, so that a call is pending when it is killed."""
    before = set(running.tree())
    session = begin_session(running.port)
    _call(running.port, session)
    time.sleep(SERVED_SECONDS)
    mine = [pid for pid in running.tree() if pid not in before] or running.tree()
    child = processes.leaf(mine, program)
    with connect(running.port) as connection:
        os.kill(child, signal.SIGSTOP)
        connection.sendall(post(tool_call(1), session))
        time.sleep(0.2)  # for the call to reach the pipe; nothing tells
        killed = time.perf_counter()
        os.kill(child, signal.SIGKILL)
        connection.settimeout(PATIENCE_SECONDS)
        pending, pending_seconds = _pending(connection, killed)
    meanwhile: dict[str, int] = {}
    same = new = None
    while time.perf_counter() < killed + PATIENCE_SECONDS + (pending_seconds or PATIENCE_SECONDS):
        if same is None:
            with contextlib.suppress(OSError):
                word = _word(running.port, session)
                if word == "result":
                    same = time.perf_counter() - killed
                else:
                    meanwhile[word] = meanwhile.get(word, 0) + 1
        if new is None:
            with contextlib.suppress(OSError):
                ask(side, running.port)
                new = time.perf_counter() - killed
        if same is not None and new is not None:
            break
        time.sleep(0.02)
    return Death(pending, pending_seconds, ", ".join(meanwhile), same, new)


def _pending(connection: object, killed: float) -> tuple[str, float | None]:
    try:
        answer = read_answer(connection)  # type: ignore[arg-type]
    except TimeoutError:
        return "no answer", None
    except OSError:
        return "closed without an answer", time.perf_counter() - killed
    return _shown(answer), time.perf_counter() - killed


def _word(port: int, session: str | None) -> str:
    with connect(port) as connection:
        connection.settimeout(2.0)
        connection.sendall(post(tool_call(1), session))
        try:
            answer = read_answer(connection)
        except TimeoutError:
            return "no answer in 2 s"
        return "result" if _is_served(answer) else _shown(answer)


def _is_served(answer: bytes) -> bool:
    """A result that does not say, inside itself, that it is none."""
    return b" 200 " in answer[:16] and b'"result"' in answer and b'"isError":true' not in answer


def _shown(answer: bytes) -> str:
    status, code = _STATUS.match(answer), _CODE.search(answer)
    shown = f"HTTP {status[1].decode()}" if status else "no HTTP"
    if b'"isError":true' in answer:
        return f"{shown}, a result with isError"
    return f"{shown}, error {code[1].decode()}" if code else shown


def _call(port: int, session: str | None) -> None:
    with connect(port) as connection:
        connection.sendall(post(tool_call(1), session))
        answer = read_answer(connection)
    if not _is_served(answer):
        raise ConnectionError(f"a call was answered with {answer[:300]!r}")
