"""The server of the OSCORE interop tests, made of our common part; runs on both interpreters.

    micropython server.py PORT FILE      contexts as a JSON list, see Context.for_us

Resources and errors are those of test-spec5 (docs/interop.md). A registration to observe1 or
observe2 is answered with "one", "two" follows, and from observe1 an error that ends it.
"""

import json
import select
import socket
import sys
from time import sleep

from skerry import coap, observe, oscore, oscore_server
from skerry.coap_server import uri_path
from skerry.errors import BadTag, Malformed, Replayed, SkerryError

IF_MATCH, ETAG, IF_NONE_MATCH, MAX_AGE, URI_QUERY, ACCEPT = 1, 4, 5, 14, 15, 17
DELETE = 4
DELETED, BAD_REQUEST, BAD_OPTION, NOT_FOUND = 0x42, 0x80, 0x82, 0x84
NOT_ALLOWED, PRECONDITION_FAILED, SERVER_ERROR = 0x85, 0x8C, 0xA0
TEXT = (coap.CONTENT_FORMAT, b"")
HELLO = b"Hello World!"
BETWEEN_MS = 700  # one notification and the next


def unhex(text):
    return None if text is None else bytes.fromhex(text)


def context_of(given):
    return oscore_server.ServerContext(
        unhex(given["secret"]),
        unhex(given["salt"]),
        unhex(given["sender_id"]),
        unhex(given["recipient_id"]),
        unhex(given["id_context"]),
        given["algorithm"],
    )


def reads(inner, path):
    """Return what GET gives."""
    if path == "oscore/hello/2" and inner.option(URI_QUERY) == b"first=1":
        return coap.CONTENT, [TEXT, (ETAG, b"\x2b")], HELLO
    if path == "oscore/hello/3" and inner.option(ACCEPT) == b"":
        return coap.CONTENT, [TEXT, (MAX_AGE, b"\x05")], HELLO
    if path == "oscore/hello/1":
        return coap.CONTENT, [TEXT], HELLO
    return NOT_FOUND, [], b""


def serve(inner):
    """Return code, options and payload of the response to a protected request."""
    path = uri_path(inner)
    if inner.code == coap.GET:
        return reads(inner, path)
    if (inner.code, path) == (coap.POST, "oscore/hello/6"):
        return coap.CHANGED, [TEXT], inner.payload
    if (inner.code, path) == (coap.PUT, "oscore/hello/7"):
        if inner.option(IF_NONE_MATCH) is not None or inner.option(IF_MATCH) != b"\x7b":
            return PRECONDITION_FAILED, [], b""
        return coap.CHANGED, [], b""
    if (inner.code, path) == (DELETE, "oscore/test"):
        return DELETED, [], b""
    return NOT_ALLOWED, [], b""


def serve_plain(request):
    """The same for a request without OSCORE: all resources but one are protected."""
    if (request.code, uri_path(request)) == (coap.GET, "oscore/hello/coap"):
        return coap.CONTENT, [TEXT], HELLO
    return coap.UNAUTHORIZED, [], b""


class Observation:
    """A registration that was answered; `said` notifications came after the first one."""

    def __init__(self, peer, token, context, binding, ends):
        self.peer, self.token, self.context, self.binding = peer, token, context, binding
        self.ends = ends
        self.said = 0


class Server:
    def __init__(self, port, contexts):
        self.contexts = contexts
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        self.observations = []
        self.mid = 0x4000

    def run(self):
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        while True:
            if poll.poll(BETWEEN_MS):
                datagram, peer = self.socket.recvfrom(2048)
                try:
                    self.receive(coap.decode(datagram), peer)
                except Malformed:
                    continue
            else:
                self.notify()

    def receive(self, message, peer):
        if message.type in (coap.ACK, coap.RST):
            return
        if message.code == coap.EMPTY:
            self.socket.sendto(b"\x70\0" + message.mid.to_bytes(2, "big"), peer)
        elif message.option(coap.OSCORE) is None:
            self.answer(message, peer, coap.Message(*serve_plain(message)))
        else:
            self.protected(message, peer)

    def answer(self, request, peer, message):
        message.type = coap.ACK if request.type == coap.CON else coap.NON
        message.mid, message.token = request.mid, request.token
        self.socket.sendto(coap.encode(message), peer)

    def open(self, outer):
        """Return (context, inner, binding) or raise; the kid may be that of several contexts."""
        _, id_context, kid = oscore.decode_option(outer.option(coap.OSCORE))
        for context in self.contexts:
            if (context.recipient_id, context.id_context) == (kid, id_context):
                inner, binding = context.unprotect_request(outer)
                return context, inner, binding
        raise LookupError

    def protected(self, outer, peer):
        """RFC 8613 section 8.2 has the codes of the errors, all of which are optional."""
        code = None
        try:
            context, inner, binding = self.open(outer)
        except (LookupError, Replayed):
            code = coap.UNAUTHORIZED
        except BadTag:
            code = BAD_REQUEST
        except SkerryError:
            code = BAD_OPTION
        if code is not None:
            self.answer(outer, peer, coap.Message(code, []))
        elif inner.code == coap.GET and uri_path(inner) in ("oscore/observe1", "oscore/observe2"):
            self.observed(outer, peer, context, inner, binding)
        else:
            response = coap.Message(*serve(inner))
            self.answer(outer, peer, context.protect_response(response, binding))

    def observed(self, outer, peer, context, inner, binding):
        content = coap.Message(coap.CONTENT, [TEXT, (observe.OBSERVE, b"")], b"one")
        if inner.option(observe.OBSERVE) == b"":
            ends = uri_path(inner) == "oscore/observe1"
            made = Observation(peer, outer.token, context, binding, ends)
            self.observations.append(made)
            protected = observe.protect_notification(context, content, binding, False)
        else:
            known = [each for each in self.observations if each.token == outer.token]
            for each in known:
                self.observations.remove(each)
            content = coap.Message(coap.CONTENT, [TEXT], b"two" if known else b"one")
            protected = context.protect_response(content, binding)
        self.answer(outer, peer, protected)

    def notify(self):
        for each in list(self.observations):
            if each.said == 0:
                content = coap.Message(coap.CONTENT, [TEXT, (observe.OBSERVE, b"\x01")], b"two")
                outer = observe.protect_notification(each.context, content, each.binding, True)
            elif each.said == 1 and each.ends:
                error = coap.Message(SERVER_ERROR, [TEXT], b"Terminate Observe")
                outer = each.context.protect_response(error, each.binding, True)
                self.observations.remove(each)
            else:
                continue
            each.said += 1
            self.mid += 1
            outer.type, outer.mid, outer.token = coap.CON, self.mid, each.token
            self.socket.sendto(coap.encode(outer), each.peer)
            sleep(0.1)


with open(sys.argv[2]) as file:
    given = json.load(file)
Server(int(sys.argv[1]), [context_of(each) for each in given]).run()
