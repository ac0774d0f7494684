"""A wire to PostgreSQL that is cut around a COMMIT."""

import select
import socket
import threading
from pathlib import Path

SOCKET = ".s.PGSQL.5432"


class Wire:
    """Passes bytes between two Unix sockets. `cut` says what happens at the next COMMIT.

    "before" cuts the wire before the server has it, "after" once the server has answered, before
    the client knows. Then the wire is whole again.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.folder, self.cut, self.cuts = folder, "", 0
        self._server = server / SOCKET
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / SOCKET))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._server))
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data or (ready is client and self._is_cut(data, server)):
                        return
                    (server if ready is client else client).sendall(data)

    def _is_cut(self, data: bytes, server: socket.socket) -> bool:
        if not self.cut or b"COMMIT" not in data:
            return False
        if self.cut == "after":
            server.sendall(data)
            while b"COMMIT" not in server.recv(1 << 16):  # its answer
                pass
        self.cut, self.cuts = "", self.cuts + 1
        return True

    def close(self) -> None:
        self._listening.close()
