"""Inert packages that look like attacks: every address is .invalid or loopback, every payload prints or does nothing.

They are code that writes files, so that no archive of that kind lies in the repository.
"""

from vetting_samples.build import Sample, pack_npm, pack_wheel, write
from vetting_samples.samples import BENIGN, MALICIOUS

__all__ = ["BENIGN", "MALICIOUS", "Sample", "pack_npm", "pack_wheel", "write"]
