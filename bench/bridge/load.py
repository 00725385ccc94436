"""The load: closed-loop callers on raw connections in one epoll loop, in a process of its own. Standard library only.

Reads one JSON command a line on stdin, writes one JSON answer a line on stdout; ends when stdin does.

    {"do": "http", "port": 8080, "sessions": 20}       where to call, and how many MCP sessions to begin there
    {"do": "stdio", "argv": [...]}                     the same server over bare pipes
    {"do": "run", "callers": 20, "seconds": 1.0, "calls": 1000}        until one of both is reached; gives back
                          {"calls", "seconds", "latencies": base64 of sorted uint32, in us}

A caller sends its next call when it has the answer to its last one: a result with its own id, or the run fails. The
parts of an HTTP answer are found by searching its bytes; a parser would cost more than the bridge that is measured.
`python load.py echo` is the other end of the generator's own measurement: a server that does nothing else.
"""

import base64
import gc
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from typing import Any

ANSWER_SECONDS = 60.0
"""Without any answer for so long, a run fails."""
HEADERS = (
    "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    "Accept: application/json, text/event-stream\r\n{more}Content-Length: {size}\r\n\r\n"
)
PROTOCOL = "2025-11-25"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SESSION = re.compile(rb"\r\nmcp-session-id: *([^\r]+)", re.IGNORECASE)


def initialize(request_id: int) -> bytes:
    params = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    return _message({"jsonrpc": "2.0", "id": request_id, "method": "initialize", "params": params})


def tool_call(request_id: int) -> bytes:
    params = {"name": "search_nodes", "arguments": {"query": "nothing"}}
    return _message({"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params})


def _message(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'


def post(body: bytes, session: str | None = None) -> bytes:
    """A whole HTTP request."""
    more = f"Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: {PROTOCOL}\r\n" if session else ""
    return HEADERS.format(size=len(body), more=more).encode() + body


def free_port() -> int:
    """Free a moment ago; for programs that cannot choose one themselves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def is_whole(answer: bytes) -> bool:
    """Of an HTTP answer: all of its body is there, by its length or by the last chunk."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    length = _LENGTH.search(answer, 0, end)
    return answer.endswith(b"\r\n0\r\n\r\n") if length is None else len(answer) - end - 4 >= int(length[1])


def read_answer(connection: socket.socket) -> bytes:
    """Raises OSError when the other side closes early."""
    answer = b""
    while not is_whole(answer):
        data = connection.recv(65536)
        if not data:
            raise ConnectionResetError(f"closed after {answer[:200]!r}")
        answer += data
    return answer


def begin_session(port: int) -> str | None:
    """None when the server does not give one."""
    with connect(port) as connection:
        connection.sendall(post(initialize(0)))
        answer = read_answer(connection)
        session = _SESSION.search(answer)
        if b" 200 " not in answer[:16]:
            raise ConnectionError(f"initialize was answered with {answer[:300]!r}")
        if session is None:
            return None
        connection.sendall(post(INITIALIZED, session[1].decode()))
        read_answer(connection)
        return session[1].decode()


class Pipes:
    """The server as every local host has it: its own child."""

    def __init__(self, argv: list[str]) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.write(self.stdin, initialize(0) + b"\n")
        while not os.read(self.stdout, 65536).endswith(b"\n"):
            pass
        os.write(self.stdin, INITIALIZED + b"\n")

    def run(self, *, callers: int, seconds: float, calls: int) -> list[int]:
        lines = [tool_call(n + 1) + b"\n" for n in range(callers)]
        marks = [b'"id":%d}' % (n + 1) for n in range(callers)]
        begun = [0] * callers
        latencies: list[int] = []
        most = calls - callers
        clock = time.perf_counter_ns
        for n in range(callers):
            begun[n] = clock()
            os.write(self.stdin, lines[n])
        until = clock() + int(seconds * 1e9)
        waiting, rest = callers, b""
        while waiting:
            *answers, rest = (rest + os.read(self.stdout, 65536)).split(b"\n")
            for answer in answers:
                at = answer.rindex(b'"id":')
                n = int(answer[at + 5 : answer.index(b"}", at)]) - 1
                now = clock()
                if b'"result"' not in answer or not answer.endswith(marks[n]):
                    raise ConnectionError(f"call {n + 1} was answered with {answer[:300]!r}")
                latencies.append((now - begun[n]) // 1000)
                if now < until and len(latencies) <= most:
                    begun[n] = clock()
                    os.write(self.stdin, lines[n])
                else:
                    waiting -= 1
        return latencies


class Http:
    """A bridge. A caller has a connection and, where there are any, a session of its own."""

    def __init__(self, port: int, *, sessions: int) -> None:
        self._port = port
        self._sessions = [begin_session(port) for _ in range(sessions)]

    def run(self, *, callers: int, seconds: float, calls: int) -> list[int]:
        poll = select.epoll()
        sends: dict[int, Callable[[bytes], int]] = {}
        receives: dict[int, Callable[[int], bytes]] = {}
        requests: dict[int, bytes] = {}
        marks: dict[int, bytes] = {}
        begun: dict[int, int] = {}
        partial: dict[int, bytes] = {}
        connections = [connect(self._port) for _ in range(callers)]
        for n, connection in enumerate(connections):
            fd = connection.fileno()
            session = self._sessions[n] if n < len(self._sessions) else None
            sends[fd], receives[fd] = connection.send, connection.recv
            requests[fd], marks[fd] = post(tool_call(n + 1), session), b'"id":%d' % (n + 1)
            poll.register(fd, select.EPOLLIN)
        latencies: list[int] = []
        most = calls - callers
        clock = time.perf_counter_ns
        for fd, request in requests.items():
            begun[fd] = clock()
            sends[fd](request)
        until = clock() + int(seconds * 1e9)
        waiting = callers
        while waiting:
            events = poll.poll(ANSWER_SECONDS)
            if not events:
                raise ConnectionError(f"no answer for {ANSWER_SECONDS:g} s")
            for fd, _ in events:
                answer = data = receives[fd](65536)
                if fd in partial:
                    answer = partial.pop(fd) + data
                if not data:
                    raise ConnectionResetError("a connection was closed before its answer")
                if not is_whole(answer):
                    partial[fd] = answer
                    continue
                now = clock()
                if b" 200 " not in answer[:16] or b'"result"' not in answer or marks[fd] not in answer:
                    raise ConnectionError(f"a call was answered with {answer[:400]!r}")
                latencies.append((now - begun[fd]) // 1000)
                if now < until and len(latencies) <= most:
                    begun[fd] = clock()
                    sends[fd](requests[fd])
                else:
                    waiting -= 1
        for connection in connections:
            connection.close()
        poll.close()
        return latencies


def echo() -> None:
    """Says its port, then answers every request with its own body; no parsing, so a request must come in one piece."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                poll.register(connection.fileno(), select.EPOLLIN)
                continue
            try:
                data = connections[fd].recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                poll.unregister(fd)
                connections.pop(fd).close()
                continue
            body = b'{"result":' + data[data.index(b"\r\n\r\n") + 4 :] + b"}"
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            connections[fd].send(head + body)


def commands() -> None:
    side: Pipes | Http | None = None
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if command["do"] == "http":
                side = Http(command["port"], sessions=command["sessions"])
            elif command["do"] == "stdio":
                side = Pipes(command["argv"])
                answer["pid"] = side.process.pid
            elif side is not None:
                begun = time.perf_counter()
                latencies = array(
                    "I", sorted(side.run(**{key: command[key] for key in ("callers", "seconds", "calls")}))
                )
                elapsed = time.perf_counter() - begun
                encoded = base64.b64encode(latencies.tobytes()).decode()
                answer |= {"calls": len(latencies), "seconds": elapsed, "latencies": encoded}
        except OSError as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    if isinstance(side, Pipes):
        side.process.kill()
        side.process.wait()


if __name__ == "__main__":
    gc.disable()
    if sys.argv[1:] == ["echo"]:
        echo()
    else:
        commands()
