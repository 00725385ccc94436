"""Text that came from somewhere else, made fit to be stored and shown."""


def storable(value: object, *, max_length: int) -> str:
    """At most `max_length` characters that every encoder accepts: JSON can smuggle in half of a surrogate pair."""
    return str(value)[:max_length].encode("utf-8", "replace").decode()
