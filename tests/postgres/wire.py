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
            held = False  # what the server says is kept from the client
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if ready is client and self.cut and b"COMMIT" in data:
                        where, self.cut, self.cuts = self.cut, "", self.cuts + 1
                        if where == "before":
                            return
                        held = True
                    if not data or (ready is server and held and b"COMMIT" in data):
                        return
                    if ready is client or not held:
                        (server if ready is client else client).sendall(data)

    def close(self) -> None:
        self._listening.close()
