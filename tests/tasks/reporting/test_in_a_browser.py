"""The pages in a real browser: filters leave no empty card, and a phone shows every heading."""

import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tests.tasks.reporting.test_both_pages import folder, metrics, root  # noqa: F401  (fixtures)

pytestmark = pytest.mark.ui


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[webdriver.Chrome]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):  # fmt: skip
        options.add_argument(switch)
    with webdriver.Chrome(options, Service(shutil.which("chromedriver"))) as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(request) -> dict[str, str]:
    request.getfixturevalue("metrics")
    report = request.getfixturevalue("root") / "page" / "index.html"
    few_shot = request.getfixturevalue("folder") / "index.html"
    return {"report": report.as_uri(), "few-shot": few_shot.as_uri()}


def shown(browser: webdriver.Chrome, selector: str) -> list:
    return [e for e in browser.find_elements(By.CSS_SELECTOR, selector) if e.is_displayed()]


def test_a_filter_leaves_no_question_without_answers(browser, pages):
    browser.set_window_size(1200, 900)
    browser.get(pages["few-shot"])
    step, kind = (Select(browser.find_element(By.ID, name)) for name in ("step", "kind"))
    assert len(shown(browser, ".group")) == 1
    step.select_by_value("all")
    assert len(shown(browser, ".group")) == 2 and len(shown(browser, ".rollout")) == 8
    browser.execute_script(  # no answer of the first question shows a sign any more
        "document.querySelectorAll('.group')[0].querySelectorAll('.rollout')"
        ".forEach((a) => { a.dataset.kind = a.dataset.kind.replace('sign', '').trim(); })"
    )
    for value, answers in (("up", 4), ("down", 4), ("sign", 1), ("all", 8)):
        kind.select_by_value(value)
        groups = shown(browser, ".group")
        assert len(shown(browser, ".rollout")) == answers
        assert all(shown(group, ".rollout") for group in groups), value
        said = browser.find_element(By.CSS_SELECTOR, "#rollouts output").text
        assert said == f"{answers} answers" and len(groups) == (1 if value == "sign" else 2)


def test_the_filters_of_the_report_hide_whole_cards(browser, pages):
    browser.set_window_size(1200, 900)
    browser.get(pages["report"])
    for button in browser.find_elements(By.CSS_SELECTOR, ".filters button"):
        button.click()
        said = browser.find_element(By.CSS_SELECTOR, ".filters output").text
        assert said.split()[0] == str(len(shown(browser, ".item")))


@pytest.mark.parametrize("width", [500, 800, 1200])
@pytest.mark.parametrize("name", ["report", "few-shot"])
def test_a_link_of_the_navigation_shows_the_heading_it_leads_to(browser, pages, name, width):
    browser.set_window_size(width, 900)
    browser.get(pages[name])
    wide = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "the page is wider than the screen"
    for section in [s.get_attribute("id") for s in browser.find_elements(By.TAG_NAME, "section")]:
        browser.execute_script(f"location.hash = ''; location.hash = '{section}'")
        hidden = browser.execute_script(
            f"const box = document.querySelector('#{section} h2').getBoundingClientRect();"
            "const top = document.elementFromPoint(box.left + 5, box.top + box.height / 2);"
            "return !top || top.closest('nav') !== null"
        )
        assert not hidden, section
