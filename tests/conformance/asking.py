"""How a tool of the fixture asks its client something, written once for both eras.

`Client.ask` returns the answers. In the handshake era each question is a request of its own, and the tool waits. In the
2026-07-28 revision there are no such requests: the call ends with `input_required`, and when the client calls again
with answers the tool runs from its beginning, with all answers so far at hand (they travel in `requestState`).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.shared.message import ServerMessageMetadata

FIRST_MODERN = "2026-07-28"
Answers = dict[str, dict[str, Any]]
_RESULTS: Mapping[str, type[types.Result]] = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResult,
    "roots/list": types.ListRootsResult,
}


class InputRequired(Exception):  # noqa: N818
    """Ends a run of a tool in the modern era; not an error."""

    def __init__(self, result: types.InputRequiredResult) -> None:
        super().__init__("the client has to answer first")
        self.result = result


class Client:
    """The one whose request is being served."""

    def __init__(self, context: ServerRequestContext, params: types.InputResponseRequestParams) -> None:
        self.context = context
        self.modern = context.protocol_version >= FIRST_MODERN
        self.state = json.loads(params.request_state) if params.request_state else None
        self._answers: Answers = {
            **(self.state or {}),
            **{key: answer.model_dump(by_alias=True) for key, answer in (params.input_responses or {}).items()},
        }

    @property
    def capabilities(self) -> types.ClientCapabilities:
        return self.context.session.client_capabilities or types.ClientCapabilities()

    async def ask(
        self, questions: Mapping[str, types.InputRequest], *, stateful: bool = False, tolerant: bool = False
    ) -> Answers:
        """`stateful` sends a requestState even where nothing needs remembering; `tolerant` leaves refused ones out."""
        if not self.modern:
            answers = await asyncio.gather(*(self._request(q) for q in questions.values()), return_exceptions=True)
            if not tolerant:
                for answer in answers:
                    if isinstance(answer, BaseException):
                        raise answer
            return {
                key: answer
                for key, answer in zip(questions, answers, strict=True)
                if not isinstance(answer, BaseException)
            }
        if questions.keys() <= self._answers.keys():
            return {key: self._answers[key] for key in questions}
        known = {key: answer for key, answer in self._answers.items() if key not in questions}
        state = json.dumps(known) if stateful or known else None
        raise InputRequired(types.InputRequiredResult(input_requests=dict(questions), request_state=state))

    async def _request(self, question: types.InputRequest) -> dict[str, Any]:
        answer = await self.context.session.send_request(
            question,
            _RESULTS[question.method],
            # Without it the request would travel on the GET stream, which the client may not have opened yet.
            metadata=ServerMessageMetadata(related_request_id=self.context.request_id),
        )
        return answer.model_dump(by_alias=True, exclude_none=True)


async def settle(run: Callable[[], Awaitable[Any]]) -> Any:
    """What the run returns, or the questions it ended with."""
    try:
        return await run()
    except InputRequired as ended:
        return ended.result


def elicitation(message: str, properties: Mapping[str, Any]) -> types.ElicitRequest:
    schema = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(prompt: str) -> types.CreateMessageRequest:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=prompt))
    return types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[message], max_tokens=100))


def roots() -> types.ListRootsRequest:
    return types.ListRootsRequest()


def missing_capability(name: str) -> MCPError:
    return MCPError(
        code=types.MISSING_REQUIRED_CLIENT_CAPABILITY,
        message=f"this needs a client that declares the capability {name!r}",
        data={"requiredCapabilities": {name: {}}},
    )
