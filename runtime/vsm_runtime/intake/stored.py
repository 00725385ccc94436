"""What a manifest in the bundle registry says. Anything that is no bundle of ours is None: it gets made anew."""

import json

from vsm_runtime.intake.facts import BundleFacts
from vsm_runtime.oci import MAX_FACTS_BYTES, Manifest, OciClient, OciCorruptError


def facts_of(manifest: Manifest, storage: OciClient) -> tuple[BundleFacts, int] | None:
    """The facts and the size of the layer. Raises OciError when the registry does not answer."""
    try:
        raw = json.loads(manifest.body)
        config, layer = str(raw["config"]["digest"]), raw["layers"][0]
        facts = BundleFacts.from_json(storage.blob(config, max_bytes=MAX_FACTS_BYTES))
        complete = facts.root.version == facts.version and storage.has_blob(str(layer["digest"]))
        return (facts, int(layer["size"])) if complete else None
    except (OciCorruptError, ValueError, TypeError, KeyError, IndexError):
        return None
