"""Streamable HTTP in front of one supervised MCP server.

    client ──HTTP──► http ──► hub ──► link (stdio or streamable-http) ──► server
                      ▲        ▲  ▲
    operator ──HTTP──► admin   │  supervisor (connect, handshake, tools/list, backoff)
                               routes, eras, sessions, checks: the protocol, pure

Modules without I/O: jsonrpc, eras, sessions, checks, framing, sse, routes, backoff, status, settings. A server is
untrusted and so is a client: whatever either sends is parsed, bounded and written anew, never passed on as received.
"""
