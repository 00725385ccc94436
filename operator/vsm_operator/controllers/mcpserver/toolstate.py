"""What is said of a server's tools: status.tools, the condition ToolsUnchanged, and why a blocked server is blocked.

Pure. While nothing new is known of the tools, what was said last stays: a pod that restarts has not changed them.
"""

from vsm_operator.api.conditions import ConditionStatus, ConditionType, Reason, find_condition
from vsm_operator.api.v1alpha1 import ToolsStatus
from vsm_operator.controllers.mcpserver.facts import Facts, Verified
from vsm_operator.controllers.podfacts import Problem
from vsm_operator.domain.tools import visible
from vsm_operator.ports.bridge import Blocked

_MAX_NAMES = 200
_OFF = "spec.toolPin is Off: that the tools change would go unnoticed"


def tools_status(facts: Facts, *, serves: bool) -> ToolsStatus | None:
    """`serves`: whether a verification counts, for it may have been overtaken."""
    known, pin, blocked = facts.before.tools, facts.pin, _blocked(facts)
    if blocked is not None and facts.bridge is not None:
        chosen = facts.spec.tool_filter
        seen = facts.bridge.tool_names if facts.bridge.tools_hash == blocked.observed else ()
        names = visible(seen, allow=chosen.allow, deny=chosen.deny)
        known = ToolsStatus(count=len(names), hash=blocked.observed, names=names[:_MAX_NAMES])
    elif serves and isinstance(facts.verification, Verified):
        found = facts.verification
        listed = found.handshake.tool_names
        known = ToolsStatus(count=len(listed), hash=found.tools_hash, names=list(listed[:_MAX_NAMES]))
    if pin.mode == "Off":
        return known and known.model_copy(update={"pinned_hash": None, "pinned_artifact": None})
    if not pin.artifact:
        return known
    pinned = {"pinned_hash": pin.hash or None, "pinned_artifact": pin.artifact if pin.hash else None}
    if known is None:
        return ToolsStatus().model_copy(update=pinned) if pin.hash else None
    if not pin.hash and known is facts.before.tools and pin.mode != "Strict":
        return known  # another version is on its way: what serves today is still what the status speaks of
    return known.model_copy(update=pinned)


def tools_condition(facts: Facts) -> tuple[ConditionStatus, str, str]:
    """Status, reason and message of ToolsUnchanged."""
    status, reason, message = _condition(facts)
    return status, reason, f"{message}; {facts.pin.trouble}" if facts.pin.trouble else message


def blocked_problem(facts: Facts) -> Problem | None:
    """Why a bridge does not let its server serve, with what to do; None when it does."""
    blocked = _blocked(facts)
    if blocked is None:
        return None
    return Problem(_reason(blocked), _why(facts, blocked))


def _condition(facts: Facts) -> tuple[ConditionStatus, str, str]:
    if facts.pin.mode == "Off":
        return "Unknown", Reason.NOT_PINNED, _OFF
    blocked = _blocked(facts)
    if blocked is not None:
        return "False", _reason(blocked), _why(facts, blocked)
    if facts.pin.hash and isinstance(facts.verification, Verified):
        return "True", Reason.PINNED, f"the tools are the admitted ones, {facts.pin.hash}"
    last = find_condition(facts.before.conditions, ConditionType.TOOLS_UNCHANGED)
    if last is None or last.reason == Reason.NOT_PINNED:
        return "Unknown", Reason.NOT_LISTED, "the server has not listed its tools yet"
    said = last.message.partition("; the annotation ")[0]
    return last.status, last.reason, said


def _blocked(facts: Facts) -> Blocked | None:
    return facts.bridge.blocked if facts.bridge is not None else None


def _reason(blocked: Blocked) -> Reason:
    return Reason.TOOLS_NOT_ADMITTED if blocked.reason == Reason.TOOLS_NOT_ADMITTED else Reason.TOOLS_CHANGED


def _why(facts: Facts, blocked: Blocked) -> str:
    if blocked.observed and blocked.observed == facts.pin.hash:
        return f"its tools ({blocked.observed}) are admitted; the pod takes that over within two minutes"
    commands = f"look with `vsmctl tools show {facts.name}`, then admit them with `vsmctl tools admit {facts.name}`"
    observed = blocked.observed or "of unknown hash"
    if _reason(blocked) is Reason.TOOLS_NOT_ADMITTED:
        return f"it does not serve before its tools ({observed}) are admitted: {commands}"
    expected = blocked.expected or "unknown"
    return (
        f"its tools ({observed}) are not the admitted ones ({expected}), so it does not serve: {commands}, "
        "or go back to what it was"
    )
