# What all boards have, and what MicroPython has for this one.
include("../manifest.py", link="udp", named=True)
include("$(BOARD_DIR)/manifest.py")
