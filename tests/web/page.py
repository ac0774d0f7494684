"""What an operator does in the page, and what is wrong with a page."""

import base64
import json
import time
from pathlib import Path
from urllib.parse import urlsplit

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

AUDIT = Path(__file__).with_name("audit.js").read_text()
PATIENCE_S = 30


class Page:
    """One browser at one hub's page."""

    def __init__(self, driver, url: str) -> None:
        self.driver, self.url = driver, url
        self.hosts: set[str] = set()
        self.allowed: tuple[str, ...] = ()  # parts of console errors that a test provokes
        self.seem()
        driver.get(url)
        driver.delete_all_cookies()
        driver.execute_script("localStorage.clear()")
        driver.refresh()
        self.until("form.login")
        self._log()

    def seem(self, width=1280, height=900, dark=False) -> None:
        """Be a screen of this size, with this scheme and no wish for motion."""
        self._cdp("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 500)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self._cdp("Emulation.setEmulatedMedia", features=[scheme, still])

    def _cdp(self, command: str, **values):
        return self.driver.execute_cdp_cmd(command, values)

    def login(self, token: str) -> None:
        self.one("input[name=token]").send_keys(token, Keys.ENTER)
        self.until("header.top:not([hidden])")

    def open(self, path: str, wanted: str = "h1") -> None:
        """Go to a view and wait for its heading, and for what else is wanted."""
        self.driver.execute_script("location.hash = arguments[0]", "#" + path)
        self.wait(lambda: self.js("return location.hash") == "#" + path)
        self.until(f".view {wanted}")

    def all(self, css: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def js(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, css: str = "main") -> str:
        text = self.js("return document.querySelector(arguments[0])?.innerText ?? ''", css)
        return "\n".join(line for line in text.splitlines() if line.strip())

    def wait(self, wanted, limit: float = PATIENCE_S):
        end = time.monotonic() + limit
        while not (found := wanted()):
            assert time.monotonic() < end, self.text("body")
            time.sleep(0.05)
        return found

    def until(self, css: str):
        return self.wait(lambda: self.all(css))[0]

    def says(self, *texts: str, css: str = "main") -> None:
        self.wait(lambda: all(each in self.text(css) for each in texts))

    def button(self, name: str):
        """Return the button or link that is called so."""
        find = (
            "return [...document.querySelectorAll('dialog[open] button, button, a')]"
            ".find((each) => each.checkVisibility() && each.innerText.trim() === arguments[0])"
        )
        return self.wait(lambda: self.js(find, name))

    def field(self, label: str):
        """Return the field with this label."""
        find = (
            "return [...document.querySelectorAll('label')].filter((each) => each.checkVisibility())"
            ".find((each) => each.innerText.trim() === arguments[0])?.control"
        )
        return self.wait(lambda: self.js(find, label))

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def focused(self) -> str:
        """What has the focus, as people would call it."""
        return self.js(
            "const it = document.activeElement;"
            "return it.ariaLabel || it.labels?.[0]?.innerText || it.innerText || it.tagName"
        ).strip()

    def walk_to(self, name: str, limit: int = 60) -> list[str]:
        """Press Tab until something has the focus; return what had it on the way."""
        seen = []
        while self.focused.partition("\n")[0] != name:
            self.press(Keys.TAB)
            seen.append(self.focused)
            assert len(seen) < limit, seen
        return seen

    def findings(self) -> list[str]:
        """Return what is wrong here: names, labels, contrast, targets, headings (audit.js)."""
        return self.js(AUDIT)

    def overflow(self) -> int:
        """By how many pixels it is wider than the screen."""
        return self.js(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def offline(self, gone: bool) -> None:
        """Take the network away, or give it back."""
        self._cdp("Network.enable")
        self._cdp("Network.emulateNetworkConditions", offline=gone, latency=0,
                  downloadThroughput=-1, uploadThroughput=-1)  # fmt: skip

    def screenshot(self, path: Path) -> None:
        """Keep the whole page as a picture."""
        size = self.js(
            "return [innerWidth, Math.min(3000, document.documentElement.scrollHeight)]"
        )
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        shot = self._cdp("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _log(self) -> list[str]:
        for entry in self.driver.get_log("performance"):
            said = json.loads(entry["message"])["message"]
            if said["method"] == "Network.requestWillBeSent":
                address = urlsplit(said["params"]["request"]["url"])
                if address.scheme not in ("data", "blob", "chrome"):
                    self.hosts.add(address.netloc)
        return [
            each["message"] for each in self.driver.get_log("browser") if each["level"] == "SEVERE"
        ]

    def check(self) -> None:
        """Raise unless the console is clean, and nothing was asked of another host."""
        errors = [each for each in self._log() if not any(part in each for part in self.allowed)]
        assert errors == []
        assert self.hosts <= {urlsplit(self.url).netloc}
