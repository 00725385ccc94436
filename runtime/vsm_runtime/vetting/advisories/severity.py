"""How bad an advisory is: CVSS vectors of any version, else the label its database gives, else unknown.

Unknown is not harmless: it counts as `UNKNOWN_SEVERITY` until a source says better.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cvss import CVSS2, CVSS3, CVSS4  # type: ignore[import-untyped]

from vsm_operator.domain.vetting.model import Severity as Label

UNKNOWN_SEVERITY: Label = "high"
MAX_VECTOR_LENGTH = 512
MAX_VECTORS = 16
_LABELS: dict[str, tuple[Label, float]] = {
    "critical": ("critical", 9.0),
    "high": ("high", 7.0),
    "moderate": ("medium", 4.0),
    "medium": ("medium", 4.0),
    "low": ("low", 0.1),
    "info": ("info", 0.0),
    "none": ("info", 0.0),
}
"""Databases' words for a severity: ours, and the lowest score that the word can mean."""


_SCALE: tuple[tuple[float, Label], ...] = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))


@dataclass(frozen=True, slots=True)
class Severity:
    """`known` is False when no source has rated it; then label and score are an assumption."""

    label: Label = UNKNOWN_SEVERITY
    score: float = 7.0
    vector: str = ""
    known: bool = False
    measured: bool = False
    """False when `score` is only the least that the label can mean."""

    @property
    def rank(self) -> tuple[bool, float, str]:
        """Orders severities of one vulnerability from several sources: rated ones first, then by score."""
        return (self.known, self.score, self.vector)


UNKNOWN = Severity()


def severity_of(vectors: Iterable[str], *, label: object = None, score: object = None) -> Severity:
    """The worst readable v3 or v4 vector; v2 only where nothing newer is; a bare score, then a label after that."""
    rated = [rating for vector in list(vectors)[:MAX_VECTORS] if (rating := _rate(vector)) is not None]
    newest = [rating for is_v2, rating in rated if not is_v2] or [rating for _, rating in rated]
    if newest:
        return max(newest, key=lambda rating: rating.rank)
    if isinstance(score, int | float) and not isinstance(score, bool) and 0 < score <= 10:
        return Severity(label_of(float(score)), float(score), known=True, measured=True)
    known = _LABELS.get(label.strip().lower()[:20]) if isinstance(label, str) else None
    return Severity(known[0], known[1], known=True) if known else UNKNOWN


def label_of(score: float) -> Label:
    """The qualitative rating scale of CVSS v3 and v4."""
    return next((label for limit, label in _SCALE if score >= limit), "info")


def _rate(vector: object) -> tuple[bool, Severity] | None:
    if not isinstance(vector, str) or not vector.isascii() or len(vector) > MAX_VECTOR_LENGTH:
        return None
    try:
        if vector.startswith("CVSS:4.0/"):
            score = float(CVSS4(vector).base_score)
        elif vector.startswith("CVSS:3"):
            score = float(CVSS3(vector).scores()[0])
        else:
            score = float(CVSS2(vector).scores()[0])
    except Exception:  # noqa: BLE001 - besides CVSSError the library raises ValueError, KeyError, decimal errors
        return None
    is_v2 = not vector.startswith("CVSS:")
    return is_v2, Severity(label_of(score), score, vector, known=True, measured=True)
