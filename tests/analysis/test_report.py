"""report.html: one file with all figures and tables, which says what is lacking."""

import base64
import html
import re
from html.parser import HTMLParser

import pytest
from analysis_tools import AGAINST, WRITES, made, make_run

from twosome.report.statistics import AXES


class Links(HTMLParser):
    """Collects what a page refers to, and which tags it has."""

    def __init__(self):
        super().__init__()
        self.sources, self.links, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "srcset", "data", "poster")]
        self.links += [value for name, value in attrs if name == "href"]


def test_report_is_one_file_with_working_links(study, results):
    page, text = Links(), (results / "report.html").read_text()
    page.feed(text)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert len(page.sources) == 10
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"url\(|@import|https?://", text)
    for link in page.links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in text
        else:
            assert (results / link).exists(), link
    assert page.tags.count("details") == len(list(study.glob("*/config.yaml")))
    assert "learning_rate: 0.001" in text
    assert "0123abc" in text
    assert text.count('class="verdict supported"') > 10


def test_report_says_what_cannot_be_made_and_shows_nothing_of_other_runs(study, tmp_path, capsys):
    """A first run, without a language model: no norm, never played elsewhere, never asked. What is in --out is of other runs."""
    made("generalization", study, "--out", tmp_path)
    made("curves", study, "--out", tmp_path)
    make_run(tmp_path / "runs" / "0", "ppo", steps=1024)
    capsys.readouterr()
    written = made("report", tmp_path / "runs", "--out", tmp_path)
    drawn = {name for names in AGAINST.values() for name in names if "norms" not in name}
    assert set(written) == drawn | WRITES["summary"] | WRITES["claims"] | {"report.html"}
    page, text = Links(), written["report.html"].read_text()
    page.feed(text)
    for source, axis in zip(page.sources, AXES.values(), strict=True):
        picture = written[f"curves_baselines{axis.suffix}.png"]
        assert base64.b64decode(source.partition(",")[2]) == picture.read_bytes()
    assert "generalization.csv" not in text
    lines = capsys.readouterr().err.splitlines()
    lacking = {"generalization": "suite=unseen", "retention": "suite=drift", "ablations": "experiment=ablations"}
    for line, (part, remedy) in zip(lines, lacking.items(), strict=True):
        assert line.startswith(f"warning: the report lacks {part}: ")
        assert remedy in line
        assert html.escape(line.partition(f"lacks {part}: ")[2]) in text


def test_report_links_the_page_that_shows_an_agent_at_work(tmp_path):
    run = make_run(tmp_path / "runs" / "0", steps=1024)
    (run / "watch").mkdir()
    for name in ("tomato_salad.html", "another.html"):
        (run / "watch" / name).touch()
    page = Links()
    page.feed(made("report", tmp_path / "runs", "--out", tmp_path / "out")["report.html"].read_text())
    assert [link for link in page.links if "watch" in link] == ["../runs/0/watch/tomato_salad.html"]


@pytest.mark.parametrize("task", ["<script>alert(1)</script>", "$\\frac$", "a|b", "{{ 7 * 7 }}", "`x`"])
def test_names_are_shown_as_they_are(tmp_path, task):
    make_run(tmp_path / "run", task=task, steps=1024)
    page, text = Links(), made("report", tmp_path / "run", "--out", tmp_path)["report.html"].read_text()
    page.feed(text)
    assert "script" not in page.tags
    assert html.escape(task.capitalize()) in text
