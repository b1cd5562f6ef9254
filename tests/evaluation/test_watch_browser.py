"""The page of src/watch.py in headless Chromium (Debian's package chromium): keys move it, nothing is cut off, nothing is sent.

The page's own security policy allows scripts within it, so the checks are a script that is added to a copy.
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from evaluation_tools import composed

import twosome
from twosome.runs.watch import run as watch

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND")  # fmt: skip
CHECKS = """
<script>
const refused = [];
document.addEventListener("securitypolicyviolation", event => refused.push(event.blockedURI));
const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
const state = () => ({episode, place, prompt: at("prompt").textContent, said: at("live").textContent, hash: location.hash,
  actions: [...at("actions").children].map(each => each.textContent), value: at("slider").value});
const cut = () => [...document.querySelectorAll("body *")].filter(each => {
  const box = each.getBoundingClientRect();
  return box.width && !each.closest(".hidden") && (box.right > innerWidth + 0.5 || box.left < -0.5);
}).map(each => each.tagName + " " + each.className);
const result = {width: innerWidth, start: state(), cut: cut(), unnamed: []};
for (const key of ["ArrowRight", "ArrowDown", "End", "Home", "d", "ArrowUp", "ArrowLeft"]) {
  press(key);
  result[key] = state();
  result.cut.push(...cut());
}
at("slider").value = 1; at("slider").dispatchEvent(new Event("input"));
result.slider = state();
for (const each of document.querySelectorAll("button, input, select"))
  if (!(each.getAttribute("aria-label") || each.textContent.trim() || each.labels?.length)) result.unnamed.push(each.outerHTML);
result.colours = [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color];
setTimeout(() => {
  result.refused = refused;
  result.loaded = performance.getEntriesByType("resource").map(each => each.name).filter(name => !name.startsWith("data:"));
  const picture = at("picture");
  result.picture = [picture.naturalWidth, picture.alt];
  parent.postMessage(JSON.stringify(result), "*");
}, 300);
</script>
"""

FRAME = """<!doctype html><body><script>
addEventListener("message", event => {{
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = event.data;
  document.body.append(result);
}});
</script><iframe src="{}" style="width: {}px; height: 900px; border: 0"></iframe>"""
"""A window of Chromium has at least 500 pixels, a frame any number."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    small = ("model=tiny_random", "ppo.num_envs=4", "ppo.num_steps=8", "total_steps=64", "ppo.learning_rate=0.05",
             "evaluation.episodes=0", "evaluation.gif=false", "retention.drift=false")  # fmt: skip
    run = twosome.run(*small, folder=folder / "run").folder
    watch(composed("watch", f"run={run}", f"to={folder / 'watch.html'}", "episodes=2", "seed=1"))
    return folder / "watch.html"


def opened(page: Path, width: int, *flags: str) -> dict:
    """What the checks found in the page at a width."""
    checked = page.with_name(f"checked-{width}.html")
    checked.write_text(page.read_text().replace("</body>", f"{CHECKS}</body>"))
    frame = page.with_name(f"frame-{width}.html")
    frame.write_text(FRAME.format(checked.as_uri(), width))
    profile = page.with_name(f"profile-{width}-{len(flags)}")
    words = [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={profile}", "--window-size=1400,1000", "--dump-dom",
             "--virtual-time-budget=5000", frame.as_uri()]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    (found,) = re.findall(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    return json.loads(html.unescape(found))


@pytest.fixture(scope="module", params=[400, 1300])
def found(request, page) -> dict:
    return opened(page, request.param)


def test_keys_and_the_slider_move_it_and_every_decision_is_said(found):
    places = {key: (found[key]["episode"], found[key]["place"]) for key in found if isinstance(found[key], dict)}
    expected = {"start": (0, 0), "ArrowRight": (0, 1), "ArrowDown": (1, 0), "Home": (1, 0), "ArrowUp": (0, 0), "slider": (0, 1)}
    assert places | expected == places
    assert places["End"] > (1, 1)
    assert found["End"]["said"].startswith("End: ")
    assert (found["slider"]["value"], found["slider"]["hash"]) == ("1", "#1.2")
    for name in ("start", "ArrowRight", "Home"):
        state = found[name]
        assert state["prompt"].endswith(" …")
        assert state["prompt"].removesuffix(" …") in state["said"]
        assert sum("done now" in action for action in state["actions"]) == 1


def test_nothing_is_cut_off_unnamed_loaded_or_refused(found):
    assert (found["cut"], found["unnamed"], found["loaded"], found["refused"]) == ([], [], [], [])
    width, words = found["picture"]
    assert width > 100
    assert words.startswith("The situation before decision 2: ")


def test_it_follows_the_systems_light_or_dark(found, page):
    dark = opened(page, found["width"], "--blink-settings=preferredColorScheme=0")["colours"]
    assert found["colours"] == ["rgb(251, 248, 242)", "rgb(35, 43, 59)"]
    assert dark == ["rgb(22, 26, 34)", "rgb(233, 230, 223)"]
