"""What leaves the hub: how the logs are read, what the settings refuse, what messages say."""

import asyncio
import base64
import json
import re
import time

import pytest

from skerry_hub import enrolment
from skerry_hub.config import Config
from skerry_hub.errors import BadName, ConfigError
from skerry_hub.outgoing import logs, running
from skerry_hub.outgoing.destination import Undelivered
from skerry_hub.outgoing.items import of_reading
from skerry_hub.outgoing.logs import Bookmark, Position
from skerry_hub.outgoing.mqtt import Mqtt
from skerry_hub.outgoing.webhook import Webhook, signed
from skerry_hub.store import NewReading, Reading


def add(hub, count, payload=b"x", at=None):
    device = hub.store.device("kitchen").id
    new = NewReading(device, at or time.time(), "readings", 0, payload)
    assert all(hub.store.write([new] * count))


@pytest.fixture
def kitchen(opened):
    enrolment.enroll(opened, "kitchen", address=("127.0.0.1", 5683))
    return opened


def everything(hub, send=("readings", "events")):
    """Read the logs to their end, batch by batch."""
    end, batches = (
        logs.end(hub.store),
        [logs.batch(hub.store, Position(), logs.end(hub.store), send)],
    )
    while batches[-1].items:
        batches.append(logs.batch(hub.store, batches[-1].behind, end, send))
    return batches[:-1]


def test_two_logs_are_read_as_one(kitchen):
    add(kitchen, 3)
    kitchen.store.set_tags("kitchen", "north")
    add(kitchen, 2)
    (batch,) = everything(kitchen)
    assert [(each.type, each.number) for each in batch.items] == [
        ("event", 1), ("reading", 1), ("reading", 2), ("reading", 3), ("event", 2),
        ("reading", 4), ("reading", 5),
    ]  # fmt: skip
    assert (batch.before, batch.behind) == (Position(0, 0), Position(5, 2))


def test_a_clock_that_went_back_changes_no_order(kitchen):
    add(kitchen, 2)
    add(kitchen, 2, at=1.0)
    (batch,) = everything(kitchen)
    assert [each.number for each in batch.items if each.type == "reading"] == [1, 2, 3, 4]


def test_batches_have_bounds(kitchen):
    add(kitchen, 250)
    batches = everything(kitchen)
    assert [len(each.items) for each in batches] == [100, 100, 51]
    numbers = [item.number for each in batches for item in each.items if item.type == "reading"]
    assert numbers == list(range(1, 251))
    add(kitchen, 90, b"x" * 40_000)
    sizes = [sum(len(item.json) for item in each.items) for each in everything(kitchen)]
    assert max(sizes) <= logs.MAX_BYTES
    add(kitchen, 1, b"x" * 400_000)
    assert sum(len(each.items) for each in everything(kitchen)) == 342


def test_one_log_alone(kitchen):
    add(kitchen, 3)
    assert {each.type for each in everything(kitchen, ("readings",))[0].items} == {"reading"}
    assert {each.type for each in everything(kitchen, ("events",))[0].items} == {"event"}
    assert Position().behind(logs.end(kitchen.store), ("readings",)) == 3
    assert Position().behind(logs.end(kitchen.store), ("readings", "events")) == 4


def test_each_destination_has_its_bookmark(opened):
    one, two = Bookmark(opened.store, "one"), Bookmark(opened.store, "two")
    assert one.read() is None
    one.write(Position(7, 3))
    assert (one.read(), two.read()) == (Position(7, 3), None)


def test_the_signature_is_that_of_the_specification(monkeypatch):
    """With the secret, id, time and body of the reference libraries' own tests."""
    monkeypatch.setattr(time, "time", lambda: 1614265330.0)
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


MQTT = '[mqtt]\nurl = "mqtts://b.example"\n'
WEBHOOK = '[[webhook]]\nname = "a"\nurl = "https://a.example/x"\nsecret_file = "/s"\n'


def configured(tmp_path, text):
    file = tmp_path / "skerry.toml"
    file.write_text(text)
    return Config.of(file=str(file), environ={})


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (WEBHOOK.replace('"a"', '"A b"'), "line 1: webhook: number 1: name: 'A b' is no name"),
        (WEBHOOK + "\n" + WEBHOOK, "two are named a"),
        (WEBHOOK.replace("[[webhook]]", "[webhook]"), "in two brackets"),
        ("# x\n" + WEBHOOK.replace('url = "https://a.example/x"', ""), "line 2: webhook: number 1: url is missing"),
        (WEBHOOK.replace("https:", "http:"), "say allow_http = true"),
        (WEBHOOK.replace("https:", "ftp:"), "https://HOST"),
        (WEBHOOK.replace("https://", "https://me:secret@"), "no user and password"),
        (WEBHOOK.replace("a.example", "a.example:port"), "https://HOST"),
        (WEBHOOK + 'sned = ["events"]\n', "no setting sned: did you mean send?"),
        (WEBHOOK + "send = [[1]]\n", 'write ["readings"]'),
        (WEBHOOK + "send = []\n", 'write ["readings"]'),
        (WEBHOOK + 'begin = "never"\n', "none of now, start"),
        (WEBHOOK + "allow_http = 1\n", "true or false"),
        ("webhook = 3\n", "in two brackets"),
        ("webhook = [3]\n", "write it as a table"),
        (MQTT.replace("mqtts:", "mqtt:"), "say allow_plain = true"),
        (MQTT.replace("mqtts:", "http:"), "mqtts://HOST"),
        (MQTT + 'password_file = "/p"\n', "of no use without user"),
        (MQTT + 'readings_topic = "a/+/b"\n', "mqtt: readings_topic: write a topic without wildcards"),
        (MQTT + 'readings_topic = "a/{hub.id}"\n', "{hub} and {device} are filled in"),
        (MQTT + 'events_topic = "a/{device}"\n', "{hub} are filled in"),
        (MQTT + 'status_topic = ""\n', "write a topic"),
        (MQTT + 'status_topic = "$SYS/x"\n', "write a topic"),
        (MQTT + 'version = "3"\n', "none of 5, 3.1.1"),
        ("[[mqtt]]\n", "mqtt: write it as a table"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_destination_is_said(tmp_path, text, wrong):
    with pytest.raises(ConfigError, match=re.escape(wrong)) as caught:
        configured(tmp_path, text)
    assert "secret@" not in str(caught.value)


def test_plain_http_is_for_this_machine_or_for_who_asks(tmp_path):
    for host in ("localhost", "127.0.0.9", "[::1]"):
        configured(tmp_path, WEBHOOK.replace("https://a.example", f"http://{host}:8000"))
    configured(tmp_path, WEBHOOK.replace("https:", "http:") + "allow_http = true\n")


def test_the_printed_file_reads_the_same(tmp_path):
    more = 'send = ["events"]\nbegin = "start"\nca_file = "/ca.pem"\n'
    first = configured(
        tmp_path,
        WEBHOOK
        + more
        + WEBHOOK.replace('"a"', '"b"')
        + MQTT
        + 'readings_topic = "x/{device}"\nretain = true\n',
    )
    again = configured(tmp_path, first.explained())
    assert again.webhooks == first.webhooks
    assert again.mqtt == first.mqtt
    assert again.mqtt.readings_topic == "x/{device}"
    assert [each.name for each in again.webhooks] == ["a", "b"]
    assert again.explained() == first.explained()


@pytest.mark.parametrize(
    ("text", "mode", "wrong"),
    [
        (None, 0, "cannot read"),
        ("whsec_" + "A" * 32, 0o644, "chmod 600"),
        ("whsec_" + "A" * 28, 0o600, "holds no secret"),
        ("whsec_" + "A" * 88, 0o600, "holds no secret"),
        ("whsec_ä" + "A" * 32, 0o600, "holds no secret"),
        ("", 0o600, "holds no secret"),
        ("whsec_" + "A" * 32 + "\nwhsec_", 0o600, "holds no secret"),
    ],
)
def test_a_secret_that_is_none(tmp_path, text, mode, wrong):
    place = tmp_path / "s"
    if text is not None:
        place.write_text(text)
        place.chmod(mode)
    said = configured(tmp_path, WEBHOOK.replace('"/s"', f'"{place}"')).webhooks[0]
    with pytest.raises(ConfigError, match=wrong) as caught:
        said.secrets()
    assert "AAAA" not in str(caught.value)


def test_a_secret(tmp_path):
    place = tmp_path / "s"
    one, two = "whsec_" + "A" * 32, "////" * 8
    for text, secrets in ((one, [bytes(24)]), (f"{one}\n{two}\n", [bytes(24), b"\xff" * 24])):
        place.write_text(text)
        place.chmod(0o600)
        said = configured(tmp_path, WEBHOOK.replace('"/s"', f'"{place}"')).webhooks[0]
        assert said.secrets() == secrets


def test_doctor_and_config_check_look_at_destinations(tmp_path, kitchen):
    secret = tmp_path / "s"
    config = configured(tmp_path, WEBHOOK.replace('"/s"', f'"{secret}"'))
    ((name, problem, _),) = running.standing(config, kitchen.store)
    assert (name, str(problem).partition(":")[0]) == (
        "webhook a",
        f"cannot read {secret} (No such file or directory)",
    )
    with pytest.raises(ConfigError, match="webhook a: cannot read"):
        running.destinations(config, "", "")
    secret.touch(0o600)
    secret.write_text("A" * 32)
    add(kitchen, 3)
    assert list(running.standing(config, kitchen.store)) == [("webhook a", None, 0)]
    Bookmark(kitchen.store, "a").write(Position(1, 1))
    assert list(running.standing(config, kitchen.store)) == [("webhook a", None, 2)]


@pytest.mark.parametrize("host", ["bücher..example", "a..example", "a" * 70 + ".example"])
def test_a_host_that_is_none_is_told_without_the_url(tmp_path, host):
    secret = tmp_path / "s"
    secret.touch(0o600)
    secret.write_text("A" * 32)
    text = WEBHOOK.replace("a.example/x", f"{host}/SECRET").replace('"/s"', f'"{secret}"')
    made = Webhook(configured(tmp_path, text).webhooks[0], "h-1", "0")
    item = of_reading(Reading(7, 1, "kitchen", 1.0, "readings", None, b""))

    async def deliver():
        await made.open()
        try:
            await made.deliver(logs.Batch([item], Position(6, 0), Position(7, 0)))
        finally:
            await made.close()

    with pytest.raises(Undelivered, match="host in its url") as caught:
        asyncio.run(deliver())
    assert "SECRET" not in str(caught.value)


def test_a_ca_file_that_is_none(tmp_path):
    ca = tmp_path / "ca.pem"
    said = configured(tmp_path, WEBHOOK + f'ca_file = "{ca}"\n').webhooks[0]
    with pytest.raises(ConfigError, match="No such file"):
        said.tls()
    ca.write_text("x")
    with pytest.raises(ConfigError, match="no certificate in it"):
        said.tls()


def test_no_id_can_reach_another_topic(tmp_path):
    """Ids have no / + # by themselves (enrolment); were one to have, it would be escaped."""
    for name in ("a/b", "+", "#", "$x", "A"):
        with pytest.raises(BadName):
            enrolment.device_id(name)
    made = Mqtt(configured(tmp_path, MQTT).mqtt, "h-1", "0")
    item = of_reading(Reading(7, 1, "kitchen~3", 1.0, "readings", None, b""))
    assert made.message(item).topic == "skerry/h-1/kitchen~3/readings"
    item = of_reading(Reading(7, 1, "a/+/#\0", 1.0, "readings", None, b""))
    assert made.message(item).topic == "skerry/h-1/a%2F%2B%2F%23%00/readings"


def test_a_message_says_whose_it_is(tmp_path):
    made = Mqtt(configured(tmp_path, MQTT).mqtt, "h-1", "17")
    item = of_reading(Reading(7, 1, "kitchen", 1.0, "readings", 50, b"{}"))
    told = json.loads(made.message(item).payload)
    assert told == {"hub": "h-1", "log": "17", **json.loads(item.json)}
