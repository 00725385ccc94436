"""Pure renderers: spec -> manifest. Same arguments, equal dict: no clock, no I/O, no randomness.

A manifest says only what we mean to own, with quantities in canonical form and without null, {} or [], so that its
stored copy still contains it right after the write and the next pass writes nothing.
"""
