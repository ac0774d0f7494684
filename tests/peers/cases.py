"""The cases of the OSCORE interop test specification (test-spec5), as our device asks them.

Case by number: the context, what is asked and what has to come. Options are CoAP's numbers:
1 If-Match, 4 ETag, 5 If-None-Match, 12 Content-Format, 14 Max-Age, 17 Accept.
"""

from typing import Any

from peers.parts import Context

SECRET = bytes.fromhex("0102030405060708090a0b0c0d0e0f10")
SALT = bytes.fromhex("9e7ca92223786340")
AB = Context(SECRET, SALT, b"", b"\x01")  # A is its client, B its server
CD = Context(SECRET, SALT, b"", b"\x01", bytes.fromhex("37cbf3210017a2d3"))

GET, POST, PUT, DELETE = 1, 2, 3, 4
TEXT = [12, ""]
HELLO = b"Hello World!".hex()

Case = tuple[Context, dict[str, Any], int, list[Any], str]

# Number: context, request, then code, options and payload of the response inside.
CORRECT: dict[int, Case] = {
    1: (AB, {"path": "oscore/hello/1"}, 0x45, [TEXT], HELLO),
    2: (CD, {"path": "oscore/hello/1"}, 0x45, [TEXT], HELLO),
    3: (AB, {"path": "oscore/hello/2", "query": ["first=1"]}, 0x45, [[4, "2b"], TEXT], HELLO),
    4: (AB, {"path": "oscore/hello/3", "options": [[17, ""]]}, 0x45, [TEXT, [14, "05"]], HELLO),
    8: (
        AB,
        {"code": POST, "path": "oscore/hello/6", "options": [TEXT], "payload": "4a"},
        0x44, [TEXT], "4a",
    ),
    9: (
        AB,
        {"code": PUT, "path": "oscore/hello/7", "options": [[1, "7b"], TEXT], "payload": "7a"},
        0x44, [], "",
    ),
    10: (
        AB,
        {"code": PUT, "path": "oscore/hello/7", "options": [[5, ""], TEXT], "payload": "8a"},
        0x8C, [], "",
    ),
    11: (AB, {"code": DELETE, "path": "oscore/test"}, 0x42, [], ""),
}  # fmt: skip
