"""The vetting gate's pure heart: evidence and policy in, one explained verdict out. Standard library only, no I/O."""
