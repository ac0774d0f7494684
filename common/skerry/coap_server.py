"""What a server reads of a request, beyond what every end needs (coap.py)."""

from skerry import coap
from skerry.errors import Malformed


def uri_path(request: coap.Message) -> str:
    """Return the Uri-Path joined by '/', without a leading one; raise Malformed."""
    try:
        return "/".join([str(v, "utf-8") for n, v in request.options if n == coap.URI_PATH])
    except ValueError:
        raise Malformed("Uri-Path") from None
