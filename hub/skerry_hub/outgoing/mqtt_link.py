"""One connection to an MQTT broker, from CONNECT to its end; the next one is another Link.

paho's own thread does the network's work. What it tells is handed to the event loop, so that
everything here but `_connect` happens there.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from paho.mqtt import client as paho
from paho.mqtt.reasoncodes import ReasonCode

from skerry_hub.outgoing.destination import Undelivered

KEEPALIVE_S = 30
_ANSWER_WITHIN_S = 30.0
_GOODBYE_WITHIN_S = 1.0

log = logging.getLogger(__name__)


class Message(NamedTuple):
    """What is published, with QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False


class Link:
    """A connection; `open` it once."""

    def __init__(self, client: paho.Client) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self.alive = False  # as far as is known
        self._closing = False
        self._reason = ""
        self._waiting: dict[int, tuple[str, asyncio.Future[None]]] = {}  # by packet identifier
        client.on_connect = lambda *said: self._call(self._on_connect, said[3])
        client.on_disconnect = lambda *said: self._call(
            self._end, f"ends the connection: {said[3]}"
        )
        client.on_publish = lambda *said: self._call(self._on_publish, said[2], said[3])

    async def open(self, host: str, port: int) -> None:
        """Connect; raise Undelivered."""
        # A thread that nobody waits for: a name server or a TLS handshake may take its time.
        threading.Thread(target=self._connect, args=(host, port), daemon=True).start()
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await self._connected
        except TimeoutError:
            raise Undelivered("does not answer in time") from None

    def _connect(self, host: str, port: int) -> None:
        try:
            self._client.connect(host, port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            self._call(self._end, str(error) or type(error).__name__)
            return
        self._client.loop_start()
        if self._closing:
            self._client.disconnect()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages in their order; return when all are acknowledged, or Undelivered."""
        sent: list[asyncio.Future[None]] = []
        accepted = 0
        try:
            for each in messages:
                sent.append(self._sent(each))
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                for waiting in sent:
                    await waiting
                    accepted += 1
        except TimeoutError:
            raise Undelivered("does not answer in time", accepted) from None
        except Undelivered as failed:
            raise Undelivered(str(failed), accepted) from None

    def _sent(self, message: Message) -> "asyncio.Future[None]":
        """Send a message; return what is done when it is acknowledged, or raise Undelivered."""
        if self._ended.is_set():
            raise Undelivered(self._reason)
        info = self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise Undelivered(self._reason or paho.error_string(info.rc))
        waiting: asyncio.Future[None] = self._loop.create_future()
        self._waiting[info.mid] = message.topic, waiting
        return waiting

    async def close(self) -> None:
        """Disconnect, or give up after a second."""
        self._closing = True
        self._client.disconnect()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_WITHIN_S):
                await self._ended.wait()
        connection = self._client.socket()
        if isinstance(connection, socket.socket):
            with suppress(OSError):  # paho's thread ends by it
                connection.shutdown(socket.SHUT_RDWR)

    def _call(self, what: Callable[..., None], *said: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(what, *said)

    def _on_connect(self, reason: ReasonCode) -> None:
        if reason.is_failure:
            self._end(f"refuses the connection: {reason}")
        elif not self._connected.done():
            self.alive = True
            self._connected.set_result(None)

    def _on_publish(self, mid: int, reason: ReasonCode) -> None:
        topic, waiting = self._waiting.pop(mid, ("", None))
        if waiting is None or waiting.done():
            return
        if reason.is_failure:
            _fail(waiting, f"refuses a message to {topic}: {reason}")
        else:
            waiting.set_result(None)

    def _end(self, reason: str) -> None:
        self._reason = self._reason or reason
        if self.alive and not self._closing:  # the next one may work at once, and so say nothing
            log.warning("mqtt: the connection was lost: %s", self._reason)
        self.alive = False
        self._ended.set()
        for each in (self._connected, *(waiting for _, waiting in self._waiting.values())):
            if not each.done():
                _fail(each, self._reason)
        self._waiting.clear()


def _fail(waiting: "asyncio.Future[None]", reason: str) -> None:
    waiting.set_exception(Undelivered(reason))
    waiting.exception()  # it may be that nobody asks
