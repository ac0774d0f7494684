"""Emulated devices: each a real MicroPython process on this machine, with a real store."""
