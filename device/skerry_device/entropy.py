"""Is the generator broken? A test can show that it is, never that it is not."""

import os


def weak() -> bool:
    """Tell whether urandom repeats itself, or gives few different bytes (SP 800-90B section 4.4).

    A working generator fails once in 2^32 calls: fewer than 20 different bytes among 32.
    """
    draw = os.urandom(32)
    return draw == os.urandom(32) or len(set(draw)) < 20
