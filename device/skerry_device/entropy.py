"""Is the generator broken? A test can show that it is, never that it is not."""

import os

from skerry import coap


def weak() -> coap.Message | None:
    """Return the request that tells the hub of a broken generator, None if it shows no fault.

    It repeats itself, or gives few different bytes (SP 800-90B section 4.4). A working generator
    fails once in 2^32 calls: fewer than 20 different bytes among 32.
    """
    draw = os.urandom(32)
    if draw == os.urandom(32) or len(set(draw)) < 20:
        return coap.Message(coap.POST, coap.path_options("weak"), b"", coap.CON)
    return None
