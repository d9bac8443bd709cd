"""What docs/operation.md says of DVC's own verbs is so, in a checkout and a fresh clone of it."""

import re
import subprocess
from pathlib import Path

import pytest

from tasks.settings import load_settings, save_settings
from tests.flows import conftest
from tests.flows.conftest import run

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operation.md"
SHIPPED = ("data.dvc", *conftest.SHIPPED)

pytestmark = pytest.mark.chain


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture(scope="module")
def checkout(make_checkout) -> Path:
    """A checkout in which a flow's first stage has run, with a remote that has what is shipped."""
    root = make_checkout({})
    assert run(root, "dvc", "repro", "intake").returncode == 0
    run(root, "dvc", "remote", "add", "-d", "store", str(root.parent / "store"))
    assert run(root, "dvc", "push", *SHIPPED).returncode == 0
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return root


@pytest.fixture(scope="module")
def clone(checkout) -> Path:
    root = checkout.parent / "clone"
    git(checkout, "clone", "-q", str(checkout), str(root))
    return root


def test_the_table_names_the_verbs_that_are_tried_here():
    section = DOCS.read_text().partition("## DVC's own verbs")[2].partition("## ")[0]
    named = set(re.findall(r"`dvc ([a-z]+(?: show| diff)?)", section))
    tried = Path(__file__).read_text()
    assert len(named) == 8
    assert [verb for verb in named if '"dvc", "' + verb.replace(" ", '", "') not in tried] == []


def test_a_pull_of_what_is_shipped_is_clean_and_one_of_all_is_not(clone):
    plain = run(clone, "dvc", "pull")
    assert plain.returncode == 1 and plain.stderr.count("WARNING: No file hash info found") > 20
    named = run(clone, "dvc", "pull", *SHIPPED)
    assert (named.returncode, named.stderr) == (0, "")
    assert "up to date" in run(clone, "dvc", "status", *SHIPPED[1:]).stdout


def test_the_status_of_a_chain_is_clean_where_the_plain_one_names_the_other_chain(checkout):
    own = run(checkout, "dvc", "status", "--with-deps", "intake")
    assert own.returncode == 0 and "up to date" in own.stdout
    plain = run(checkout, "dvc", "status").stdout
    assert "intake:" not in plain and {"shots:", "visual_rft:"} <= set(plain.split())


def test_diffs_have_a_line_for_each_number_that_differs(checkout):
    settings = load_settings(checkout / "params.yaml")
    settings.intake.limit = 20
    save_settings(settings, checkout / "params.yaml")
    assert run(checkout, "dvc", "repro", "-s", "intake").returncode == 0
    lines = run(checkout, "dvc", "params", "diff").stdout.splitlines()
    assert [line.split()[1:] for line in lines[1:]] == [["intake.limit", "0", "20"]]
    lines = run(checkout, "dvc", "metrics", "diff").stdout.splitlines()
    assert {line.split()[1] for line in lines[1:]} == {"kept", "read"}
    assert max(map(len, lines)) < 100


def test_tables_of_everything_are_too_wide_and_no_plot_is_declared(checkout):
    shown = (run(checkout, "dvc", "metrics", "show"), run(checkout, "dvc", "exp", "show", "--md"))
    assert all(max(map(len, said.stdout.splitlines())) > 1000 for said in shown)
    said = run(checkout, "dvc", "plots", "show")
    assert "No plots were loaded" in said.stdout + said.stderr
    assert not (checkout / "dvc_plots").exists()
