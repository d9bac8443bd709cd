"""A user's morning in a real browser: fill the form, start, watch, compare, look at the pictures.

Screenshots of every step are kept in `.runtime/screenshots/`.
"""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prefect.client.schemas.filters import ArtifactFilter
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import FlowRunSort
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tasks.asking.memory import FILE
from tasks.settings import load_settings
from tests.flows.conftest import run
from tests.flows.servers import Servers, form, wait_for_state, wait_until
from tests.flows.test_caption import SMALL as OF_CAPTIONS
from tests.flows.test_caption import write_pictures
from tests.flows.test_chain import SMALL as OF_THE_CHAIN
from tests.flows.test_chain import STAGES, stages_alive, wait_for
from tests.flows.test_ground import SMALL as OF_DOCUMENTS
from tests.flows.test_ground import write_documents, write_receipts

ROOT = Path(__file__).resolve().parents[2]
ASSISTANT = "mlflow.assistant.chat_panel"
SCREENSHOTS = ROOT / ".runtime" / "screenshots"
CHAIN = "align/chain"
SECONDS_FOR_A_PAGE, SECONDS_FOR_A_CHAIN = 60, 420

# what is looked at here is how a chain is shown, and not what it learns
SMALL = OF_THE_CHAIN | {
    "synthesis": {"questions": 4, "attempts": 2, "captions": 2},
    "reward_model": {"steps": 2, "batch": 4, "judged": 4},
    "policy_sft": {"steps": 2, "batch": 4},
    "policy_dpo": {"steps": 2, "batch": 2},
    "policy_grpo": {"steps": 3, "prompts": 2, "answers": 4, "max_new_tokens": 32},
    "benchmarks": {"per_task": 1, "resamples": 100, "max_new_tokens": 32},
}  # fmt: skip
# what a stranger has: the form for it, its settings, who writes it
STRANGERS = {
    "pictures": ("caption/caption", OF_CAPTIONS, write_pictures),
    "documents": ("ground/ground", OF_DOCUMENTS, write_documents),
    "receipts": ("ground/ground", OF_DOCUMENTS, write_receipts),
}

pytestmark = [pytest.mark.chain, pytest.mark.ui]


class Site(Servers):
    """What `make up` of a checkout offers, and a browser in front of it."""

    browser: webdriver.Chrome

    def open(self, address: str, expected: str) -> None:
        self.browser.get(address)
        self.wait(expected)

    def wait(self, expected: str, seconds: float = SECONDS_FOR_A_PAGE) -> None:
        try:
            WebDriverWait(self.browser, seconds).until(lambda _: expected in self.text())
        except TimeoutException:
            self.keep("missing")
            pytest.fail(f"{expected!r} is not on the page:\n{self.text()[:3000]}")

    def text(self) -> str:
        try:
            return self.browser.find_element(By.TAG_NAME, "body").text
        except StaleElementReferenceException:
            return ""

    def press(self, label: str) -> None:
        """Click the innermost visible thing with this text."""

        def found(_):
            path = f"//*[normalize-space(.)='{label}']"
            shown = [e for e in self.browser.find_elements(By.XPATH, path) if e.is_displayed()]
            return shown and (shown[-1].click() or True)

        WebDriverWait(
            self.browser, SECONDS_FOR_A_PAGE, ignored_exceptions=[StaleElementReferenceException]
        ).until(found, label)

    def field(self, title: str):
        labels = self.browser.find_elements(By.CLASS_NAME, "p-label")
        [label] = [x for x in labels if x.text.partition("\n")[0] == f"{title} (Optional)"]
        return label.find_element(By.CSS_SELECTOR, "input, textarea")

    def fill(self, title: str, value: str) -> None:
        self.field(title).send_keys(Keys.CONTROL, "a")
        self.field(title).send_keys(value)

    def keep(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.browser.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

    def artifacts(self, **facts) -> list[Artifact]:
        """Return the artifacts with this key, or of this type, oldest first."""
        found = {name: {"any_": [value]} for name, value in facts.items()}
        kind = ArtifactFilter.model_validate(found)
        return sorted(self.api.read_artifacts(artifact_filter=kind), key=lambda a: a.created)

    def links(self, key: str) -> list[str]:
        """Return the addresses of the link artifacts with this key, oldest first."""
        texts = [link.data for link in self.artifacts(key=key) if link.type == "markdown"]
        return [text.partition("](")[2].rstrip(")") for text in texts]


@pytest.fixture(scope="module")
def site(make_checkout, tmp_path_factory) -> Iterator[Site]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--window-size=1400,1500", f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):  # fmt: skip
        options.add_argument(switch)
    others = {
        section: {name: value for name, value in held.items() if name != "data"}
        for _, small, _ in STRANGERS.values() for section, held in small.items()
    }  # fmt: skip
    site = Site(make_checkout(others | SMALL))
    site.ready()
    try:
        with webdriver.Chrome(options, Service(shutil.which("chromedriver"))) as browser:
            site.browser = browser
            site.open(site.way_in, "Event Feed")  # once: the link that `make up` prints
            yield site
    finally:
        site.stop()


def open_form(site: Site) -> None:
    site.open(f"{site.prefect}/deployments", "align")
    site.open(
        f"{site.prefect}/deployments/deployment/{form(site.api, CHAIN).id}/run", "Policy: GRPO"
    )


def start(site: Site, number: int) -> str:
    """Submit the form, watch the chain until it is done, and return the flow run's page."""
    site.press("Submit")
    wait_until(lambda: len(site.api.read_flow_runs()) == number, SECONDS_FOR_A_PAGE)
    [flow_run] = site.api.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)
    page = f"{site.prefect}/runs/flow-run/{flow_run.id}"
    site.open(page, "Running stage")
    site.keep(f"prefect-running-{number}")
    site.browser.get("about:blank")  # the page draws all the time, on a core that the chain needs
    ended = wait_for_state(site.api, flow_run.id, seconds=SECONDS_FOR_A_CHAIN)
    assert ended == "COMPLETED"
    site.open(page, "Completed")
    site.wait("Finished in state Completed()")
    return page


def test_a_form_shows_the_settings_in_force_and_refuses_a_value_out_of_bounds(site):
    before = (site.root / "params.yaml").read_text()
    open_form(site)
    assert site.field("Seed").get_attribute("value") == "0"
    shown = site.field("Questions").get_attribute("value")
    assert shown == str(SMALL["synthesis"]["questions"])
    site.fill("Seed", "-1")
    site.press("Submit")
    site.wait("-1 is less than the minimum of 0")
    site.keep("prefect-form-refused")
    assert site.api.read_flow_runs() == []
    assert (site.root / "params.yaml").read_text() == before


def test_a_run_started_from_the_form_is_watched_to_its_scores(site):
    site.open(f"{site.prefect}/dashboard", "Run a task or flow")
    assert "V2 UI" not in site.text()
    open_form(site)
    site.fill("Seed", "7")
    site.keep("prefect-form")
    page = start(site, 1)
    assert yaml.safe_load((site.root / "params.yaml").read_text())["seed"] == 7
    site.open(page, "Completed")
    site.keep("prefect-completed")
    site.press("Artifacts")
    site.wait("Held-out scores")
    site.keep("prefect-artifacts")
    progress = site.artifacts(type="progress")
    assert {artifact.key for artifact in progress} == {s.replace("_", "-") for s in STAGES}
    assert {artifact.data for artifact in progress} == {100.0}


def test_the_mlflow_run_is_linked_and_links_back(site):
    [address] = site.links("mlflow")
    site.open(address, "align outputs/base seed 7")
    site.browser.find_element(By.CSS_SELECTOR, f"[data-component-id='{ASSISTANT}.close']").click()
    site.wait("Flow run in Prefect")
    site.keep("mlflow-run")
    back = site.browser.find_element(By.LINK_TEXT, "Flow run in Prefect").get_attribute("href")
    site.open(back, "align outputs/base seed 7")
    site.wait("Completed")


def test_a_run_with_another_setting_is_compared_with_the_first(site):
    open_form(site)
    assert site.field("Seed").get_attribute("value") == "7"  # the form follows params.yaml
    site.fill("Bootstrap resamples", "200")
    start(site, 2)
    assert load_settings(site.root / "params.yaml").benchmarks.resamples == 200
    experiment = site.links("mlflow")[0].split("/experiments/")[1].split("/")[0]
    site.open(f"{site.mlflow}/#/experiments/{experiment}/runs", "align outputs/base")
    site.press("Views")
    site.press("Chains side by side")
    site.wait("policy_grpo/find")
    site.keep("mlflow-chains-side-by-side")
    ticks = site.browser.find_elements(By.CSS_SELECTOR, ".ag-row .ag-checkbox-input-wrapper")
    for tick in [tick for tick in ticks if tick.is_displayed()]:
        tick.click()
    site.press("Compare")
    site.wait("Comparing 2 Runs")
    site.wait("benchmarks.resamples")
    site.keep("mlflow-compared")


def test_the_curves_of_all_trainings_are_drawn(site):
    site.open(site.links("training-curves")[-1], "train/loss")
    drawn = "return document.querySelectorAll('.scatterlayer .trace').length"
    wait_until(lambda: site.browser.execute_script(drawn) > 4, SECONDS_FOR_A_PAGE)
    site.keep("mlflow-training-curves")


def test_the_report_with_its_galleries_opens_from_mlflow(site):
    shows_pictures(site, 5)
    site.keep("mlflow-report")


def shows_pictures(site: Site, most: int) -> None:
    """Open the last chain's page from MLflow, and wait for more pictures than so many."""
    site.open(site.links("report")[-1], "index.html")

    def drawn(browser) -> bool:
        frames = browser.find_elements(By.TAG_NAME, "iframe")
        if not frames:
            return False
        browser.switch_to.frame(frames[0])
        pictures = len(browser.find_elements(By.TAG_NAME, "img"))
        browser.switch_to.default_content()
        return pictures > most

    WebDriverWait(site.browser, SECONDS_FOR_A_PAGE).until(drawn)


@pytest.mark.parametrize("what", STRANGERS)
def test_a_strangers_folder_goes_from_the_form_to_the_page(site, what):
    name, _, write = STRANGERS[what]
    folder = f"my-{what}"
    write(site.root / folder)
    number = len(site.api.read_flow_runs())
    site.open(f"{site.prefect}/deployments/deployment/{form(site.api, name).id}/run", "Data")
    site.fill("Data", folder)
    start(site, number + 1)
    shows_pictures(site, 1)
    site.keep(f"mlflow-{what}")


def test_cancel_ends_every_process_and_leaves_nothing_half_written(site):
    open_form(site)
    site.fill("Seed", "8")
    # it must not be done before a slow browser cancels it
    for name, most in (("Questions", "240"), ("Chains per question", "64"), ("Captions", "160")):
        site.fill(name, most)
    site.press("Submit")
    wait_for(site.root / ".runtime" / "scratch", "synthesis-*")
    [flow_run] = [run for run in site.api.read_flow_runs() if run.state.is_running()]
    site.open(f"{site.prefect}/runs/flow-run/{flow_run.id}", "Cancel")
    at_work = stages_alive(site.root)
    assert at_work
    site.press("Cancel")
    site.wait("This will put flow run")
    site.keep("prefect-cancel")
    site.press("Confirm")
    asked = time.monotonic()
    while left := stages_alive(site.root):  # 15 s on an idle machine
        assert time.monotonic() < asked + 120, left
        time.sleep(0.1)
    site.wait("Cancelled")
    site.keep("prefect-cancelled")
    told = run(site.root, "dvc", "status", "--json")
    assert told.returncode == 0, told.stderr
    changed = json.loads(told.stdout)
    halves = [
        (stage, path)
        for stage, reasons in changed.items()
        for reason in reasons
        if isinstance(reason, dict)
        for path, what in reason.get("changed outs", {}).items()
        if what not in ("deleted", "not in cache")
    ]
    assert halves == []
    assert (site.root / ".runtime" / FILE).exists()  # the next run goes on from what was answered
    assert run(site.root, "flows.platform.doctor").returncode == 0
