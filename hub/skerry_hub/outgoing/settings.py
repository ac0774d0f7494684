"""The tables of the settings file that name destinations: [[webhook]], one or more, and [mqtt]."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skerry_hub.outgoing import mqtt_settings, webhook_settings
from skerry_hub.outgoing.mqtt_settings import MqttSettings, mqtt
from skerry_hub.outgoing.webhook_settings import WebhookSettings, webhooks

TABLES: Mapping[str, Callable[[Any], object]] = {"webhook": webhooks, "mqtt": mqtt}


def explained(to: Sequence[WebhookSettings], broker: MqttSettings | None) -> str:
    """Return the tables of a settings file that says what holds; examples of what is not said."""
    lines = [*webhook_settings.explained(to), *mqtt_settings.explained(broker)]
    return "\n".join(lines) + "\n"


__all__ = ["TABLES", "MqttSettings", "WebhookSettings", "explained", "mqtt", "webhooks"]
