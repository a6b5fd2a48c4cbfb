"""The command line: arguments in, the public API called, text or JSON out. No algorithms.

`main` is what is installed as ``holdfast``; it imports nothing that a short answer does not need.
Each command is a module of `holdfast.cli.commands`, imported when it is called.
"""
