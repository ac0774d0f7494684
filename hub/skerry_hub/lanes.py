"""Two queues of the kernel for one port: a flood of messages 1 drops only messages 1.

Both sockets are bound to the port (SO_REUSEPORT); a program of classic BPF, which the kernel runs
for each datagram before it is queued, sends what looks like a message 1 to the second one:

    4 header of a POST | token | B1 "k" FF        what a device sends (docs/protocol.md 5.1)

Written in any other way it comes by the first queue, like all else. A kernel that knows no such
programs has one queue for everything.
"""

import ctypes
import logging
import socket
import struct
from contextlib import suppress

# <asm-generic/socket.h>; the socket module does not name them.
_SO_ATTACH_REUSEPORT_CBPF, _SO_DETACH_REUSEPORT_BPF = 51, 68
# <linux/bpf_common.h>: what each instruction does.
_LOAD_BYTE, _LOAD_BYTE_X, _LOAD_TWO_X = 0x30, 0x50, 0x48  # from the payload, big-endian
_AND, _IF_EQUAL, _TO_X, _RETURN = 0x54, 0x15, 0x07, 0x06
# (code, to skip if true, to skip if false, operand). What is too short returns 0.
_PROGRAM = (
    (_LOAD_BYTE, 0, 0, 0), (_AND, 0, 0, 0xE0), (_IF_EQUAL, 0, 9, 0x40),  # version 1, CON or NON
    (_LOAD_BYTE, 0, 0, 1), (_IF_EQUAL, 0, 7, 0x02),  # POST
    (_LOAD_BYTE, 0, 0, 0), (_AND, 0, 0, 0x0F), (_TO_X, 0, 0, 0),  # X: length of the token
    (_LOAD_TWO_X, 0, 0, 4), (_IF_EQUAL, 0, 2, 0xB16B),
    (_LOAD_BYTE_X, 0, 0, 6), (_IF_EQUAL, 1, 0, 0xFF),
    (_RETURN, 0, 0, 0),
    (_RETURN, 0, 0, 1),
)  # fmt: skip

log = logging.getLogger(__name__)


def divide(first: socket.socket, second: socket.socket) -> bool:
    """Bind `second` to where `first` is bound, for messages 1; close it, and False, if not."""
    code = b"".join(struct.pack("=HBBI", *each) for each in _PROGRAM)
    kept = ctypes.create_string_buffer(code)  # until the kernel has read it
    program = struct.pack("@HP", len(_PROGRAM), ctypes.addressof(kept))
    try:
        # Only now: `first` could not have been bound beside another hub's sockets.
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        second.bind(first.getsockname())
        first.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)
    except (OSError, AttributeError) as error:
        log.warning("a flood of handshakes can hold up sessions here: %s", error)
        second.close()
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        return False
    return True


def share(bound: socket.socket) -> None:
    """Take away the program of a hub that had this port alone; it stays as long as anybody has it.

    Who shares the port gets a part of everything.
    """
    with suppress(OSError):  # mostly there is none
        bound.setsockopt(socket.SOL_SOCKET, _SO_DETACH_REUSEPORT_BPF, 0)
