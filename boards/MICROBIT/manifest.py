# A Cortex-M0 that runs the other emulated board's program, with drivers of its own.
include("../manifest.py", link="serial")
for name in ("soc.py", "uart.py"):
    module(name, opt=3)
for name in ("cost.py", "main.py", "psram.py"):
    module(name, base_path="../MPS2_AN385", opt=3)
