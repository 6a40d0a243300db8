"""The documentation site is built without a warning, asks no other host, and has no dead link."""

from __future__ import annotations

import html.parser
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

import regbench

pytest.importorskip("furo", reason="the extra `docs` is not installed")
ROOT = Path(__file__).parents[1]


class Page(html.parser.HTMLParser):
    """What a page refers to: its links, what a browser fetches by itself, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element refers to."""
        given = {name: value or "" for name, value in attrs}
        self.anchors.add(given.get("id", ""))
        if "href" in given:
            is_fetched = tag == "link" and given.get("rel") in {"stylesheet", "icon", "preload"}
            (self.fetched if is_fetched else self.links).add(given["href"])
        if "src" in given:
            self.fetched.add(given["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built anew."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", str(folder / "trees"), str(ROOT / "docs"), str(folder / "html")],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder / "html"


def test_no_page_asks_another_host(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 15
    for path, page in pages.items():
        for name in page.fetched:
            assert not urllib.parse.urlsplit(name).netloc, (path, name)
    for path in [*site.rglob("*.css"), *site.rglob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert "url(http" not in text, path
        assert "url(//" not in text, path
        assert "@import" not in text, path
        assert 'fetch("http' not in text, path


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            name = urllib.parse.unquote(parts.path)
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), (path, link)
            anchor = urllib.parse.unquote(parts.fragment)
            if anchor and target in pages:
                assert anchor in pages[target].anchors, (path, link)


def test_search_knows_the_words_of_the_reference(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    for word in ("reference/commands", "wdecay", "pairing_gain", "regbench_log_everi"):
        assert word in index, word


def test_workflows_are_yaml_whose_scripts_are_there() -> None:
    import yaml  # comes with MyST

    workflows = {
        path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
    }
    assert workflows.keys() == {"tests.yml", "docs.yml", "gate.yml"}
    jobs = [job for workflow in workflows.values() for job in workflow["jobs"].values()]
    runs = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    scripts = [word for run in runs for word in run.split() if word.endswith((".sh", ".py"))]
    assert "examples/gate.sh" in scripts
    assert all((ROOT / script).is_file() for script in [*scripts, ".ci/lowest"])
    assert workflows["tests.yml"]["jobs"]["tests"]["strategy"]["matrix"]["python"] == [
        *("3.11", "3.12", "3.13")
    ]


def test_citation_is_yaml_with_what_it_must_have() -> None:
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "repository-code"} <= citation.keys()
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"^## (\S+) \((\S+)\)$", changes, re.MULTILINE)[0]
    assert newest == (citation["version"], citation["date-released"])
    assert newest[0] == regbench.__version__
