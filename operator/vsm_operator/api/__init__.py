"""The contract with users: models of the kinds, their conditions, and the CRD documents generated from them."""
