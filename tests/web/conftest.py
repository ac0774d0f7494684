"""A real hub with emulated devices, and Chromium as an operator's browser."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from page import Page
from real import Hub

# What a browser would do by itself on a network is off: what is left is the page's own.
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--metrics-recording-only", "--lang=en-GB",
)  # fmt: skip


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Iterator[Hub]:
    """A hub with its web interface on."""
    os.environ["SKERRY_WEB"] = "127.0.0.1:0"
    made = Hub(tmp_path_factory.mktemp("hub"))
    try:
        made.start()
    finally:
        del os.environ["SKERRY_WEB"]
    yield made
    made.stop()
    assert "Traceback" not in made.log.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Chromium with a profile of its own, which nobody has logged in with."""
    from selenium import webdriver

    profile = tempfile.mkdtemp()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for each in (*QUIET, f"--user-data-dir={profile}"):
        options.add_argument(each)
    options.add_experimental_option("prefs", {"download.default_directory": profile})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.downloads = Path(profile)
    yield driver
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def page(hub: Hub, browser) -> Iterator[Page]:
    """The page, logged out; afterwards: no error in its console, and no request to elsewhere."""
    made = Page(browser, hub.web)
    yield made
    made.check()
