"""A device and its hub for the handshake tests: the oracle's inputs, and one whole exchange."""

from skerry import provisioning, schedule
from skerry.initiator import Start
from skerry.responder import Known, identify

K0 = bytes(range(32))
N_D = bytes(range(0xD0, 0xD8))
N_H = bytes(range(0xE0, 0xE8))
TIME = 0x6A5B4C3D2E
CONTEXTS = (schedule.context(0, b"lamp-7", b"hub"), schedule.context(1, b"lamp-7", b"hub"))


def chain(suite=0, era=0, step=0):
    """Return the chain of both at an epoch."""
    reached = provisioning.first_epoch(K0, CONTEXTS[suite])
    for _ in range(era):
        reached = reached.next_era()
    for _ in range(step):
        reached = reached.next_step()
    return reached


def known(suite=0, at=None, pending=None):
    """Return what the hub holds."""
    return Known(CONTEXTS[suite], suite, at or chain(suite), pending)


def send(suite=0, at=None, n_d=N_D, time=True):
    """Return message 1 and the device that waits for its answer."""
    return Start(CONTEXTS[suite], suite, at or chain(suite)).send(n_d, time)


def answer(message_1, suite=0, at=None, n_h=N_H, era=None, pending=None):
    """Return what the hub verified, message 2 and the hub's session secret."""
    hub = known(suite, at, pending)
    verified = hub.verify(identify(message_1), (at or chain(suite)).era if era is None else era)
    message_2, secret = verified.answer(n_h, TIME)
    return verified, message_2, secret
