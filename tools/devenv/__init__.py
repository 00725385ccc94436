"""Brings the development environment up, down and through its tests; standard library only, since nothing is there yet.

One module per concern, composed in `__main__`. What decides (choice, fingerprints, command lines) is pure and takes its
probes as arguments; what acts goes through `commands.Commands` with argument lists, never through a shell.
"""
