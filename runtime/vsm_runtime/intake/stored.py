"""What a manifest in the bundle registry says. Anything that is no bundle of ours is None: it gets made anew."""

import json

from vsm_runtime.intake.facts import BundleFacts
from vsm_runtime.oci import MAX_FACTS_BYTES, Manifest, OciClient, OciCorruptError


def facts_of(manifest: Manifest, storage: OciClient) -> tuple[BundleFacts, int] | None:
    """The facts and the size of the layer. Raises OciError when the registry does not answer."""
    try:
        raw = json.loads(manifest.body)
        config, size_bytes = str(raw["config"]["digest"]), int(raw["layers"][0]["size"])
        return BundleFacts.from_json(storage.blob(config, max_bytes=MAX_FACTS_BYTES)), size_bytes
    except (OciCorruptError, ValueError, TypeError, KeyError, IndexError):
        return None
