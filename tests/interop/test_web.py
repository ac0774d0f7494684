"""The web interface of a real hub, with real devices: every route, scopes, sessions, TLS."""

import io
import json
import os
import re
import socket
import ssl
import time
import urllib.request
import zipfile
from urllib.parse import urlsplit

import pytest
from certificates import Authority
from openapi_spec_validator import validate
from real import finish
from web_client import Api

from skerry_hub.sim.fleet import place
from skerry_hub.web.routes import ROUTES

SCOPES = ("read", "operate", "enrol")


@pytest.fixture
def web(hub, monkeypatch):
    """The hub once more, with its web interface on."""
    hub.kill()
    monkeypatch.setenv("SKERRY_WEB", "127.0.0.1:0")
    hub.start()
    return hub


def token(hub, name, *scopes):
    said = [word for scope in scopes for word in ("--scope", scope)]
    return hub("token", "new", name, *said)["token"]


@pytest.fixture
def api(web):
    return Api(web.web, token(web, "ops", *SCOPES))


def unpacked(answer, hub, name):
    """Lay a downloaded bundle down as a board's files; return their folder."""
    folder = hub.folder / "downloads"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        archive.extractall(folder)
    board = hub.folder / "boards" / name
    board.parent.mkdir(exist_ok=True)
    place(folder / name, board, hub.address)
    return board


def until(wanted, limit=10):
    end = time.monotonic() + limit
    while not (found := wanted()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def test_the_document_is_valid_and_needs_no_token(web):
    api = Api(web.web, None)
    validate(api.document)
    assert len({route.name for route in ROUTES}) == len(ROUTES)


def test_every_route_answers_as_the_document_says(web, api):
    """A device's whole life, over the API alone."""
    before = api("GET", "/status")
    assert before["devices"] == {"pending": 0, "active": 0, "quarantined": 0, "revoked": 0}
    made = api("POST", "/devices", {"id": "kitchen", "label": "by the window", "tags": ["north"]})
    assert made["address"].rpartition(":")[2] == str(web.address[1])
    device = unpacked(api("POST", "/devices/kitchen/bundle"), web, "kitchen")
    until(lambda: not (web.data / "bundles" / "kitchen").exists())  # erased once it was sent
    assert api("GET", "/devices/kitchen/explain")["findings"][0]["cause"] == "never seen"
    finish(web.power(device, readings=3))

    detail = api("GET", "/devices/kitchen")
    assert detail["device"]["tags"] == ["north"]
    assert (detail["device"]["readings"], detail["device"]["live"]) == (3, True)
    assert detail["session"]["fingerprint"] == detail["device"]["session_fingerprint"]
    assert detail["session"]["address"] == "127.0.0.1"
    newest = api("GET", "/devices/kitchen/readings?limit=2")
    assert newest["readings"][0] == detail["last_reading"]
    oldest = api("GET", f"/devices/kitchen/readings?limit=2&before={newest['next']}")
    assert [len(oldest["readings"]), oldest["next"]] == [1, None]
    assert api("GET", "/status")["handshakes"]["answered"] == 1
    rates = api("GET", "/rates?hours=24")
    assert (sum(rates["series"]["requests"]), rates["series"]["sessions"][-1]) == (3, 1)

    api("PUT", "/devices/kitchen/config/led/colour", {"text": "red"})
    api("PUT", "/devices/kitchen/config/blob", {"format": "bytes", "hex": "00ff"})
    values = api("GET", "/devices/kitchen/config")["values"]
    assert [(each["path"], each["text"], each["hex"]) for each in values] == [
        ("blob", None, "00ff"), ("led/colour", "red", b"red".hex())
    ]  # fmt: skip
    api("DELETE", "/devices/kitchen/config/blob")
    assert len(api("GET", "/devices/kitchen/config")["values"]) == 1
    assert api("PUT", "/devices/kitchen/tags", {"tags": ["south", "up"]})["tags"] == [
        "south",
        "up",
    ]
    assert api("GET", "/devices?tag=up")["devices"][0]["id"] == "kitchen"
    assert b"<svg" in api("GET", "/devices/kitchen/label.svg").body
    assert api("POST", "/devices/kitchen/poke")["address"].startswith("127.0.0.1")
    silent = {"method": "GET", "path": "temp", "timeout": 0.3}
    assert api("POST", "/devices/kitchen/request", silent, 504)["title"] == "device silent"
    api.used.add("request")  # tests/interop/test_hub_sessions.py has devices that answer

    api("PUT", "/policy", {"rules": ["sensor -> display", "app -> *"]})
    assert api("GET", "/policy") == {"rules": ["sensor -> display", "app -> *"]}
    held = api("POST", "/devices/kitchen/quarantine", {"reason": "left in the train"})
    assert held == {"id": "kitchen", "state": "quarantined", "changed": True}
    until(lambda: api("GET", "/devices/kitchen")["session"] is None)
    assert "left in the train" in api("GET", "/devices/kitchen/explain")["findings"][0]["text"]
    assert api("POST", "/devices/kitchen/release")["state"] == "active"
    assert not api("POST", "/devices/kitchen/release")["changed"]
    assert api("POST", "/devices/kitchen/revoke")["state"] == "revoked"
    anew = api("POST", "/devices/kitchen/undelete")
    assert anew["fingerprint"] != made["fingerprint"]
    web.folder = web.folder / "second"
    web.folder.mkdir()
    finish(web.power(unpacked(api("POST", "/devices/kitchen/bundle"), web, "kitchen")))
    assert api("GET", "/devices/kitchen")["device"]["fingerprint"] == anew["fingerprint"]

    entries = api("GET", "/audit?limit=200")["entries"]
    assert {each["who"] for each in entries} >= {"token ops"}
    about = api("GET", "/devices/kitchen/audit")["entries"]
    assert about == [each for each in entries if each["subject"] == "kitchen"]
    assert [each["action"] for each in about][:3] == ["bundle", "activate", "revoke"]
    login = api("POST", "/session", {"token": api.token})
    assert login == api("GET", "/session")
    api("DELETE", "/session")
    assert api.used == {route.name for route in ROUTES}


def test_nobody_does_what_their_token_does_not_allow(web, api):
    api("POST", "/devices", {"id": "kitchen"})
    only = {scope: Api(web.web, token(web, scope, scope)) for scope in SCOPES}
    nobody = Api(web.web, None)
    checked = 0
    for route in ROUTES:
        if route.scope is None:
            continue
        path = route.path.replace("{id}", "kitchen").replace("{path}", "led")
        assert nobody(route.method, path, status=401)["title"] == "not authenticated"
        for scope in SCOPES:
            lacking = [each for each in route.scope.split() if each != scope]
            if lacking:
                said = only[scope](route.method, path, status=403)
                assert said["title"] == "scope missing"
                assert f"lacks the scope {lacking[0]}" in said["detail"]
                checked += 1
    assert checked > 40
    assert [each["action"] for each in api("GET", "/devices/kitchen/audit")["entries"]] == [
        "enrol"
    ]


def test_a_bundle_is_for_whoever_enrolled_the_device_and_once(web, api):
    other = Api(web.web, token(web, "other", "enrol"))
    web.enroll("hall")
    assert api("POST", "/devices/hall/bundle", status=403)["title"] == "not allowed"
    api("POST", "/devices", {"id": "kitchen"})
    assert "somebody else" in other("POST", "/devices/kitchen/bundle", status=403)["detail"]
    web("token", "revoke", "ops")
    again = Api(web.web, token(web, "ops", "enrol"))  # the name alone is worth nothing
    again("POST", "/devices/kitchen/bundle", status=403)
    again("POST", "/devices", {"id": "cellar"})
    answer = again("POST", "/devices/cellar/bundle")
    assert answer.headers["Cache-Control"] == "no-store"
    until(lambda: not (web.data / "bundles" / "cellar").exists())
    assert again("POST", "/devices/cellar/bundle", status=410)["title"] == "bundle gone"
    again("POST", "/devices/nobody/bundle", status=404)
    assert (web.data / "bundles" / "kitchen").exists()


def test_no_secret_is_logged_or_stored(web, api):
    """Nor a token, nor a key: at the most talkative level."""
    web.kill()
    web.process.stdout.close()
    web.log.unlink()
    os.environ["SKERRY_LOG_LEVEL"] = "debug"
    try:
        web.start()
    finally:
        del os.environ["SKERRY_LOG_LEVEL"]
    api = Api(web.web, api.token)
    api("POST", "/devices", {"id": "kitchen"})
    answer = api("POST", "/devices/kitchen/bundle")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        key = archive.read("kitchen/skerry.0")
    api("PUT", "/devices/kitchen/config/wifi", {"text": "s3cret-value"})
    api("POST", "/session", {"token": "skerry.ops.wr0ng-secret"}, 401)
    until(lambda: not (web.data / "bundles" / "kitchen").exists())
    web.stop()
    everything = b"".join(each.read_bytes() for each in web.data.rglob("*") if each.is_file())
    everything += web.log.read_bytes()
    secret = api.token.rpartition(".")[2].encode()
    for each in (secret, key[8:40], key[8:40].hex().encode(), b"s3cret-value", b"wr0ng-secret"):
        assert each not in everything


def test_what_is_no_http_is_refused_and_not_logged(web, api):
    host, port = urlsplit(web.web).hostname, urlsplit(web.web).port
    for said in (
        f"GET / HTTP/1.1\r\nAuthorization: Bearer {api.token}\0\r\n\r\n".encode(),
        f"GET /{api.token}\0 HTTP/1.1\r\n\r\n".encode(),
        b"\x16\x03\x01\x00\xa5" + api.token.encode(),
        b"GET / HTTP/1.1\r\nX: " + api.token.encode() * 300 + b"\r\n\r\n",
    ):
        with socket.create_connection((host, port), 10) as wire:
            wire.sendall(said)
            assert wire.recv(100).startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert api("GET", "/status")["hub"]
    log = web.log.read_text()
    assert api.token.rpartition(".")[2] not in log
    assert "Traceback" not in log


def test_wrong_tokens_are_slowed_down(web, api):
    wrong = Api(web.web, api.token[:-1] + ("A" if api.token[-1] != "A" else "B"))
    for _ in range(10):
        wrong("GET", "/status", status=401)
    refused = wrong.raw("GET", "/api/v1/status", Authorization=f"Bearer {wrong.token}")
    assert refused.status == 429
    assert 50 < int(refused.headers["Retry-After"]) <= 61
    assert api("GET", "/status")["hub"]  # nobody is locked out by others behind the same proxy


def test_a_session_of_the_page_is_of_no_use_to_other_sites(web, api):
    login = json.dumps({"token": api.token}).encode()
    answer = api.raw("POST", "/api/v1/session", login, Content_Type="application/json")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Path=/" in cookie
    assert api.token.rpartition(".")[2] not in cookie
    sent = {"Cookie": cookie.partition(";")[0]}
    assert api.raw("GET", "/api/v1/status", **sent).status == 200

    body = {"body": b'{"id": "kitchen"}', "Content_Type": "application/json"}
    own = web.web.rstrip("/")
    for headers in (
        {}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "null"}, {"Origin": "https://evil.example"},
        {"Origin": own, "Sec_Fetch_Site": "same-site"}, {"Origin": own, "Sec_Fetch_Site": "cross-site"},
    ):  # fmt: skip
        refused = api.raw("POST", "/api/v1/devices", **body, **sent, **headers)
        assert (refused.status, refused.said["title"]) == (403, "other origin")
    good = {"Origin": own, "Sec_Fetch_Site": "same-origin"}
    assert api.raw("POST", "/api/v1/devices", **body, **sent, **good).status == 201
    wrong_type = {**body, "Content_Type": "text/plain"}
    assert api.raw("POST", "/api/v1/devices", **wrong_type, **sent, **good).status == 415

    web("token", "revoke", "ops")
    ended = api.raw("GET", "/api/v1/status", **sent)
    assert (ended.status, "log in again" in ended.said["detail"]) == (401, True)


def test_two_hubs_of_one_host_have_cookies_of_their_own(web, api):
    """Cookies know no ports: a browser sends those of one hub to the other, and keeps both."""
    other = type(web)(web.folder / "other")
    other.start()
    jar = urllib.request.HTTPCookieProcessor()
    browser = urllib.request.build_opener(jar)
    try:
        for hub, text in ((web, api.token), (other, token(other, "ops", "read"))):
            login = urllib.request.Request(
                hub.web + "api/v1/session", json.dumps({"token": text}).encode(),
                {"Content-Type": "application/json"},
            )  # fmt: skip
            browser.open(login, timeout=10).close()
        for hub in (web, other):
            with browser.open(hub.web + "api/v1/status", timeout=10) as said:
                assert said.status == 200
    finally:
        other.stop()
    names = {each.name for each in jar.cookiejar}
    assert len(names) == 2
    assert api.document["components"]["securitySchemes"]["page"]["name"] in names


def test_logging_out_ends_a_session(web, api):
    login = json.dumps({"token": api.token}).encode()
    answer = api.raw("POST", "/api/v1/session", login, Content_Type="application/json")
    sent = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
    assert "Max-Age=0" in api.raw("DELETE", "/api/v1/session", **sent).headers["Set-Cookie"]
    assert api.raw("GET", "/api/v1/session", **sent).status == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("POST", "/devices", b"{", 400, "openapi.json"),
        ("POST", "/devices", b'{"id": 7}', 400, "Expected `str`, got `int` - at `$.id`"),
        ("POST", "/devices", b'{"name": "x"}', 400, "unknown field `name`"),
        ("POST", "/devices", b'{"id": "No"}', 400, "'No' is no id"),
        ("POST", "/devices", b'{"id": "x", "label": "a\\nb"}', 400, "one line"),
        ("POST", "/devices/hall/quarantine", b'{"reason": "x\\n  7  root"}', 400, "one line"),
        ("POST", "/devices", b'{"id": "x", "tags": ["a b"]}', 400, "a tag is one word"),
        ("POST", "/devices", b'{"id": "x", "address": "[::]:5683"}', 400, "cannot find a hub"),
        ("POST", "/devices", b'{"id": "hall"}', 409, "choose another id"),
        ("POST", "/devices", b'{"label": "' + b"x" * 300 + b'"}', 400, "length <= 200"),
        ("POST", "/devices", b" " * 70_000, 413, "at most 65,536 bytes"),
        ("GET", "/devices?limit=1000", None, 400, "<= 200"),
        ("GET", "/devices?state=odd", None, 400, "odd"),
        ("GET", "/devices?after=x", None, 400, "int"),
        ("GET", "/devices?color=red", None, 400, "color"),
        ("GET", "/rates?hours=2", None, 400, "2"),
        ("GET", "/devices/nobody", None, 404, "no device 'nobody'"),
        ("GET", "/devices/nobody/audit", None, 404, "nobody"),
        ("GET", "/devices/nobody/explain", None, 404, "nobody"),
        ("POST", "/devices/nobody/poke", None, 404, "nobody"),
        ("POST", "/devices/hall/poke", None, 409, "connect once by itself"),
        ("POST", "/devices/hall/undelete", None, 400, "only what was revoked"),
        ("PUT", "/devices/hall/config/a", b"{}", 400, "as text, or as hex"),
        ("PUT", "/devices/hall/config/a", b'{"hex": "0"}', 400, "even number"),
        ("PUT", "/devices/hall/config/a%20b", b'{"text": "x"}', 400, "is no path"),
        ("PUT", "/devices/hall/config/a", b'{"format": "json", "text": "{"}', 400, "is no json"),
        ("PUT", "/policy", b'{"rules": ["a b c"]}', 400, "policy line 1"),
        ("GET", "/nothing", None, 404, "lists all there is"),
        ("PATCH", "/devices", None, 405, "lists all there is"),
    ],
)  # fmt: skip
def test_bad_requests_say_what_to_do_and_change_nothing(
    shared, method, path, body, status, detail
):
    headers = {"Authorization": f"Bearer {shared.token}"}
    if body is not None:
        headers["Content_Type"] = "application/json"
    before = shared("GET", "/audit?limit=1")
    answer = shared.raw(method, "/api/v1" + path, body, **headers)
    assert (answer.status, answer.kind) == (status, "application/problem+json")
    assert detail in answer.said["detail"]
    assert answer.said["status"] == status
    assert shared("GET", "/audit?limit=1") == before


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A hub with one device, for requests that change nothing."""
    from real import Hub

    hub = Hub(tmp_path_factory.mktemp("web"))
    os.environ["SKERRY_WEB"] = "127.0.0.1:0"
    try:
        hub.start()
    finally:
        del os.environ["SKERRY_WEB"]
    hub.enroll("hall")
    yield Api(hub.web, token(hub, "ops", *SCOPES))
    hub.stop()
    assert "Traceback" not in hub.log.read_text()


def test_every_answer_has_the_security_headers(shared):
    for path in ("/", "/api/v1/status", "/api/v1/openapi.json", "/nothing", "/static/nothing"):
        headers = shared.raw("GET", path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert not re.search(r"\d", headers["Server"])


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/", "/static//etc/passwd"]
)
def test_no_file_but_the_pages_own_is_served(shared, path):
    answer = shared.raw("GET", path)
    assert answer.status in (403, 404)


def test_beyond_loopback_it_needs_tls(hub, monkeypatch):
    hub.kill()
    for host in ("0.0.0.0", "192.0.2.1", "hub.example", "::"):
        said = hub(
            "run",
            "--listen",
            "127.0.0.1:0",
            "--web",
            f"[{host}]:0" if ":" in host else f"{host}:0",
            ok=False,
        )
        assert "in clear: say web_cert and web_key" in said
    authority = Authority(hub.folder)
    cert, private = authority.certificate("127.0.0.1")
    monkeypatch.setenv("SKERRY_WEB_CERT", str(cert))
    said = hub("run", "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0", ok=False)
    assert "say both of them" in said
    monkeypatch.setenv("SKERRY_WEB_KEY", str(hub.folder / "none"))
    said = hub("run", "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0", ok=False)
    assert "No such file" in said
    monkeypatch.setenv("SKERRY_WEB_KEY", str(private))
    monkeypatch.setenv("SKERRY_WEB", "0.0.0.0:0")
    hub.start()
    url = hub.web.replace("0.0.0.0", "127.0.0.1")
    assert url.startswith("https://")
    api = Api(url, token(hub, "ops", "read"), ssl.create_default_context(cafile=authority.file))
    assert api("GET", "/status")["hub"]
    login = json.dumps({"token": api.token}).encode()
    answer = api.raw("POST", "/api/v1/session", login, Content_Type="application/json")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_an_address_that_is_taken_is_an_error_with_a_remedy(web):
    port = web.web.rstrip("/").rpartition(":")[2]
    other = type(web)(web.folder / "other")
    said = other("run", "--listen", "127.0.0.1:0", "--web", f"127.0.0.1:{port}", ok=False)
    assert "choose another address" in said


def test_uses_of_tokens_are_written_down(web, api):
    api("GET", "/status")
    assert web("token", "list")[0]["used_at"] is None
    web.process.terminate()
    web.process.wait(10)
    assert time.time() - web("token", "list")[0]["used_at"] < 20
