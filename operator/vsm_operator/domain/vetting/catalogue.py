"""Names that everybody in this field knows: MCP servers, and the modules that the runtimes bring themselves.

Our own short lists, written from general knowledge; names and owners of servers were not checked against the
registries. A name on the list is what others pretend to be. `CATALOGUE_DIGEST` identifies the lists:
a changed list changes verdicts.
"""

import hashlib
from dataclasses import dataclass

from vsm_operator.domain.packages import Ecosystem


@dataclass(frozen=True, slots=True)
class KnownServer:
    """One package of a well known MCP server or SDK, and the owner of its repository."""

    ecosystem: Ecosystem
    name: str
    owner: str


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OFFICIAL_NPM = (
    "everything filesystem memory sequential-thinking puppeteer brave-search github gitlab google-maps gdrive postgres "
    "redis slack everart aws-kb-retrieval sentry sqlite time fetch git"
)
_OFFICIAL_PYPI = "fetch git time sqlite sentry"
_NPM = (
    ("@modelcontextprotocol/sdk", "modelcontextprotocol"),
    ("@modelcontextprotocol/inspector", "modelcontextprotocol"),
    ("@modelcontextprotocol/conformance", "modelcontextprotocol"),
    ("@playwright/mcp", "microsoft"),
    ("@azure/mcp", "microsoft"),
    ("@bytebase/dbhub", "bytebase"),
    ("@upstash/context7-mcp", "upstash"),
    ("@notionhq/notion-mcp-server", "makenotion"),
    ("@supabase/mcp-server-supabase", "supabase-community"),
    ("@sentry/mcp-server", "getsentry"),
    ("@stripe/mcp", "stripe"),
    ("@cloudflare/mcp-server-cloudflare", "cloudflare"),
    ("@anthropic-ai/sdk", "anthropics"),
    ("mcp-server-kubernetes", "flux159"),
    ("firecrawl-mcp", "firecrawl"),
    ("tavily-mcp", "tavily-ai"),
    ("chrome-devtools-mcp", "chromedevtools"),
)
_PYPI = (
    ("mcp", "modelcontextprotocol"),
    ("fastmcp", "jlowin"),
    ("mcp-server-qdrant", "qdrant"),
    ("mcp-atlassian", "sooperset"),
    ("chroma-mcp", "chroma-core"),
    ("mcp-proxy", "sparfenyuk"),
    ("mcp-use", "mcp-use"),
    ("markitdown-mcp", "microsoft"),
    ("cli-mcp-server", "mladensu"),
    ("arxiv-mcp-server", "blazickjp"),
)
KNOWN_SERVERS: tuple[KnownServer, ...] = (
    *(
        KnownServer(Ecosystem.NPM, f"@modelcontextprotocol/server-{n}", "modelcontextprotocol")
        for n in _OFFICIAL_NPM.split()
    ),
    *(KnownServer(Ecosystem.PYPI, f"mcp-server-{n}", "modelcontextprotocol") for n in _OFFICIAL_PYPI.split()),
    *(KnownServer(Ecosystem.NPM, name, owner) for name, owner in _NPM),
    *(KnownServer(Ecosystem.PYPI, name, owner) for name, owner in _PYPI),
)

NODE_MODULES = _words(
    "assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel dns "
    "domain events fs http http2 https inspector module net os path perf_hooks process punycode querystring "
    "readline repl sqlite stream string_decoder sys timers tls trace_events tty url util v8 vm wasi "
    "worker_threads zlib"
)
PYTHON_MODULES = _words(
    "abc argparse array ast asyncio atexit base64 bdb binascii bisect builtins bz2 calendar cmath cmd code codecs "
    "codeop collections colorsys compileall concurrent configparser contextlib contextvars copy copyreg csv "
    "ctypes curses dataclasses datetime dbm decimal difflib dis doctest email encodings ensurepip enum errno "
    "faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc getopt getpass gettext glob "
    "graphlib grp gzip hashlib heapq hmac html http imaplib importlib inspect io ipaddress itertools json keyword "
    "linecache locale logging lzma mailbox marshal math mimetypes mmap multiprocessing netrc numbers operator os "
    "pathlib pdb pickle pickletools pkgutil platform plistlib poplib posix pprint profile pstats pty pwd pyclbr "
    "pydoc queue quopri random re readline reprlib resource rlcompleter runpy sched secrets select selectors "
    "shelve shlex shutil signal site smtplib socket socketserver sqlite3 ssl stat statistics string stringprep "
    "struct subprocess symtable sys sysconfig syslog tabnanny tarfile tempfile termios textwrap threading time "
    "timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle types typing unicodedata "
    "unittest urllib uuid venv warnings wave weakref webbrowser winreg winsound wsgiref xml xmlrpc zipapp zipfile "
    "zipimport zlib zoneinfo"
)
CATALOGUE = "known-names"
CATALOGUE_AS_OF = "2026-11-23"
CATALOGUE_DIGEST = (
    "sha256:"
    + hashlib.sha256(
        "\n".join(
            [
                *(f"{k.ecosystem}:{k.name}:{k.owner}" for k in KNOWN_SERVERS),
                *sorted(NODE_MODULES),
                *sorted(PYTHON_MODULES),
            ]
        ).encode()
    ).hexdigest()
)
