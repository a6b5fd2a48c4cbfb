"""Real servers on loopback, each in a process and a folder of its own, for the tests.

`tests/servers/install` brings the programs; a server starts when a test first asks for it.
"""
