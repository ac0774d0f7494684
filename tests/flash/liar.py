"""A board that speaks the raw REPL and says what a test wants it to say."""

import json
import os
import pty
import threading
import tty

LIBRARY = {"place": "/lib", "digest": None}


class Liar:
    """Speaks the raw REPL and answers each call with what `answers` has for it."""

    def __init__(self, chip, **answers):
        board = {
            "version": [1, 29, 0], "mpy": 2822, "machine": "liar", "board": "liar", "chip": chip,
            "missing": [],
        }  # fmt: skip
        self.answers = {
            "tell_board": board, "tell_identity": {"identity": None}, "tell_library": LIBRARY,
            "tell_hashes": {"hashes": {}}, **answers,
        }  # fmt: skip
        self.heard = b""
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        command = b""
        try:
            while True:
                byte = os.read(self._ours, 1)
                self.heard += byte
                if byte == b"\x01":
                    os.write(self._ours, b"\r\nraw REPL; CTRL-B to exit\r\n>")
                    command = b""
                elif byte == b"\x05":  # raw paste: not here
                    os.read(self._ours, 2)
                    os.write(self._ours, b"R\x00")
                elif byte == b"\x04":
                    os.write(self._ours, self._answer(command.strip(b"\r\x03")))
                    command = b""
                else:
                    command += byte
        except OSError:
            pass

    def _answer(self, command):
        if not command:
            return b"OK\r\nMPY: soft reboot\r\n\r\nraw REPL; CTRL-B to exit\r\n>"
        name = command.split(b"(")[0].decode(errors="replace")
        said = self.answers.get(name, "")
        said = said if isinstance(said, str) else json.dumps(said) + "\r\n"
        return b"OK" + said.encode() + b"\x04\x04>"

    def close(self):
        os.close(self._theirs)
        os.close(self._ours)
