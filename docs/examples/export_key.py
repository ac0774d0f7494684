"""A key for another protocol: the hub exports the same one, and nobody else can.

Here it authenticates a broadcast. It changes with the session: `hub.fingerprint` says which one.
"""

import skerry_device
from skerry.primitives import hmac_sha256

hub = skerry_device.connect()
key = hub.export_key("broadcast", b"greenhouse", 16)
message = b"valve open"
tag = hmac_sha256(key, message)[:8]
hub.post("readings", {"session": hub.fingerprint, "tag": tag.hex()})
print("sent under session", hub.fingerprint)
hub.close()
