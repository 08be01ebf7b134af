"""The report in Chromium: it answers, fits a telephone, and asks for nothing."""

import html
import json
import re
import shutil
import subprocess

import pytest

from al_sklearn.experiments.report import write_report
from tests.experiments.test_report import made_up, results

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--virtual-time-budget=3000"),
)
# What somebody does with the first chart, and what the page says then.
VISIT = """
<script type="module">
const chart = document.querySelector(".chart"), area = chart.querySelector(".area");
const read = () => chart.querySelector(".read").textContent;
const key = (name) => area.dispatchEvent(new KeyboardEvent("keydown", {key: name}));
const box = area.getBoundingClientRect(), found = {};
found.hint = read();
area.dispatchEvent(new PointerEvent("pointermove",
  {clientX: box.right - 1, clientY: box.top + 1}));
found.pointed = read();
found.forward = chart.querySelectorAll(".line.on").length;
area.dispatchEvent(new PointerEvent("pointerleave"));
found.left = read();
area.focus();
found.focused = read();
key("ArrowLeft");
found.before = read();
key("ArrowDown");
found.other = read();
key("Home");
found.first = read();
chart.querySelectorAll(".names button")[1].click();
found.pinned = chart.querySelectorAll(".names .pinned").length;
found.requests = performance.getEntriesByType("resource").map((one) => one.name);
found.wider = document.documentElement.scrollWidth - window.innerWidth;
found.chart_at = chart.getBoundingClientRect().top;
found.hints = document.querySelectorAll(".scroll.wide").length;
found.paper = getComputedStyle(document.querySelector("main")).backgroundColor;
const out = document.createElement("pre");
out.id = "found";
out.textContent = JSON.stringify(found);
document.body.append(out);
</script>
</body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    table = results({"random_sampling": 0, "margin": 0.05, "entropy": 0.02})
    path = write_report(made_up(table), tmp_path_factory.mktemp("page") / "r.html")
    text = path.read_text(encoding="utf-8").replace("</body>", VISIT)
    path.write_text(text, encoding="utf-8")
    return path


def visit(page, profile, *flags):
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_a_visit(page, tmp_path, width, dark):
    size = f"--window-size={width},844"
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    seen = visit(page, tmp_path, size, scheme, "--dump-dom")
    found = json.loads(html.unescape(re.search(r'id="found">(.*?)</pre>', seen)[1]))
    assert re.match(r"margin: \d\d\.\d ± .* at 180 labels", found["pointed"])
    assert found["forward"] == 1 and found["left"] == found["hint"]
    assert found["focused"].startswith("margin: ") and "180" in found["focused"]
    assert found["before"].startswith("margin: ") and "160" in found["before"]
    assert found["other"].startswith("entropy: ") and "160" in found["other"]
    assert found["first"].startswith("entropy: ") and "20 labels" in found["first"]
    assert found["pinned"] == 1 and found["requests"] == []
    # The page itself never scrolls sideways; tables do, and say so.
    assert found["wider"] <= 0 and (found["hints"] > 0 or width == 1280)
    assert found["chart_at"] < 500
    assert found["paper"] == ("rgb(23, 25, 28)" if dark else "rgb(255, 255, 255)")


def test_it_prints_whole(page, tmp_path):
    pdf = tmp_path / "r.pdf"
    visit(page, tmp_path / "profile", f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    assert pdf.stat().st_size > 20_000
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("there is no pdftotext here to read what was printed")
    text = subprocess.run([reader, pdf, "-"], capture_output=True, text=True).stdout
    # What was closed on the screen, and the last column of a wide table.
    for word in ("configuration", "Strategy", "180", "p (Holm)", "Wilcoxon"):
        assert word in text
