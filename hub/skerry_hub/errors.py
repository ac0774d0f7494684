"""What can go wrong at the hub. Each text is one line: what happened, and what to do about it.

HubError
    ConfigError         a flag or an environment variable
    NotInitialised      the data folder holds no hub
    AlreadyInitialised  the data folder holds one
    VaultError          the key-encryption key, or a value that does not open under it
    StoreError          the database
        StaleKey        what is to be stored is sealed under a key that is no more
        StoreDamaged    what is in it cannot be read
        StoreReplaced   another one was put in its place
    BadName             an id or a label that nobody may have
    DuplicateDevice     an id that a device has
    UnknownDevice       an id that no device has
    DuplicateToken      a name that a token of the web interface has
    BundleError         a provisioning bundle
        BundleGone      one that was handed over
    BoardError          a board: not found, silent, not fit, or not the one that is meant
    BadKey              a key that no device may have
    NotAllowed          what the policy forbids
    DeviceError         a device that the hub asks something
        NoAddress           nobody knows where it is
        DeviceSilent        it does not answer
        DeviceBusy          it has enough to answer
    AuditError          the audit log is not what it was
    ControlError        the running hub, asked by another process
    MissingExtra        a program or library that comes with an extra of ours
    Overloaded          the web interface has enough to do

No text ever holds a key.
"""


class HubError(Exception):
    """The root of all errors of the hub; the command line prints it and exits with 1."""


class ConfigError(HubError):
    """A flag or an environment variable has no usable value."""


class NotInitialised(HubError):
    """There is no hub in the data folder."""


class AlreadyInitialised(HubError):
    """There is a hub in the data folder, or something that is none of ours."""


class VaultError(HubError):
    """The key-encryption key is not usable, or a sealed value does not open."""


class StoreError(HubError):
    """The database failed or is not ours to use."""


class StaleKey(StoreError):
    """A value is sealed under a row key that is about to be forgotten."""


class StoreDamaged(StoreError):
    """The database cannot be read; it has to be restored."""


class StoreReplaced(StoreError):
    """A backup was put in the place of the database that this process had opened."""

    def __init__(self, place: object) -> None:
        super().__init__(f"database {place}: a backup was put in its place meanwhile: start again")


class BadName(HubError):
    """An id or a label is not of the form that all have."""


class DuplicateDevice(HubError):
    """Another device has this id; the text says which."""


class UnknownDevice(HubError):
    """No device has this id."""


class DuplicateToken(HubError):
    """Another token has this name."""


class BundleError(HubError):
    """A provisioning bundle is damaged, in the way, or another hub's."""


class BundleGone(BundleError):
    """A bundle was handed over, and the hub has it no more."""


class BoardError(HubError):
    """A board is not there, does not answer, is not fit, or is not the one that is meant."""


class BadKey(HubError):
    """A key is no secret of one device alone."""


class NotAllowed(HubError):
    """No rule of the policy allows it."""


class DeviceError(HubError):
    """The hub asked a device for something and got no answer."""


class NoAddress(DeviceError):
    """The device was never heard, so nothing can be sent to it."""


class DeviceSilent(DeviceError):
    """The device did not answer in time; it may have done what it was asked."""


class DeviceBusy(DeviceError):
    """Too much waits for the device's answer as it is."""


class AuditError(HubError):
    """The audit log was changed; the text says where."""


class ControlError(HubError):
    """There is no running hub to ask, or it could not do what it was asked."""


class MissingExtra(HubError):
    """A program or library is not installed; the text names the extra that brings it."""


class Overloaded(HubError):
    """More requests wait than the web interface keeps."""
