# What all boards have, and what MicroPython has for this one.
include("../manifest.py", link="udp", named=True)
include("$(PORT_DIR)/boards/manifest.py")
