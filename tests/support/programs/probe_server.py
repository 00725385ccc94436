"""An MCP server that tries, when asked, what an untrusted one might try. Standard library only; stdio, or HTTP.

It travels to its pod as an environment variable and is started with `python3 -c`. With `--http PORT` it listens on the
loopback interface instead of stdin. Everything it does is bounded, also where the limits around it fail.
"""

# pathlib would take its share of a small memory limit.
# ruff: noqa: PTH108, PTH109, PTH110, PTH111, PTH112, PTH118, PTH123
import http.server
import json
import os
import resource
import signal
import socket
import sys
import time

SLOW_START = "/tmp/slow-start"
LEARNED = os.path.expanduser("~/.learned")
MAX_MEBIBYTES = 4096
MAX_FORKS = 600


def facts(_):
    with open("/proc/self/status") as lines:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
    return {
        "pid": os.getpid(),
        "uids": [int(uid) for uid in status["Uid"].split()],
        "gids": [int(gid) for gid in status["Gid"].split()],
        "noNewPrivileges": int(status["NoNewPrivs"]),
        "capabilities": {name: int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")},
        "seccomp": int(status["Seccomp"]),
        "memoryLimitBytes": cgroup("memory.max", "memory/memory.limit_in_bytes"),
        "cpuQuota": cpu_quota(),
        "processes": list(resource.getrlimit(resource.RLIMIT_NPROC)),
        "core": list(resource.getrlimit(resource.RLIMIT_CORE)),
        "tokens": [path for path in ("/var/run/secrets", "/run/secrets/kubernetes.io") if os.path.isdir(path)],
        "variables": sorted(name for name in os.environ),
        "directory": os.getcwd(),
        "home": os.path.expanduser("~"),
        "python": sys.version.split()[0],
        "argv": sys.argv[1:],
    }


def cgroup(*names):
    for name in names:
        try:
            with open("/sys/fs/cgroup/" + name) as file:
                return file.read().strip()
        except OSError:
            continue
    return ""


def cpu_quota():
    unified = cgroup("cpu.max")
    if unified:
        return unified.split()
    return [
        cgroup("cpu/cpu.cfs_quota_us", "cpu,cpuacct/cpu.cfs_quota_us"),
        cgroup("cpu/cpu.cfs_period_us", "cpu,cpuacct/cpu.cfs_period_us"),
    ]


def write(asked):
    outcomes = {}
    for directory in asked["directories"]:
        path = os.path.join(directory, ".probe")
        try:
            with open(path, "w") as file:
                file.write("x")
            os.unlink(path)
            outcomes[directory] = "written"
        except OSError as error:
            outcomes[directory] = error.strerror
    return outcomes


def connect(asked):
    outcomes = {}
    for target in asked["targets"]:
        host, port = target.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), timeout=3).close()
            outcomes[target] = "connected"
        except OSError as error:
            outcomes[target] = error.strerror or str(error)
    return outcomes


def resolve(asked):
    outcomes = {}
    for name in asked["names"]:
        try:
            outcomes[name] = socket.getaddrinfo(name, 80)[0][4][0]
        except OSError:
            outcomes[name] = None
    return outcomes


def ask_dns(asked):
    """One hand-made query for `kubernetes.default.svc.cluster.local` to a resolver, by UDP."""
    labels = b"".join(bytes([len(part)]) + part for part in b"kubernetes.default.svc.cluster.local".split(b"."))
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        try:
            sock.connect((asked["resolver"], 53))
            sock.send(query)
            return {"answer": sock.recv(512)[:2] == b"\x12\x34"}
        except OSError as error:
            return {"answer": False, "error": error.strerror or str(error)}


def start_slowly_next_time(seconds):
    with open(SLOW_START, "w") as file:
        file.write(str(seconds))


def allocate(asked):
    start_slowly_next_time(asked.get("nextStartSeconds", 0))
    blocks = [b"\x01" * (1 << 20) for _ in range(min(asked["mebibytes"], MAX_MEBIBYTES))]
    return {"allocated": len(blocks)}


def leave(asked):
    start_slowly_next_time(asked.get("nextStartSeconds", 0))
    sys.stderr.write(asked.get("lastWords", "") + "\n")
    sys.stderr.flush()
    os._exit(asked["code"])


def fork(asked):
    """Forks until refused; the children hold still until all are killed."""
    children, refusal = [], ""
    for _ in range(min(asked["attempts"], MAX_FORKS)):
        try:
            child = os.fork()
        except OSError as error:
            refusal = error.strerror
            break
        if child == 0:
            time.sleep(120)
            os._exit(0)
        children.append(child)
    time.sleep(asked.get("holdSeconds", 0))
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {"forked": len(children), "refusal": refusal}


def echo(asked):
    return {"said": asked["say"]}


def learn(asked):
    """What nobody has asked for: from now on, and in later lives, more tools are listed."""
    with open(LEARNED, "w") as file:
        file.write("\n".join(asked["names"]))
    return {"learned": asked["names"]}


def learned():
    if not os.path.exists(LEARNED):
        return []
    with open(LEARNED) as file:
        return file.read().split()


TOOLS = {
    "facts": facts, "write": write, "connect": connect, "resolve": resolve, "ask_dns": ask_dns,
    "allocate": allocate, "leave": leave, "fork": fork, "echo": echo, "learn": learn,
}  # fmt: skip


def answer(message):
    """The JSON-RPC answer, or None for a notification."""
    method, params = message.get("method"), message.get("params") or {}
    if "id" not in message:
        return None
    if method == "initialize":
        info = {"name": "probe", "version": os.environ.get("PROBE_VERSION", "1.0.0")}
        version = params.get("protocolVersion", "2025-06-18")
        result = {"protocolVersion": version, "capabilities": {"tools": {"listChanged": True}}, "serverInfo": info}
    elif method == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in [*TOOLS, *learned()]]}
    elif method == "tools/call" and params.get("name") in TOOLS:
        said = TOOLS[params["name"]](params.get("arguments") or {})
        result = {"content": [{"type": "text", "text": json.dumps(said)}]}
    elif method == "ping":
        result = {}
    else:
        return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no such method"}}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        said = answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        body = json.dumps(said).encode() if said else b""
        self.send_response(200 if said else 202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send_error(405)

    def log_message(self, *_):
        pass


if os.path.exists(SLOW_START):
    with open(SLOW_START) as pause:
        time.sleep(float(pause.read() or 0))
if sys.argv[1:2] == ["--http"]:
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
before = learned()
for line in sys.stdin:
    reply = answer(json.loads(line))
    if reply is not None:
        sys.stdout.write(json.dumps(reply) + "\n")
    if learned() != before:
        before = learned()
        sys.stdout.write('{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}\n')
    sys.stdout.flush()
