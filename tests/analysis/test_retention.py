"""Benchmarks and drift in tables and figures: pooling over seeds, what is refused, what decides the claim."""

import numpy as np
import pandas as pd
import pytest
from analysis_tools import BENCHMARKS, CLAIMS, MEASURES, add_retention, drawn, made, make_run, refused

from twosome.report import claims
from twosome.report.claims import CONTRADICTED, OPEN, SUPPORTED
from twosome.report.measures import change, item_changes
from twosome.report.runs import read_folder
from twosome.report.statistics import Z95, Estimator


def study(folder, *outcomes, method="twosome-word", probes=0):
    """A run per string of outcomes, the same on each benchmark."""
    for seed, own in enumerate(outcomes):
        run = make_run(folder / f"{method}-{seed}", method, seed)
        add_retention(run, dict.fromkeys(BENCHMARKS, own), 0.1 * (seed + 1), probes)
    return folder


def rows(folder, name="retention"):
    return pd.read_csv(made("retention", folder, "--out", folder / "out")[f"{name}.csv"])


def test_seeds_are_averaged_item_by_item(tmp_path):
    found = rows(study(tmp_path, "rrrr----ll", "rrrr--gglr", "rrrrg---rr")).set_index("benchmark").loc["mmlu"]
    assert (found["items"], found.seeds) == (10, 3)
    assert found.before == pytest.approx(0.6)
    assert found.after == pytest.approx(np.mean([0.4, 0.7, 0.7]))
    assert found.change == pytest.approx(np.mean([-0.2, 0.1, 0.1]), abs=1e-6)
    assert found.by_seed == "-0.2 0.1 0.1"
    items = np.array([0, 0, 0, 0, 1, 0, 1, 1, -2, -1]) / 3
    expected = Estimator().bootstrap(lambda strata: strata[0].mean(axis=-1), [items])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert found.no_loss_above == pytest.approx(0.05)
    assert item_changes("-lgr").tolist() == [0, -1, 1, 0]


def test_tables_show_the_paper_poad_and_what_can_be_said(tmp_path):
    rows(study(tmp_path, "rrrr----rr", "rrrr----rr"))
    text = (tmp_path / "out" / "retention.md").read_text()
    (line,) = (line for line in text.splitlines() if "| HellaSwag |" in line)
    assert line.endswith("| no loss detected larger than 0.050 | no significant loss [P] | 0.57 to 0.59 [P] |")
    assert "| 0.600 | 0.600 | 0.000 [0.000, 0.000] | +0.000 +0.000 | 0.50 0.50 |" in line
    assert "drift probe's questions" in text
    drift = (tmp_path / "out" / "drift.md").read_text()
    assert "| 2 | 20.00 | 1.150 | 1.100 1.200 | 0.150 | 0.100 0.200 | 0.900 |" in drift


def test_figures_show_the_tables_numbers(tmp_path, monkeypatch):
    """seaborn draws estimates and intervals as they are given, whatever their order."""
    study(tmp_path, "rrl-g-rrlr", "rrl-g-rrlg", "rrl-ggrrlr", probes=4)
    figures = drawn(monkeypatch, "retention", tmp_path, "--out", tmp_path / "out")
    accuracies, probes = (pd.read_csv(tmp_path / "out" / f"{name}.csv") for name in ("retention", "forgetting"))
    kl, *_ = figures["forgetting"].axes
    assert kl.get_lines()[0].get_ydata().tolist() == pytest.approx(probes.kl.tolist())
    ends = kl.collections[0].get_paths()[0].get_extents()
    assert (ends.y0, ends.y1) == pytest.approx((probes.kl_low.min(), probes.kl_high.max()))
    (axes,) = figures["retention"].axes
    shown = accuracies[accuracies.metric == "acc"]
    bars = [line.get_xdata() for line in axes.get_lines() if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2]
    lengths = sorted((min(bar), max(bar)) for bar in bars if not np.isnan(bar).any())
    expected = sorted(zip(shown.before + shown.low, shown.before + shown.high, strict=True))
    assert np.array(lengths) == pytest.approx(np.array(expected), abs=1e-5)


def test_forgetting_is_a_mean_over_the_runs_that_were_probed(tmp_path):
    study(tmp_path, "r", "r", "r", probes=4)
    study(tmp_path, "r", method="twosome-none")
    found = rows(tmp_path, "forgetting")
    assert set(found.method) == {"twosome-word"}
    assert found.env_steps.tolist() == [1024, 2048, 3072, 4096]
    assert found.kl.tolist() == pytest.approx([0.05, 0.1, 0.15, 0.2])  # of 0.1, 0.2, 0.3 at the end
    assert (found.kl_low.iloc[-1], found.kl_high.iloc[-1]) == pytest.approx((0.1, 0.3))
    assert found["return"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_different_items_are_not_pooled(tmp_path, capsys):
    study(tmp_path / "0", "rl-")
    add_retention(make_run(tmp_path / "1", seed=1), dict.fromkeys(BENCHMARKS, "rl"))
    said = refused(capsys, "retention", tmp_path, "--out", tmp_path / "out")
    assert "arc_challenge, acc: expected the same items in all runs" in said


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["r" * 150 + "-" * 150] * 3, SUPPORTED),
        (["r" * 150 + "-" * 150] * 2, OPEN),  # two seeds
        (["r" * 6 + "-" * 6] * 3, OPEN),  # nothing changed, but 12 items exclude little
        (["r" * 120 + "l" * 30 + "-" * 150] * 3, CONTRADICTED),
        (["r" * 147 + "l" * 6 + "-" * 147] * 3, OPEN),  # a loss of 0.02: about the threshold
    ],
)
def test_claim_of_no_loss(tmp_path, outcomes, expected):
    runs = [read_folder(study(tmp_path, *outcomes) / f"twosome-word-{n}") for n in range(len(outcomes))]
    (claim,) = (claim for claim in CLAIMS if claim.claim == "7")
    judged = [claims.judge(check, {"twosome-word": runs}, 4096, Estimator(samples=200), MEASURES) for check in claim.checks]
    assert judged[0].verdict == expected
    assert judged[0].estimate.low < judged[0].estimate.center < judged[0].estimate.high
    assert claims.overall([each.verdict for each in judged]) == expected


def test_change_weighs_benchmarks_equally_and_is_nan_where_one_is_missing(tmp_path):
    run = read_folder(add_retention(make_run(tmp_path), {"arc_challenge": "l" + "r" * 9, "piqa": "r" * 30}))
    center, low, high = change(run, 4096, ["arc_challenge", "piqa"])
    assert center == pytest.approx(-0.05)
    assert low <= -0.05 - Z95**2 / (40 + Z95**2)
    assert high >= -0.05 + Z95**2 / (40 + Z95**2)
    assert np.isnan(change(run, 4096, BENCHMARKS)).all()
