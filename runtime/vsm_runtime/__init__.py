"""What runs in pods: intake, loader of bundles, launcher and bridge. Of the operator it knows `domain` only."""
