"""Skerry's protocol core: bytes in, bytes out, the same on MicroPython and CPython.

It holds no socket, file, clock, generator or log; nonces, time and counters are arguments.
Nothing is re-exported here: on a device an import that is not used is heap that is not there.
"""
