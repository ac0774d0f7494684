"""What one device may have open at the hub at a time.

Each figure bounds memory a device; a device that keeps to CoAP's defaults (NSTART 1) meets none.
"""

import time
from typing import Any

import aiocoap
from aiocoap import interfaces
from aiocoap.numbers import OptionNumber, TransportTuning
from aiocoap.pipe import Pipe

OBSERVATIONS = 16
REQUESTS = 8  # that are being answered
TRANSFERS = 8  # of several blocks, in both directions together
ASKED = 8  # requests of the hub to the device, with those that wait for their turn

# aiocoap keeps a transfer for up to twice this long after its last block.
_KEPT_S = 2 * TransportTuning().MAX_TRANSMIT_WAIT
_OPEN_TO_ALL = (".well-known", "core")
_RETRY_S = 5
_UNAUTHORIZED = aiocoap.UNAUTHORIZED
_INCOMPLETE = aiocoap.REQUEST_ENTITY_INCOMPLETE
_BUSY = aiocoap.SERVICE_UNAVAILABLE


class Transfers:
    """The block-wise transfers of a session that aiocoap may hold in memory."""

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
            await self._site.render_to_pipe(pipe)
        else:
            pipe.add_response(answer, is_last=True)


def _admit(request: aiocoap.Message) -> aiocoap.Message | None:
    """Return what answers a session's request in the site's place, if anything does."""
    endpoint = request.remote.live.endpoint
    open_now = [pipe.request for pipe, _ in endpoint.tokens.incoming_requests.values()]
    observing = sum(each.opt.observe == 0 for each in open_now)
    if len(open_now) - observing + endpoint.messages.waiting > REQUESTS + OBSERVATIONS + ASKED:
        return _refusal(_BUSY, _RETRY_S)
    if request.opt.observe == 0 and observing > OBSERVATIONS:
        request.opt.observe = None  # an ordinary request, then (RFC 7641 section 4.1)
    return _upload(request, endpoint.transfers) or endpoint.messages.later_block(request)


def _upload(request: aiocoap.Message, transfers: Transfers) -> aiocoap.Message | None:
    """Refuse a block that is out of order, and a transfer for which there is no room."""
    block, key = request.opt.block1, cache_key(request)
    if block is not None and block.block_number and not transfers.follows(key, block.start):
        return _refusal(_INCOMPLETE)
    later = request.opt.block2 is not None and request.opt.block2.block_number
    if not later and transfers.full(key):
        return _refusal(_BUSY, int(_KEPT_S))
    if block is not None and (block.block_number or block.more):
        transfers.note(key, block.start + len(request.payload))
    return None


def _refusal(code: aiocoap.Code, retry_s: int | None = None) -> aiocoap.Message:
    return aiocoap.Message(code=code, max_age=retry_s)
