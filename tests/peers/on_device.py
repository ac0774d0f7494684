"""A device of ours that meets any CoAP peer, in a session that it is given instead of a handshake.

    micropython on_device.py < SCRIPT

The script is one JSON object: `address`, `context` and `steps`, done one after the other. What came
of each is printed as one line of JSON, its datagrams with it. Bytes are hexadecimal.

    {code, path, query, options, payload, type}   ask; type 0 is CON
        plain       do not protect it
        sequence    the Partial IV to use
        echo        answer an Echo challenge (RFC 8613 appendix B.1.2)
    {observe: path, take: n, cancel: true}        hub.observe, for so many responses
    {put: path, payload}, {get: path}             hub.put, hub.get: in blocks if need be
    {serve: ms}                                   hub.serve and hub.listen; `address` is its own
"""

import json
import socket
import sys
from time import ticks_ms

from skerry import coap
from skerry.errors import SkerryError
from skerry.oscore import SecurityContext
from skerry.primitives import AesCcm
from skerry_device.client import Hub
from skerry_device.links.udp import UdpLink

URI_QUERY = 15
ECHO = 252  # RFC 9175


class Recorder(UdpLink):
    """A link that keeps what passes it."""

    def __init__(self, host, port):
        super().__init__(host, port)
        self.log = []

    def send(self, datagram):
        self.log.append(("sent", datagram.hex()))
        super().send(datagram)

    def receive(self, timeout_ms):
        datagram = super().receive(timeout_ms)
        if datagram:
            self.log.append(("received", datagram.hex()))
        return datagram


class Bound:
    """A link that waits at an address, and answers whoever sent last."""

    def __init__(self, host, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(socket.getaddrinfo(host, port)[0][-1])
        self.peer = None
        self.log = []

    def send(self, datagram):
        if self.peer:
            self.socket.sendto(datagram, self.peer)

    def receive(self, timeout_ms):
        self.socket.settimeout(timeout_ms / 1000)
        try:
            datagram, self.peer = self.socket.recvfrom(640)  # as UdpLink
        except OSError:
            return None
        return datagram

    def close(self):
        self.socket.close()


def unhex(text):
    return None if text is None else bytes.fromhex(text)


class Session:
    """What a handshake gives, as far as requests need it."""

    def __init__(self, given):
        self.oscore = SecurityContext(
            unhex(given["secret"]),
            unhex(given["salt"]),
            unhex(given["sender_id"]),
            unhex(given["recipient_id"]),
            unhex(given["id_context"]),
            given["algorithm"],
        )
        for key in given.get("broken", ()):  # "_sender" or "_recipient"
            setattr(self.oscore, key, AesCcm(bytes(range(16)), 8))


class Device(Hub):
    """A Hub whose session is there from the start and cannot be replaced."""

    def __init__(self, script):
        self.given = script["context"]
        link = (Bound if "serve" in script["steps"][0] else Recorder)(*script["address"])
        bundle = {"device": "d", "hub": "h", "suite": 0, "address": script["address"]}
        super().__init__(link=link, bundle=bundle)

    def start(self):
        self.session = Session(self.given) if self.given else None
        self.fingerprint = ""
        self.confirmed = True
        self.failures = 0
        self.checked = ticks_ms()

    def handshake(self):
        return False
        yield

    def exchanged(self, outer, accept):
        """Send a message and return what `accept` makes of the first answer, or an error."""

        def first(answer):
            try:
                return told(accept(answer))
            except SkerryError as error:
                return told(answer, error=type(error).__name__)

        return self.run(self.exchange.ask(outer, 2000, 3, first)) or {"error": "silence"}

    def asked(self, step):
        inner = message_of(step)
        if step.get("plain"):
            return [self.exchanged(inner, lambda answer: answer)]
        oscore = self.session.oscore
        outer, binding = oscore.protect_request(inner)
        result = self.exchanged(outer, lambda answer: oscore.unprotect_response(answer, binding))
        challenge = [value for number, value in result.get("options", ()) if number == ECHO]
        if not step.get("echo") or not challenge:
            return [result]
        step["options"] = list(step.get("options", ()))
        step["options"].append((ECHO, challenge[0]))
        results = self.asked(step)
        results.insert(0, result)
        return results

    def observed(self, step):
        results = []
        observation = self.observe(step["observe"], 8000)
        while len(results) < step["take"]:
            response = self.run(observation.next())
            if not response:
                results.append({"error": "silence"})
                break
            results.append(told(response.message, number=observation._last))
        if step.get("cancel"):
            observation.cancel()
        else:
            observation.stop()
        return results

    def served(self, step):
        kept = {"value": b"nothing yet"}

        def put(request):
            kept["value"] = request.payload

        self.serve("value", get=lambda request: kept["value"], put=put)
        self.serve("echo", post=lambda request: (coap.CHANGED, request.payload))
        self.listen(step["serve"])
        return []

    def done(self, step):
        if "sequence" in step:
            self.session.oscore.sequence = step["sequence"]
        if "observe" in step:
            return self.observed(step)
        if "serve" in step:
            return self.served(step)
        if "put" in step:
            return [whole(self.put(step["put"], unhex(step["payload"]), 42))]
        if "get" in step:
            return [whole(self.get(step["get"]))]
        return self.asked(step)


def message_of(step):
    options = coap.path_options(step.get("path", ""))
    options += [(URI_QUERY, each.encode()) for each in step.get("query", ())]
    options += [(number, unhex(value)) for number, value in step.get("options", ())]
    payload = unhex(step.get("payload", ""))
    return coap.Message(step.get("code", coap.GET), options, payload, step.get("type", coap.CON))


def told(message, **more):
    more["code"] = message.code
    more["options"] = [(number, value.hex()) for number, value in message.options]
    more["payload"] = message.payload.hex()
    return more


def whole(response):
    """Tell a response whose payload was put together."""
    result = told(response.message)
    result["payload"] = response.payload.hex()
    return result


def main(script):
    device = Device(script)
    for step in script["steps"]:
        device.link.log = []
        results = device.done(step)
        print(json.dumps({"results": results, "log": device.link.log}))
    device.close()


main(json.loads(sys.stdin.readline()))
