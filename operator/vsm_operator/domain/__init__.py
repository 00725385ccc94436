"""The ideas, without Kubernetes types and without I/O. Standard library only: the pods' code shares these modules."""
