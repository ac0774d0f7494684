"""A webhook: batches as JSON over HTTP, signed as the Standard Webhooks specification has it.

webhook-id          names the batch; the same at each attempt
webhook-timestamp   of the attempt, seconds since 1970
webhook-signature   v1,BASE64 of HMAC-SHA-256 of "ID.TIMESTAMP.BODY" under the secret;
                        with two secrets two of them, with a space between
"""

import json
import ssl
import time
from base64 import b64encode
from collections.abc import Sequence
from importlib.metadata import version

import aiohttp

from skerry.primitives import hmac_sha256
from skerry_hub.outgoing.destination import Gone, Undelivered
from skerry_hub.outgoing.items import rfc3339
from skerry_hub.outgoing.logs import Batch
from skerry_hub.outgoing.webhook_settings import WebhookSettings

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
_MAX_REASON = 200  # characters of somebody else's text in ours


class Webhook:
    """A `Destination`: see there for what the methods do."""

    def __init__(self, said: WebhookSettings, hub: str, log: str) -> None:
        """Read the secrets and the CA; raise ConfigError. `hub` and `log` say whose items."""
        self.name = said.name
        self.send = said.send
        self.begin = said.begin
        self._url = said.url
        self._secrets = said.secrets()
        self._ssl: ssl.SSLContext | bool = said.tls() or True
        self._hub, self._log = hub, log
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<Webhook {self.name}>"

    async def open(self) -> None:
        """Have a session; it connects by itself."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._ssl, limit=1),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_TIMEOUT,
                headers={"User-Agent": f"skerry/{version('skerry')}"},
            )

    async def deliver(self, batch: Batch) -> None:
        """POST a batch."""
        body, id = self._body(batch), self._id(batch)
        headers = {"Content-Type": "application/json", **signed(self._secrets, id, body)}
        try:
            status = await self._post(body, headers)
        except TimeoutError:
            raise Undelivered("does not answer in time") from None
        except (aiohttp.InvalidURL, UnicodeError):  # the text of the former is all of the URL
            raise Undelivered("has a host in its url that is none: check it") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Undelivered(_reason(error)) from None
        if status == 410:
            raise Gone("answers 410: it wants no more")
        if 300 <= status < 400:
            raise Undelivered(f"answers {status}, a redirection: name the place itself as url")
        if not 200 <= status < 300:
            raise Undelivered(f"answers {status}")

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """Return the answer's status; its body is not read."""
        if self._session is None:
            raise Undelivered("is not open")
        async with self._session.post(
            self._url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status

    def _body(self, batch: Batch) -> bytes:
        head = {"type": "skerry.batch", "timestamp": rfc3339(batch.items[-1].at),
                "hub": self._hub, "log": self._log}  # fmt: skip
        items = b",".join(item.json for item in batch.items)
        text = json.dumps(head, separators=(",", ":"))
        return text[:-1].encode() + b',"data":[' + items + b"]}"

    def _id(self, batch: Batch) -> str:
        """Name a batch by what is in it; a dot would blur what is signed, so there is none."""
        readings = f"{batch.before.reading}-{batch.behind.reading}"
        events = f"{batch.before.event}-{batch.behind.event}"
        return f"{self._hub}_{self._log}_{readings}_{events}".replace(".", "_")

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _reason(error: Exception) -> str:
    """Return what failed, in a line. It never tells the URL: many have a secret in their path."""
    said = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return " ".join((said or type(error).__name__).split())[:_MAX_REASON]


def signed(secrets: Sequence[bytes], id: str, body: bytes) -> dict[str, str]:
    """Return the headers that sign a body now, under each of the secrets."""
    timestamp = str(int(time.time()))
    said = f"{id}.{timestamp}.".encode() + body
    signatures = ["v1," + b64encode(hmac_sha256(each, said)).decode() for each in secrets]
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }
