"""What the dual tests share; it runs on both interpreters."""


def unhex(text):
    """Return the bytes of a text of hexadecimal digits and spaces."""
    return bytes.fromhex(text.replace(" ", ""))


def pattern(length, seed=0):
    """Return bytes that differ from place to place and from seed to seed."""
    return bytes([(seed + 31 * i + i * i) & 255 for i in range(length)])


def flips(data):
    """Yield the data with each of its bits flipped, one at a time."""
    for i in range(8 * len(data)):
        changed = bytearray(data)
        changed[i >> 3] ^= 1 << (i & 7)
        yield bytes(changed)


def raises(error, function, *arguments):
    """Call the function, and return the exception that has to come."""
    try:
        function(*arguments)
    except error as caught:
        return caught
    raise AssertionError(f"{error.__name__} was not raised")
