"""Links carry datagrams between this device and its one hub; they may lose or forge any of them.

    send(datagram)                        never raises: what cannot be sent is lost
    receive(timeout_ms) -> bytes | None   one datagram, at least its first 640 bytes, or None,
                                          which may come early
    close()

`sent` and `received` count bytes.
"""
