# A Pico without radio: what all boards have, and the port's own modules for its flash.
include("../manifest.py", link="serial", named=True)
freeze("$(PORT_DIR)/modules")
