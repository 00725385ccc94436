"""Known vulnerabilities and known malware: ordered providers behind one port, merged into findings.

`collect` is the way in. A provider that did not answer is a SourceState that says so, never an empty list of findings.
"""
