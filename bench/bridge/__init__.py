"""The cost of the bridge."""
