"""What can go wrong on a device; each text says what to do about it.

DeviceError
    NotProvisioned  there is no bundle on this board, or it is damaged
    StoreFailed     flash does not keep the chain; the epoch before is still there
    HubSilent       two attempts had no answer: the hub is unreachable, or does not know this
                    device (revoked, cloned, of another hub); nothing was written, so try again

A code of 4.xx or 5.xx is the hub's answer and not an error here.
"""


class DeviceError(Exception):
    """The root of all errors of the device."""


class NotProvisioned(DeviceError):
    """Nothing to start from."""


class StoreFailed(DeviceError):
    """The next epoch could not be written, so there is no session."""


class HubSilent(DeviceError):
    """Nobody answered, or nobody that this device trusts."""
