"""The Skerry hub: keeps the keys of devices, makes sessions with them, takes their readings."""
