"""What one device may have open at the hub at a time.

Each figure bounds memory a device; a device that keeps to CoAP's defaults (NSTART 1) meets none.
"""

import time
from typing import Any

import aiocoap
from aiocoap import interfaces
from aiocoap.numbers import OptionNumber, TransportTuning
from aiocoap.pipe import Pipe

from skerry_hub.sessions import Live

OBSERVATIONS = 16
REQUESTS = 8  # that are being answered
TRANSFERS = 8  # requests of several blocks, in three minutes
LONG_RESPONSES = 4  # of several blocks, kept until others take their place
MAX_ANSWER = 1 << 18  # bytes of a response of the device, in blocks
ASKED = 8  # requests of the hub to the device, with those that wait for their turn

# aiocoap keeps a body for up to twice this long after its last block.
_KEPT_S = 2 * TransportTuning().MAX_TRANSMIT_WAIT
_OPEN_TO_ALL = (".well-known", "core")
_RETRY_S = 5
_UNAUTHORIZED = aiocoap.UNAUTHORIZED
_INCOMPLETE = aiocoap.REQUEST_ENTITY_INCOMPLETE
_BUSY = aiocoap.SERVICE_UNAVAILABLE


class Transfers:
    """The requests of several blocks that aiocoap may hold in memory for a device."""

    def __init__(self) -> None:
        self._open: dict[Any, tuple[float, int]] = {}  # when it was touched, bytes so far

    def __len__(self) -> int:
        return len(self._open)

    def note(self, key: Any, size: int) -> None:
        """Count a transfer; `size` is how far it got."""
        self._open[key] = time.monotonic(), size

    def full(self, key: Any) -> bool:
        """Tell whether there is no room for another transfer, which `key` would be."""
        if len(self._open) >= TRANSFERS:
            old = time.monotonic() - _KEPT_S
            self._open = {k: each for k, each in self._open.items() if each[0] > old}
        return len(self._open) >= TRANSFERS and key not in self._open

    def follows(self, key: Any, start: int) -> bool:
        """Tell whether a block that starts there is the next one (RFC 7959 section 2.5)."""
        return key in self._open and self._open[key][1] == start


def cache_key(message: aiocoap.Message) -> Any:
    """Return what the blocks of one transfer have in common."""
    return message.get_cache_key([OptionNumber.BLOCK1, OptionNumber.BLOCK2, OptionNumber.OBSERVE])


class Bounded:
    """A site behind these bounds. To a peer without a session it only describes itself."""

    def __init__(self, site: interfaces.Resource) -> None:
        self._site = site

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Let the site answer, or say why not (interfaces.Resource)."""
        request = pipe.request
        if request.remote.live is None:
            answer = None if request.opt.uri_path == _OPEN_TO_ALL else _refusal(_UNAUTHORIZED)
        else:
            answer = _admit(request)
        if answer is None:
            block = request.opt.block2
            if request.remote.live is not None and block is not None and not block.block_number:
                pipe.request = request.copy(block2=None)  # what is too long, endpoint.py cuts
            await self._site.render_to_pipe(pipe)
        else:
            pipe.add_response(answer, is_last=True)


def _admit(request: aiocoap.Message) -> aiocoap.Message | None:
    """Return what answers a session's request in the site's place, if anything does."""
    live = request.remote.live
    endpoint = live.endpoint
    open_now = [pipe.request for pipe, _ in endpoint.tokens.incoming_requests.values()]
    observing = sum(each.opt.observe == 0 for each in open_now)
    if len(open_now) - observing + endpoint.messages.waiting > REQUESTS + OBSERVATIONS + ASKED:
        return _refusal(_BUSY, _RETRY_S)
    if request.opt.observe == 0 and observing > OBSERVATIONS:
        request.opt.observe = None  # an ordinary request, then (RFC 7641 section 4.1)
    return _upload(request, live) or endpoint.messages.later_block(request)


def _upload(request: aiocoap.Message, live: Live) -> aiocoap.Message | None:
    """Refuse a block that is out of order, and a body for which there is no room."""
    block, transfers = request.opt.block1, live.transfers
    if block is None or not (block.block_number or block.more):
        return None
    key = live.number, cache_key(request)
    if block.block_number and not transfers.follows(key, block.start):
        return _refusal(_INCOMPLETE)
    if transfers.full(key):
        return _refusal(_BUSY, int(_KEPT_S))
    transfers.note(key, block.start + len(request.payload))
    return None


def _refusal(code: aiocoap.Code, retry_s: int | None = None) -> aiocoap.Message:
    return aiocoap.Message(code=code, max_age=retry_s)
