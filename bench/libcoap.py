"""libcoap's DTLS-PSK server under load: whole sessions, each a handshake and one request.

The client is libcoap itself, through ctypes: many sessions at once, in one process.
"""

import ctypes
import shutil
import socket
import struct
import time

import servers

SESSIONS_AT_ONCE = 16
_KEY = b"0123456789abcdef"
_UDP_DTLS = 2  # COAP_PROTO_DTLS
_CON, _GET, _URI_PATH = 0, 1, 11

_Handler = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int
)


class _Address(ctypes.Structure):
    """coap_address_t: a length, and a sockaddr."""

    _fields_ = (("size", ctypes.c_uint32), ("data", ctypes.c_uint8 * 28))

    def __init__(self, port: int) -> None:
        raw = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port)
        raw += socket.inet_aton("127.0.0.1") + bytes(20)
        super().__init__(16, (ctypes.c_uint8 * 28)(*raw))


def _library(tls: str) -> ctypes.CDLL:
    library = ctypes.CDLL(f"libcoap-3-{tls}.so.3")
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("coap_new_context", pointer, [pointer]),
        ("coap_free_context", None, [pointer]),
        ("coap_new_client_session_psk", pointer,
         [pointer, pointer, pointer, integer, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint]),
        ("coap_session_release", None, [pointer]),
        ("coap_new_pdu", pointer, [integer, integer, pointer]),
        ("coap_add_option", ctypes.c_size_t,
         [pointer, ctypes.c_uint16, ctypes.c_size_t, ctypes.c_char_p]),
        ("coap_send", integer, [pointer, pointer]),
        ("coap_io_process", integer, [pointer, ctypes.c_uint32]),
        ("coap_register_response_handler", None, [pointer, _Handler]),
    ):  # fmt: skip
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.coap_startup()
    library.coap_set_log_level(1)
    return library


class Load:
    """A libcoap server on its core, and sessions with it."""

    def __init__(self, tls: str = "gnutls", port: int = 5781) -> None:
        """`port` is the one for DTLS; the one before it is the plain one."""
        self.command = [f"coap-server-{tls}", "-k", _KEY.decode(), "-A", "127.0.0.1",
                        "-p", str(port - 1)]  # fmt: skip
        if shutil.which(self.command[0]) is None:
            raise SystemExit(f"needs {self.command[0]}: apt-get install libcoap3-bin")
        self._library = _library(tls)
        self._address = _Address(port)
        self._context = self._library.coap_new_context(None)
        self._finished: list[int] = []
        self._handler = _Handler(self._answered)
        self._library.coap_register_response_handler(self._context, self._handler)

    def _answered(self, session: int, sent: int, received: int, mid: int) -> int:
        self._finished.append(session)
        return 1  # COAP_RESPONSE_OK

    def _begin(self) -> None:
        library = self._library
        session = library.coap_new_client_session_psk(
            self._context, None, ctypes.byref(self._address), _UDP_DTLS, b"device", _KEY, len(_KEY)
        )
        request = library.coap_new_pdu(_CON, _GET, session)
        library.coap_add_option(request, _URI_PATH, 4, b"time")
        library.coap_send(session, request)  # goes out once the handshake is done

    def sessions(self, count: int) -> None:
        """Make so many sessions with one request each."""
        begun = done = 0
        stop = time.monotonic() + 60
        while done < count and time.monotonic() < stop:
            while begun < count and begun - done < SESSIONS_AT_ONCE:
                self._begin()
                begun += 1
            self._library.coap_io_process(self._context, 10)
            while self._finished:
                self._library.coap_session_release(self._finished.pop())
                done += 1
        assert done == count, f"{done} of {count} sessions"

    def cost(self, running: servers.Server, count: int) -> float:
        """Return the server's processor time for a session, in seconds."""
        before = running.cpu()
        self.sessions(count)
        return (running.cpu() - before) / count
