"""`report.html` in a real browser, and what a result shows in a notebook."""

from __future__ import annotations

import html as entities
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import browsing
from commands import TINY
from training import make_request, make_result

import regbench as rb
from regbench.errors import in_python
from regbench.report import html, training, verdicts
from regbench.report.figures import draw
from regbench.storage.run_folder import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browser import Page
    from commands import Command

    from regbench.analysis.result import Result

HOSTILE = "<img src=x onerror=document.title='hurt'>"
"""A folder's name that would be seen to act if it were not a text."""
MOST_BYTES = 3_000_000
SEVEN = tuple(0.0003 * 3**index for index in range(7))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = rb.Study(
        arms=[rb.WeightDecay(0.1), rb.Dropout(0.5)],
        task=rb.Task(points=6),
        network=rb.Network(hidden=8, depth=1),
        training=rb.Training(epochs=40, log_every=20),
        replicates=4,
    )
    folder = tmp_path_factory.mktemp("runs") / HOSTILE
    rb.run(study, machine=rb.Machine(engine="batched"), folder=folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def result(file: Path) -> Result:
    loaded: Result = rb.load(file.parent)
    return loaded


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Page, file: Path) -> Page:
    browser.media()
    browser.open(file)
    return browser


def all_of(page: Page, selector: str, value: str) -> Any:
    """Return a value of each element that a selector finds."""
    return page.ask(f"[...document.querySelectorAll({selector!r})].map(e => {value})")


def heights(path: str) -> np.ndarray:
    """Return the ordinates of each line of a path of unit steps, `(lines, points)`."""
    rows = [np.array(line.replace("l", " ").split(), float) for line in path.split("M")[1:]]
    return np.array([np.cumsum([row[1], *row[3::2]]) for row in rows])


def test_slider_moves_fits_and_weights_to_the_epoch(page: Page, result: Result) -> None:
    history, study = result.history, result.study
    (truth,) = heights(all_of(page, ".truth", "e.getAttribute('d')")[0])
    columns = np.linspace(0, len(history.grid_x) - 1, len(truth)).round().astype(int)
    slope, shift = np.polyfit(truth, history.grid_truth[columns], 1)
    assert slope < 0  # up is more
    below = all_of(page, "text.tick[y='186']", "e.textContent")
    assert below[:3] == ["−1", "0", "1"]  # the axis of x, not of y
    page.ask("document.getElementById('epoch').focus()")
    kept, seen = history.kept_epochs.tolist(), set()
    for back, key in enumerate(["End", *["ArrowLeft"] * (len(kept) - 1)]):
        page.press(key)
        kept_index = len(kept) - 1 - back
        assert page.ask("document.getElementById('shown').textContent") == str(kept[kept_index])
        for arm_index, path in enumerate(all_of(page, ".thin", "e.getAttribute('d')")):
            drawn = slope * heights(path) + shift
            fits = history.predictions[kept_index, arm_index][:, columns]
            np.testing.assert_allclose(drawn, fits, atol=abs(slope) + 1e-6)  # rounded to a unit
        texts = all_of(page, "text.moves.tick", "e.textContent")
        epoch, layers = history.at(kept[kept_index]), study.network.layer_names
        means = [history.arrays[f"measures/rms_{n}"][epoch].mean(axis=1) for n in layers]
        rms = [f"{mean[a]:.3f}" for a in range(3) for mean in means]
        assert [text.split()[-1] for text in texts] == rms
        bars = all_of(page, ".bars", "e.getAttribute('d')")
        seen.add(tuple(bars))
    assert len(seen) >= len(kept) - 1  # the first step moves hardly a weight into another bin
    assert bars == all_of(page, ".outline", "e.getAttribute('d')")  # none is trained at epoch 0


def test_mark_of_the_slider_is_where_the_course_has_the_epoch(page: Page, result: Result) -> None:
    figure = result.figures.course()
    panel = figure.axes[1]
    line = max(panel.lines, key=lambda line: len(line.get_xdata()))
    by_epoch = dict(zip(result.history.epochs[1:].tolist(), line.get_xdata(), strict=True))
    page.ask("document.getElementById('epoch').focus()")
    for key, epoch in (("End", 40), ("ArrowLeft", 18)):
        page.press(key)
        assert page.ask("document.getElementById('shown').textContent") == str(epoch)
        (path,) = all_of(page, ".mark", "e.getAttribute('d')")
        pixels = panel.transData.transform((by_epoch[epoch], 0))[0]
        assert float(path[1:].split()[0]) == pytest.approx(pixels / figure.dpi * 72, abs=0.1)


def test_page_begins_with_its_pictures_and_folds_its_tables(page: Page) -> None:
    names = all_of(page, ".scroll:has(> .picture)", "e.ariaLabel")
    assert names == ["claims", "pairs", "course"]
    tops = all_of(page, ".scroll:has(> .picture), #h-moving", "e.getBoundingClientRect().top")
    assert tops == sorted(tops)
    assert tops[0] < 800
    assert page.ask("document.documentElement.scrollHeight") < 3600
    assert not any(all_of(page, "details", "e.open"))
    assert all_of(page, "table", "e.closest('details') !== null") == [True] * 3


def test_tables_sort_by_key_and_say_so(page: Page) -> None:
    page.ask("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    head = "document.querySelector('table.sorts thead th:nth-child(4)')"
    page.ask(f"{head}.firstChild.focus()")
    for word in ("ascending", "descending"):
        page.press("Enter")
        assert page.ask(f"{head}.ariaSort") == word
        assert page.ask("document.getElementById('said').textContent").endswith(word)
        shown = page.ask(
            "[...document.querySelector('table.sorts').tBodies[0].rows]"
            ".map(row => row.cells[3].textContent)"
        )
        values = [float(text.replace("−", "-")) for text in shown]
        assert len(set(values)) > 4
        assert values == sorted(values, reverse=word == "descending")


def test_page_is_light_dark_and_printed(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    slider = "getComputedStyle(document.querySelector('.slider')).display"
    drawing = "getComputedStyle(document.querySelector('.picture')).filter"
    assert page.ask(f"[{ground}, {slider}, {drawing}]") == ["rgb(255, 255, 255)", "flex", "none"]
    page.media(scheme="dark")
    assert page.ask(ground) == "rgb(20, 20, 20)"
    assert page.ask(drawing).startswith("invert(0.92)")
    fits = "document.querySelector('.thin').getAttribute('d')"
    last = page.ask(fits)
    page.ask("document.getElementById('epoch').focus()")
    page.press("Home")
    assert page.ask(fits) != last
    page.media("print", "dark")
    page.ask("dispatchEvent(new Event('beforeprint'))")
    assert page.ask(f"[{ground}, {slider}, {drawing}]") == ["rgb(255, 255, 255)", "none", "none"]
    assert page.ask(fits) == last  # paper has the last epoch


def test_tab_reaches_every_control(page: Page) -> None:
    page.ask("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    controls = "summary, a[href], button:not([hidden]), input, [tabindex]"
    places = f"[...document.querySelectorAll('{controls}')].indexOf(document.activeElement)"
    expected = list(range(page.ask(f"document.querySelectorAll('{controls}').length")))
    assert len(expected) > 20
    reached = []
    for _ in expected:
        page.press("Tab")
        reached.append(page.ask(places))
    assert reached == expected


def test_page_says_what_its_drawings_show(page: Page) -> None:
    drawings = page.ask(
        "[...document.querySelectorAll('svg[role=img]')].map(svg => svg.getAttribute("
        "'aria-labelledby').split(' ').map(id => document.getElementById(id).textContent))"
    )
    assert len(drawings) > 5
    assert all(title and what for title, what in drawings)
    ids = all_of(page, "[id]", "e.id")
    assert len(ids) == len(set(ids))
    assert page.ask("document.querySelectorAll('table caption').length") > 2


def test_nothing_leaves_the_page_and_no_text_acts(page: Page, file: Path) -> None:
    assert [e["request"]["url"] for e in page.heard("Network.requestWillBeSent")] == [
        file.resolve().as_uri()
    ]
    wrong = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert page.heard(*wrong) == []
    assert HOSTILE in page.ask("document.body.textContent")
    assert page.ask("document.title") != "hurt"
    refused = page.ask(
        "new Promise(done => { addEventListener('securitypolicyviolation', "
        "e => done(e.effectiveDirective)); const image = new Image(); image.src = 'other.png'; "
        "image.onerror = () => setTimeout(done, 500, 'nothing'); })"
    )
    assert refused == "img-src"


def test_each_dot_says_its_seed_and_difference(page: Page, result: Result) -> None:
    said = all_of(page, "svg:has(> #t-pairs) g > title", "e.textContent")
    risk = result.history.risk[-1].astype(float)
    expected = [
        f"seed {1 + index}: {gap:+.3f}".replace("-", "−")
        for arm in risk[1:]
        for index, gap in enumerate(arm - risk[0])
    ]
    assert sorted(said) == sorted(expected)
    assert not all_of(page, "svg a", "e.outerHTML")


def test_narrow_page_has_each_title_once_and_letters_that_can_be_read(page: Page) -> None:
    page.size(420)
    assert page.ask("document.documentElement.scrollWidth") <= 420
    titles = all_of(page, ".scroll:has(> .picture)", "e.parentElement.ariaLabel")
    shown = page.ask("document.body.innerText")
    assert len(titles) == 3
    for title in titles:
        assert shown.count(title) == 1
        assert all_of(page, "h1, h2", "e.textContent").count(title) == 1
    ends = "[e.getBoundingClientRect().left, e.getBoundingClientRect().right]"
    assert all(0 <= a < b <= 420 for a, b in all_of(page, "h1, h2, section > .note", ends))
    first = "document.querySelector('.scroll:has(> .picture)')"
    outside = f"[...{first}.querySelectorAll('text')].filter(t => t.getBoundingClientRect().top"
    assert page.ask(f"{outside} < {first}.getBoundingClientRect().top).length") == 0
    size = "parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a"
    assert min(all_of(page, "svg text", size)) >= 11


@pytest.mark.parametrize(("strengths", "most"), [((0.01,), 3300), (SEVEN, 3600)])
def test_page_is_not_longer_than_a_reader_scrolls(
    browser: Page, tmp_path: Path, strengths: tuple[float, ...], most: int
) -> None:
    result = make_result("wdecay", strengths, replicates=12, depth=3, epochs=40)
    run = Run(tmp_path, make_request("wdecay", strengths), {"provenances": []})
    view = training.view(run, result, is_complete=True)
    pictures = [draw(n, result, {"html"}) for n in view.pictures if n not in view.moved]
    (tmp_path / "report.html").write_text(html.page(view, pictures), encoding="utf-8")
    browser.media()
    browser.open(tmp_path / "report.html")
    assert browser.ask("document.documentElement.scrollHeight") <= most
    widths = all_of(browser, "figure", "e.getBoundingClientRect().width")
    assert sum(widths[:4]) > 850  # of 1040
    seen = all_of(browser, ".scroll:has(> .picture)", "[e.ariaLabel, e.checkVisibility()]")
    assert dict(seen)["claims"] is (len(strengths) == 1), "a table of arms has what it says"


def test_page_is_whole_without_scripts(page: Page, file: Path) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(file)
        assert page.ask("document.querySelector('.slider').hidden")
        assert page.ask("document.querySelector('.still').offsetHeight") > 0
        assert all(all_of(page, ".moves", "e.textContent || e.getAttribute('d')"))
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)


def test_page_has_the_command_and_the_file_that_repeat_the_run(regbench: Command) -> None:
    given = ["--lambda=0.1,0.2", "--slope=-2", "--no-tensorboard", "--require=better", *TINY]
    assert regbench("wdecay", *given, "--out=run").code in (3, 4)
    texts = re.findall(r"<pre[^>]*>(.*?)</pre>", Path("run/report.html").read_text(), re.S)
    command, configuration = map(entities.unescape, texts)
    assert configuration == Path("run/config.toml").read_text()
    regbench(*shlex.split(command)[1:], "--out=again")
    assert Path("again/config.toml").read_text() == configuration


def test_without_pictures_the_page_has_tables_and_matplotlib_is_not_imported(
    tmp_path: Path,
) -> None:
    program = (
        "import sys\n"
        "from regbench.cli import main\n"
        "try:\n"
        f"    main(['wdecay', *{TINY}, '--no-plots', '--out=run'])\n"
        "except SystemExit as stopped:\n"
        "    assert stopped.code == 0\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    text = (tmp_path / "run" / "report.html").read_text()
    assert text.count("<table") == 3
    assert "<svg" not in text


def test_page_says_the_cause_first_where_nothing_can_be_compared(regbench: Command) -> None:
    given = ["--lr=10", "--epochs=100", "--log-every=50", "--hidden=20", "--replicates=2"]
    finished = regbench(
        "wdecay", "--lambda=0.1", "--points=6", *given, "--no-tensorboard", "--out=run"
    )
    assert finished.code == 1
    text = Path("run/report.html").read_text()
    (title,) = re.findall(r"<h1>(.*?)</h1>", text)
    assert title.startswith("baseline diverged in 2 of 2 replicates")
    assert "<svg" not in text
    assert not [*Path("run/figures").iterdir()]


def test_many_arms_and_replicates_stay_small_and_the_page_says_so() -> None:
    strengths = tuple(0.001 * 2**index for index in range(12))
    result = make_result("wdecay", strengths, replicates=60, hidden=5, epochs=100, log_every=10)
    run = Run(Path(), make_request("wdecay", strengths), {"provenances": []})
    view = training.view(run, result, is_complete=True)
    pictures = [draw(n, result, {"html"}) for n in view.pictures if n not in view.moved]
    text = html.page(view, pictures)
    assert len(text.encode()) < MOST_BYTES
    assert "50 of 60 replicates" in text
    assert "8 of 13 arms are shown" in text


def test_notebook_gives_hints_in_python() -> None:
    one, few = make_result(replicates=1), make_result(strengths=(0.1, 0.2), replicates=3)
    assert "use replicates=30." in one._repr_html_()
    text = few._repr_html_()
    assert "use replicates=6 or more." in text
    assert "confirm=3 measures it again" in text or "Best of" not in text
    assert not re.search("--[a-z]", text)


def test_notebook_shows_answers_as_escaped_html(result: Result) -> None:
    shown = result._repr_html_()
    for sentence in verdicts.sentences(result):
        assert entities.escape(in_python(sentence), quote=False) in shown.replace("&#39;", "'")
    assert shown.count("<table") == 3
    scale = rb.run(rb.DropoutScale(p=[0.5], units=40, trials=30))
    assert "binomial law" in scale._repr_html_()
    short = rb.Training(epochs=3, log_every=3)
    tiny = rb.Study(arms=rb.WeightDecay(0.5), network=rb.Network(hidden=5), training=short)
    over = rb.run(rb.Over(study=tiny, key="lr", values=[0.01, 0.02]))
    assert "λ=0.5" in over._repr_html_()
    view = training.view(Run(Path(), make_request(), {}), result, is_complete=True)
    view.sentences = ["<script>alert(1)</script>"]
    assert "<script" not in html.render("notebook.html", view=view)
