"""Words of Node.js and its usual companions that matter to the analysis of chains. Lists of our own making."""

EXECUTE = frozenset({
    "eval", "Function", "vm.runInThisContext", "vm.runInNewContext", "vm.runInContext", "vm.Script", "global.eval",
    "globalThis.eval", "window.eval", "module._compile",
})  # fmt: skip
SPAWN = frozenset(
    f"child_process.{name}" for name in ("exec", "execSync", "spawn", "spawnSync", "execFile", "execFileSync", "fork")
)
REQUEST = frozenset({"https.request", "http.request", "https.get", "http.get", "XMLHttpRequest", "ws", "WebSocket",
                     "net.connect", "net.createConnection", "net.Socket", "tls.connect"})  # fmt: skip
FETCH = frozenset({
    "fetch", "axios", "axios.get", "axios.post", "axios.request", "got", "got.get", "got.post", "node-fetch",
    "request", "request.get", "request.post", "needle", "superagent.get", "superagent.post", "undici.request",
    "undici.fetch", "globalThis.fetch", "phin", "bent",
})  # fmt: skip
SEND = FETCH | REQUEST | {
    "axios.put", "got.put", "navigator.sendBeacon", "dns.lookup", "dns.resolve", "dns.resolve4", "dns.resolveTxt",
    "dns.promises.lookup", "dns.promises.resolve",
}  # fmt: skip
SEND_METHODS = frozenset({"write", "end", "send", "post", "put"})
WRITE = frozenset({"fs.writeFileSync", "fs.writeFile", "fs.promises.writeFile", "fs/promises.writeFile",
                   "fs.appendFileSync"})  # fmt: skip
DECODE = frozenset({"atob", "zlib.inflateSync", "zlib.gunzipSync", "zlib.brotliDecompressSync",
                    "crypto.createDecipheriv"})  # fmt: skip
SYSTEM_FACTS = {
    "os.hostname": "host", "os.userInfo": "user", "os.networkInterfaces": "net", "os.homedir": "place",
    "process.cwd": "place", "os.platform": "system", "os.release": "system", "os.type": "system",
    "os.arch": "system", "dns.getServers": "net",
}  # fmt: skip
CAPABILITIES = {
    "child_process": "process", "cluster": "process", "worker_threads": "process", "execa": "process",
    "cross-spawn": "process", "shelljs": "process",
    "http": "network", "https": "network", "http2": "network", "net": "network", "tls": "network",
    "dgram": "network", "dns": "network", "dns/promises": "network", "undici": "network", "axios": "network",
    "node-fetch": "network", "got": "network", "ws": "network", "request": "network", "ssh2": "network",
    "fs": "filesystem", "fs/promises": "filesystem", "fs-extra": "filesystem",
    "vm": "dynamic-code", "module": "dynamic-code", "vm2": "dynamic-code",
    "bindings": "native", "node-gyp-build": "native", "ffi-napi": "native", "node-pre-gyp": "native",
}  # fmt: skip
KEEPS_WHOLE = frozenset({
    "stringify", "entries", "keys", "values", "assign", "fromEntries", "from", "encodeURIComponent", "btoa", "String",
    "map", "filter", "reduce", "join", "toString", "slice", "concat", "env", "alloc", "update", "final", "gzipSync",
    "deflateSync", "flatMap", "sort", "reverse", "split", "URLSearchParams", "encode", "escape", "structuredClone",
})  # fmt: skip
"""Functions and methods after which all of the environment is still there."""
GATHERS = frozenset({"push", "unshift", "append", "set", "add", "concat"})
"""Methods after which the object holds what it was given."""
