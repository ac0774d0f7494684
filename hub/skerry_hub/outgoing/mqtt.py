"""An MQTT broker: each item a message with QoS 1, and whether the hub is there, retained.

skerry/HUB/DEVICE/readings    a reading
skerry/HUB/events             an event
skerry/HUB/status             online or offline; the broker itself says the latter if need be
"""

import asyncio
import json
from contextlib import suppress
from urllib.parse import quote, urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from skerry_hub.outgoing.destination import Undelivered
from skerry_hub.outgoing.items import Item
from skerry_hub.outgoing.logs import Batch
from skerry_hub.outgoing.mqtt_link import Link, Message
from skerry_hub.outgoing.mqtt_settings import NAME, MqttSettings

_VERSIONS = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}
_GOODBYE_WITHIN_S = 1.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Mqtt:
    """A `Destination`: see there for what the methods do."""

    name = NAME

    def __init__(self, said: MqttSettings, hub: str, log: str) -> None:
        """Read password and CA; raise ConfigError. `hub` and `log` say whose items."""
        self.send = said.send
        self.begin = said.begin
        self._said = said
        self._hub = hub
        self._password = said.password()
        self._tls = said.tls()
        self._head = (
            json.dumps({"hub": hub, "log": log}, separators=(",", ":"))[:-1].encode() + b","
        )
        self._link: Link | None = None
        self._failed = False  # at the last batch

    def __repr__(self) -> str:
        return "<Mqtt>"

    async def open(self) -> None:
        """Connect and say so, if there is no connection."""
        if self._link is not None and self._link.alive:
            return
        await self._drop()
        parts = urlsplit(self._said.url)
        self._link = Link(self._client())
        try:
            await self._link.open(parts.hostname or "", parts.port or _PORTS[parts.scheme])
            await self._link.publish([self._status("online")])
        except Undelivered:
            await self._drop()
            raise

    async def deliver(self, batch: Batch) -> None:
        """Publish a batch; what is not acknowledged is sent again in another connection.

        After a failure the first message goes alone: if the broker refuses that one for good, it
        does not get again and again what comes behind it.
        """
        if self._link is None:
            raise Undelivered("is not open")
        messages = [self.message(each) for each in batch.items]
        accepted = 0
        try:
            for part in (messages[:1], messages[1:]) if self._failed else (messages,):
                await self._link.publish(part)
                accepted += len(part)
        except Undelivered as failed:
            self._failed = True
            await self._drop()
            raise Undelivered(str(failed), accepted + failed.accepted) from None
        self._failed = False

    async def close(self) -> None:
        """Say goodbye and disconnect."""
        if self._link is not None and self._link.alive:
            with suppress(Undelivered, TimeoutError):  # the broker says it by itself, later
                async with asyncio.timeout(_GOODBYE_WITHIN_S):
                    await self._link.publish([self._status("offline")])
        await self._drop()

    async def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._said.client_id or f"skerry-{self._hub}",
            protocol=_VERSIONS[self._said.version],
            reconnect_on_failure=False,
        )
        if self._said.user is not None:
            client.username_pw_set(self._said.user, self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        will = self._status("offline")
        client.will_set(will.topic, will.payload, qos=1, retain=True)
        return client

    def _status(self, said: str) -> Message:
        return Message(self._topic(self._said.status_topic), said.encode(), retain=True)

    def message(self, item: Item) -> Message:
        """Return an item as it is published."""
        payload = self._head + item.json[1:]
        if item.type == "event":
            return Message(self._topic(self._said.events_topic), payload)
        topic = self._topic(self._said.readings_topic, item.device)
        return Message(topic, payload, self._said.retain)

    def _topic(self, template: str, device: str = "") -> str:
        """Fill a template in; what a topic's level cannot hold is escaped, as in a URL."""
        return template.replace("{hub}", quote(self._hub, "")).replace(
            "{device}", quote(device, "")
        )
