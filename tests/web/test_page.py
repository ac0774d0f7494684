"""The page in Chromium, against a real hub and real devices."""

import socket
import time
import zipfile

import pytest
from real import finish
from selenium.webdriver.common.keys import Keys

from skerry_hub.sim.fleet import place

VIEWS = ["/", "/devices", "/devices/kitchen", "/enrol", "/audit"]
SCOPES = ("read", "operate", "enrol")


def token(hub, name, *scopes):
    said = [word for scope in scopes for word in ("--scope", scope)]
    return hub("token", "new", name, *said)["token"]


@pytest.fixture(scope="module")
def ops(hub):
    """A token for everything; the hub has a device that was there, and one that was not."""
    finish(hub.power(hub.board("kitchen"), readings=5), limit=120)
    hub("enroll", "hall", "--label", "<img src=x onerror=alert(1)> & <b>bold</b>")
    hub("tag", "kitchen", "sensor", "north")
    return token(hub, "ops", *SCOPES)


def shared(folder, name, hub):
    """Unpack a downloaded bundle as a board's files."""
    with zipfile.ZipFile(folder / f"{name}.zip") as archive:
        archive.extractall(folder)
    board = hub.folder / "boards" / name
    place(folder / name, board, hub.address)
    return board


def test_logging_in_and_out(page, hub, ops):
    page.allowed = ("401",)
    assert page.one("header.top").get_attribute("hidden")
    assert page.focused.startswith("Token")
    page.press("skerry.ops.wrong", Keys.ENTER)
    page.says("no valid token", css="form.login")
    page.field("Token").clear()
    page.login(ops)
    page.says("Overview")
    (cookie,) = page.driver.get_cookies()
    assert cookie["httpOnly"]
    page.driver.refresh()
    page.until(".tiles li")
    assert ops.rpartition(".")[2] not in page.js(
        "return document.cookie + JSON.stringify({...localStorage, ...sessionStorage})"
    )
    page.button("Log out").click()
    page.until("form.login")
    page.driver.refresh()
    page.until("form.login")


def test_a_revoked_token_ends_the_session_in_the_page(page, hub, ops):
    page.allowed = ("401",)
    page.login(token(hub, "short", "read"))
    hub("token", "revoke", "short")
    page.says("the session has ended: log in again", css="form.login")


def test_the_overview_follows_the_fleet(page, hub, ops):
    page.login(ops)
    page.says("In a session\n1", "Active\n2", "Requests\n5", "Handshakes\n1")
    assert len(page.all(".chart svg")) == 4
    board = hub.board("porch")
    finish(hub.power(board, readings=3), limit=120)
    page.says("In a session\n2", "Active\n3")
    page.js("document.querySelectorAll('.segments input')[2].click()")
    page.says("Requests\n8")
    page.one("details summary").click()
    page.says("From")
    page.one("details summary").click()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
        scanner.sendto(b"no CoAP at all", hub.address)
    page.says("malformed\n1 message", css=".causes")
    page.one("a.tile[href*=revoked]").click()
    page.says("No device fits")


def test_the_devices_are_searched_filtered_and_sorted(page, hub, ops):
    page.login(ops)
    page.open("/devices", "tbody tr")
    find = "return [...document.querySelectorAll('tbody th a')].map((each) => each.textContent)"
    names = lambda: page.js(find)  # noqa: E731
    page.wait(lambda: {"kitchen", "hall"} <= set(names()))
    page.says("<img src=x onerror=alert(1)> & <b>bold</b>")  # a label is never markup
    page.button("Device\n↕").click()
    page.wait(lambda: names() == sorted(names()))
    page.one("th[aria-sort=ascending] button").click()
    page.wait(lambda: names() == sorted(names(), reverse=True))
    page.field("Search").send_keys("HAL")
    page.wait(lambda: names() == ["hall"])
    page.field("Search").send_keys(Keys.BACKSPACE * 3)
    page.field("Tag").send_keys("sensor")
    page.wait(lambda: names() == ["kitchen"])
    assert "tag=sensor" in page.driver.current_url
    page.driver.refresh()
    page.wait(lambda: names() == ["kitchen"])
    page.one("tbody th a").click()
    page.says("Why it is silent", "in a session", "sensor")


def test_the_list_of_devices_follows_the_fleet(page, hub, ops):
    page.login(ops)
    hub("enroll", "mill", "--label", "to be revoked")
    page.open("/devices?state=active&text=mi", "tbody tr")
    page.says("to be revoked", "1 device,")
    hub("enroll", "mint")
    page.says("mint", "2 devices,")
    hub("revoke", "mill")
    page.wait(lambda: "mill" not in page.text("tbody"))
    hub("revoke", "mint")
    page.says("No device fits")
    hub("enroll", "mine")
    page.says("mine", "1 device,")


def test_what_is_old_is_said_to_be_old(page, hub, ops):
    """The network is gone for a while: no figure is taken for one of now."""
    page.allowed = ("ERR_INTERNET_DISCONNECTED",)
    page.login(ops)
    page.says("Overview")
    assert page.text("#trouble") == ""
    for view, button in (("/", None), ("/devices", "Device\n↕"), ("/audit", None)):
        page.open(view)
        page.offline(True)
        page.says("The hub does not answer", "What you see is from", css="#trouble")
        assert page.findings() == []
        if button:
            page.button(button).click()  # what is here can be looked at
        page.offline(False)
        page.wait(lambda: page.text("#trouble") == "")
    page.open("/devices", "tbody tr")
    page.offline(True)
    page.field("Search").send_keys("kit")
    page.says("The hub does not answer", css="#trouble")
    page.offline(False)
    page.wait(lambda: page.text("#trouble") == "")


def test_an_address_that_is_none(page, hub, ops):
    page.login(ops)
    for path in ("/devices/%zz", "/elsewhere"):
        page.open(path)
        page.says("There is no such page")
    page.button("Go to the overview").click()
    page.says("Overview")


def test_what_is_shown_anew_stays_the_same_element(page, hub, ops):
    """A click that has begun, a selection and the focus outlive a refresh that changes figures."""
    page.login(ops)
    page.open("/devices", "tbody tr")
    link = "document.querySelector('tbody th a[href$=kitchen]')"
    page.js(f"window.kept = {link}; window.kept.focus()")
    before = page.js("return window.kept.closest('tr').innerText")
    finish(hub.power(hub.folder / "boards" / "kitchen", readings=2), limit=120)
    page.wait(lambda: page.js("return window.kept.closest('tr')?.innerText") != before)
    assert page.js(f"return window.kept === {link} && document.activeElement === window.kept")


def test_a_device_is_worked_on_from_the_keyboard_alone(page, hub, ops):
    page.login(ops)
    page.open("/devices/kitchen", ".timeline")
    page.says("in a session", "Readings", "enrol", "by ")
    first = page.walk_to("Quarantine")
    assert [each for each in first if each in ("Overview", "Devices", "Enrol", "Audit log")] == []
    page.press(Keys.ENTER)
    page.until("dialog[open]")
    assert page.focused.startswith("Reason")
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.all("dialog"))
    assert page.focused == "Quarantine"  # the focus is where it was
    assert hub.row("kitchen")["state"] == "active"
    page.press(Keys.ENTER)
    page.until("dialog[open]")
    page.press("left in the train", Keys.ENTER)
    page.says("quarantined", "left in the train")
    assert hub.row("kitchen")["state"] == "quarantined"
    page.one("h1").click()
    page.walk_to("Release")
    page.press(Keys.ENTER)
    page.until("dialog[open]")
    page.walk_to("Release", 5)
    page.press(Keys.ENTER)
    page.wait(lambda: hub.row("kitchen")["state"] == "active")
    page.says("Poke")


def test_what_cannot_be_undone_asks_for_the_id(page, hub, ops):
    name = "gone"
    hub("enroll", name)
    page.login(ops)
    page.open(f"/devices/{name}", ".findings li")
    page.button("Revoke").click()
    page.until("dialog[open]")
    assert not page.js("return document.querySelector('dialog .danger').disabled === false")
    page.field(f"Type {name} to confirm").send_keys("gon", Keys.ENTER)
    time.sleep(0.2)
    assert hub.row(name)["state"] == "active"
    page.press("e", Keys.ENTER)
    page.says("revoked", "skerry undelete")
    page.button("Give a new key").click()
    page.button("Make a new key").click()
    page.says("Download the bundle")
    assert hub.row(name)["state"] == "active"


def test_values_and_tags_are_set(page, hub, ops):
    page.allowed = ("400",)
    page.login(ops)
    page.open("/devices/kitchen", ".findings li")
    page.field("Path").send_keys("led/colour")
    page.field("Value").send_keys("red")
    page.button("Set value").click()
    page.says("led/colour")
    assert [each["path"] for each in [hub("set", "kitchen")]] == ["led/colour"]
    page.field("Path").send_keys("no path!")
    page.button("Set value").click()
    page.says("is no path")
    page.field("Set tags").clear()
    page.field("Set tags").send_keys("south")
    page.button("Save tags").click()
    page.wait(lambda: hub.row("kitchen")["tags"] == "south")
    hub("tag", "kitchen", "sensor", "north")


def test_a_device_from_the_wizard_connects(page, hub, ops):
    page.allowed = ("409",)
    page.login(ops)
    page.open("/enrol", "form")
    page.field("Id").send_keys("hall", Keys.ENTER)
    page.says("choose another id")
    page.field("Id").clear()
    page.field("Id").send_keys("attic")
    page.field("Label").send_keys("under the roof")
    page.field("Tags").send_keys("north")
    page.field("Address of the hub").send_keys(f"127.0.0.1:{hub.address[1]}", Keys.ENTER)
    page.says("There is no key in it", "under the roof")
    assert page.focused == "Its label"
    assert page.wait(lambda: page.js("return document.querySelector('.sticker img').naturalWidth"))
    page.button("Go on to the bundle").click()
    page.button("Download the bundle").click()
    page.says("the hub has erased its copy")
    downloads = page.driver.downloads
    page.wait(lambda: (downloads / "attic.zip").exists())
    assert not (hub.data / "bundles" / "attic").exists()
    assert hub.row("attic")["tags"] == "north"
    finish(hub.power(shared(downloads, "attic", hub), readings=2), limit=120)
    page.button("Go to attic").click()
    page.says("in a session", hub.row("attic")["session_fingerprint"])


def test_who_may_only_look_is_told_so(page, hub, ops):
    page.login(token(hub, "eyes", "read"))
    page.open("/devices/kitchen", ".findings li")
    page.says("lacks the scope operate")
    assert page.all(".danger-quiet, .inline") == []
    page.open("/enrol")
    page.says("lacks the scope enrol")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_every_view_is_usable(page, ops, width, dark, tmp_path):
    """Contrast, names, labels, targets, headings; and no view is wider than a phone."""
    page.seem(width, 740, dark)
    assert page.findings() == []
    page.login(ops)
    for view in VIEWS:
        page.open(view)
        page.wait(lambda: len(page.text()) > 40)
        if view != "/enrol":
            page.until(".tile, tbody tr, .timeline")
        assert (view, page.findings()) == (view, [])
        assert (view, page.overflow()) == (view, 0)
    page.open("/devices/kitchen", ".findings li")
    page.button("Revoke").click()
    page.until("dialog[open]")
    assert page.findings() == []
    page.press(Keys.ESCAPE)


def test_every_control_is_reached_and_shows_the_focus(page, ops):
    page.login(ops)
    page.open("/devices", "tbody tr")
    page.js("document.body.tabIndex = -1; document.body.focus()")
    page.press(Keys.TAB)
    assert page.focused == "Skip to content"
    assert page.js("return document.activeElement.getBoundingClientRect().top") >= 0
    page.press(Keys.ENTER)
    assert page.focused == "Devices"
    page.js("document.body.focus()")
    wanted = page.js(
        "return [...document.querySelectorAll('a[href], button, input, select, summary')]"
        ".filter((each) => each.checkVisibility() && !each.disabled).length"
    )
    reached = 0
    for _ in range(wanted):
        page.press(Keys.TAB)
        reached += page.js("return document.activeElement !== document.body")
        assert page.js(
            "const style = getComputedStyle(document.activeElement);"
            "return document.activeElement.matches('.skip')"
            " || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2)"
        ), page.focused
    assert reached == wanted


def test_a_hub_that_ends_is_told_and_comes_back(page, hub, ops):
    """Last: the hub starts anew."""
    page.allowed = "ERR_CONNECTION"
    page.login(ops)
    hub.kill()
    page.js("location.hash = '#/audit'")
    page.says("The hub does not answer")
