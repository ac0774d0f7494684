"""What a user adds to the hub: `skerry run --app MODULE:FUNCTION` (docs/hub-api.md)."""

import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

from aiocoap import resource

from skerry_hub.devices import Guarded
from skerry_hub.errors import ConfigError


async def begin(name: str | None, site: resource.Site, devices: Guarded) -> None:
    """Call the user's function with the site and the devices; raise ConfigError."""
    if name is None:
        return
    begun = _found(name)(site, devices)
    if inspect.isawaitable(begun):
        await begun


def _found(name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    if not function_name:
        raise ConfigError(f"--app {name!r}: write MODULE:FUNCTION, such as greenhouse:add")
    sys.path.insert(0, "")  # a module in the folder that the hub was started in
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"--app {name!r}: {error}") from None
    if not callable(function):
        raise ConfigError(f"--app {name!r}: it is no function")
    return function  # type: ignore[no-any-return]
