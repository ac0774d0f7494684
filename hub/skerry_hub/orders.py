"""What other processes may have the running hub do (control.py)."""

from typing import Any

import aiocoap
from aiocoap import error

from skerry_hub.control import Handler
from skerry_hub.devices import Devices
from skerry_hub.errors import ControlError, DeviceError


class Orders:
    """Poke a device, send it a request, or tell whether its session is here."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self.handlers: dict[str, Handler] = {
            "poke": self._poke, "request": self._request, "holds": self._holds
        }  # fmt: skip

    async def _holds(self, said: dict[str, Any]) -> bool:
        return self._devices.live(str(said["device"])) is not None

    async def _poke(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"address": self._devices.poke(said["device"])}

    async def _request(self, said: dict[str, Any]) -> dict[str, Any]:
        try:
            message = aiocoap.Message(
                code=aiocoap.Code[said["method"]],
                payload=bytes.fromhex(said["payload"]),
                uri_path=[each for each in said["path"].split("/") if each],
                content_format=said["format"],
            )
            name, timeout = str(said["device"]), float(said["timeout"])
        except (KeyError, TypeError, ValueError):
            raise ControlError("the running hub does not understand this: start it anew") from None
        try:
            answer = await self._devices.request(name, message, timeout)
        except error.Error as problem:
            raise DeviceError(f"{name}: {problem}") from None
        content_format = answer.opt.content_format
        return {
            "code": str(answer.code),
            "ok": answer.code.is_successful(),
            "format": None if content_format is None else int(content_format),
            "payload": answer.payload.hex(),
        }
