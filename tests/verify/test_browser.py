"""The page in a real browser, in light and in dark: no console error, and each failed check shows cause, picture and next step.

CI installs Chromium; without it on a developer's machine these tests are skipped, in CI they fail.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from experiments import COMMAND, HEAD

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
CONTRAST = 4.5
"""Least ratio of luminances for text: WCAG 2.1, level AA."""

EXPERIMENT = HEAD + (
    "class Net(nn.Module):\n"
    "    def __init__(self):\n"
    "        super().__init__()\n"
    "        self.body, self.head = nn.Linear(20, 16), nn.Linear(16, 1)\n"
    "    def forward(self, x):\n"
    "        return self.head(self.body(x).relu().detach())\n"
    "def column_and_row():\n"
    "    return torch.randn(32, 20), torch.randn(32)\n"
    "experiment = Experiment(Net, column_and_row, broadcast, optimizer=lambda m: torch.optim.Adam(m.head.parameters()))\n"
)

pytestmark = pytest.mark.skipif(
    not (DRIVER and BROWSER) and not os.environ.get("MLDBG_BROWSER_REQUIRED"),
    reason="needs chromium and chromedriver (Debian packages chromium, chromium-driver)",
)


@dataclass(frozen=True)
class Page:
    """The page, opened in one colour scheme."""

    browser: webdriver.Chrome
    scheme: str

    def ask(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with failures, warnings, greyed and passed checks, made by the installed command."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "user.py").write_text(EXPERIMENT, encoding="utf-8")
    select = "contact-sheet,loss-at-init,pairing,gradient-reach,optimizer-ledger,overfit-one-batch,loader-audit"
    command = [str(COMMAND), "user.py", "--select", select, "--html", "report.html"]
    result = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=300)
    assert result.returncode == 1, result.stdout + result.stderr
    return folder / "report.html"


@pytest.fixture(scope="module", params=["light", "dark"])
def page(request: pytest.FixtureRequest, report: Path) -> Iterator[Page]:
    options = Options()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1000,1400"):
        options.add_argument(argument)
    assert DRIVER, "chromedriver is missing"
    assert BROWSER, "chromium is missing"
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        scheme = {"name": "prefers-color-scheme", "value": request.param}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        browser.get(report.as_uri())
        yield Page(browser, request.param)
    finally:
        browser.quit()


def failed(page: Page) -> list[WebElement]:
    found = page.browser.find_elements(By.CSS_SELECTOR, "article.fail")
    assert len(found) >= 2, "the faults of this experiment are not all found"
    return found


def shown(element: WebElement) -> str:
    """The text that a reader sees."""
    return element.text if element.is_displayed() else ""


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`: WCAG 2.1."""
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_it_loads_without_a_console_message(page: Page) -> None:
    messages = [entry["message"] for entry in page.browser.get_log("browser")]  # type: ignore[no-untyped-call]
    assert messages == []


def test_it_asks_for_nothing_but_itself(page: Page, report: Path) -> None:
    resources = page.ask("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in resources if not name.startswith("data:")] == []
    assert page.browser.current_url == report.as_uri()


def test_each_failed_check_shows_cause_picture_and_next_step(page: Page) -> None:
    for article in failed(page):
        terms = [shown(each) for each in article.find_elements(By.TAG_NAME, "dt")]
        texts = [shown(each) for each in article.find_elements(By.TAG_NAME, "dd")]
        assert terms == ["seen", "cause", "next step"]
        assert all(texts)
        assert shown(article.find_element(By.CSS_SELECTOR, "dd.cause code"))
        picture = article.find_element(By.TAG_NAME, "svg")
        assert picture.is_displayed()
        assert picture.size["width"] > 400
        assert picture.size["height"] > 150
        labels = [each for each in picture.find_elements(By.CSS_SELECTOR, "text") if each.is_displayed()]
        assert len(labels) >= 3, "axes have labels and ticks"


def test_its_background_follows_the_colour_scheme(page: Page) -> None:
    background = page.ask("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(background) < 0.1) == (page.scheme == "dark")


def test_all_text_can_be_read(page: Page) -> None:
    script = """
        return [...document.querySelectorAll('h1, h2, h3, p, dt, dd, code, summary, li, a, figcaption, .mark, .kind, .why')]
            .filter(each => each.checkVisibility() && each.textContent.trim())
            .map(each => [each.className + ' ' + each.tagName, getComputedStyle(each).color])"""
    background = page.ask("return getComputedStyle(document.body).backgroundColor")
    dim = {name: colour for name, colour in page.ask(script) if contrast(colour, background) < CONTRAST}
    assert dim == {}


def test_all_words_in_pictures_can_be_read(page: Page) -> None:
    script = """
        return [...document.querySelectorAll('article svg text')]
            .map(each => [each.textContent, getComputedStyle(each).fill]).filter(each => each[1].startsWith('rgb'))"""
    background = page.ask("return getComputedStyle(document.body).backgroundColor")
    fills = page.ask(script)
    assert fills
    assert {text: colour for text, colour in fills if contrast(colour, background) < CONTRAST} == {}


def test_nothing_is_wider_than_the_window(page: Page) -> None:
    for width in (1000, 500):
        page.browser.set_window_size(width, 1400)
        assert page.ask("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.browser.set_window_size(1000, 1400)


def test_words_in_pictures_stay_inside(page: Page) -> None:
    script = """
        const out = [];
        for (const svg of document.querySelectorAll('article svg, details[open] svg')) {
            const frame = svg.getBoundingClientRect();
            for (const text of svg.querySelectorAll('text')) {
                const box = text.getBoundingClientRect();
                const inside = box.left > frame.left - 3 && box.right < frame.right + 3
                    && box.top > frame.top - 3 && box.bottom < frame.bottom + 3;
                if (!inside) out.push(text.textContent);
            }
        }
        return out"""
    assert page.ask(script) == []


def test_a_passed_check_opens_without_a_script(page: Page) -> None:
    details = page.browser.find_element(By.CSS_SELECTOR, "details.check.pass:not([open])")
    picture = details.find_element(By.TAG_NAME, "svg")
    assert not picture.is_displayed()
    details.find_element(By.TAG_NAME, "summary").click()
    assert picture.is_displayed()


def test_the_strip_leads_to_every_check(page: Page) -> None:
    cells = page.browser.find_elements(By.CSS_SELECTOR, ".gate a")
    assert len(cells) == 7
    for cell in cells:
        name = str(cell.get_attribute("aria-label")).partition(":")[0]
        target = page.ask("return document.querySelector(arguments[0].getAttribute('href')).textContent", cell)
        assert name in target


def test_it_can_be_printed(page: Page) -> None:
    pages = page.browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(pages["data"]) > 10_000
