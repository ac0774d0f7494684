# The emulated board: what all boards have, its own drivers, and the program that it runs.
include("../manifest.py", link="serial")
for name in ("cost.py", "main.py", "psram.py", "soc.py", "uart.py"):
    module(name, opt=3)
