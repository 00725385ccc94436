"""What runs in pods: the intake, the loader of bundles, the launcher and the bridge. Knows `vsm_operator.domain` only."""
