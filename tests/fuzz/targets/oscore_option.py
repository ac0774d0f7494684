"""oscore.decode_option raises nothing but Malformed; what it returns encodes to the same bytes."""

from skerry import oscore
from skerry.errors import Malformed


def check(data):
    try:
        partial_iv, id_context, kid = oscore.decode_option(data)
    except Malformed:
        return
    if (partial_iv, id_context, kid) == (None, None, None):
        assert data == b""
        return
    assert partial_iv is None or 1 <= len(partial_iv) <= 5
    assert oscore.encode_option(partial_iv or b"", id_context, kid) == data
