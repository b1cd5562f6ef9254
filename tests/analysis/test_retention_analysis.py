"""Benchmarks and drift in tables and figures: pooling over seeds, what is refused, what decides the claim."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from analysis_tools import BENCHMARKS, CLAIMS, MEASURES, add_retention, make_run
from hypothesis import given
from hypothesis import strategies as st

import retention
from twosome.errors import UserError
from twosome.report.data import collection, published
from twosome.report.data.run_folder import read_folder
from twosome.report.output.folder import Folder
from twosome.report.statistics import claims as judging
from twosome.report.statistics import measures
from twosome.report.statistics import retention as pooling
from twosome.report.statistics.claims import CONTRADICTED, OPEN, SUPPORTED
from twosome.report.statistics.estimates import Z95, Bootstrap


def study(folder, *outcomes, method="twosome-word", probes=0, benchmarks=BENCHMARKS):
    """A run per string of outcomes, the same on each benchmark."""
    for seed, own in enumerate(outcomes):
        add_retention(
            make_run(folder / f"{method}-{seed}", method, seed), dict.fromkeys(benchmarks, own), 0.1 * (seed + 1), probes
        )
    return folder


def rows(folder, name="retention", *words):
    made = retention.make(retention.parser().parse_args([str(folder), "--out", str(folder / "out"), *words]))
    return pd.read_csv(next(path for path in made if path.name == f"{name}.csv"))


def test_seeds_are_averaged_item_by_item(tmp_path):
    found = rows(study(tmp_path, "rrrr----ll", "rrrr--gglr", "rrrrg---rr")).set_index("benchmark").loc["mmlu"]
    assert (found["items"], found.seeds) == (10, 3)
    assert found.before == pytest.approx(0.6)
    assert found.after == pytest.approx(np.mean([0.4, 0.7, 0.7]))
    assert found.change == pytest.approx(np.mean([-0.2, 0.1, 0.1]), abs=1e-6)
    assert found.by_seed == "-0.2 0.1 0.1"
    items = np.array([0, 0, 0, 0, 1, 0, 1, 1, -2, -1]) / 3
    expected = Bootstrap().estimate(lambda strata: strata[0].mean(axis=-1), [items])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert found.no_loss_above == pytest.approx(0.05)


def test_the_same_seed_thrice_is_no_surer_than_once(tmp_path):
    once, thrice = rows(study(tmp_path / "1", "rrl-g-rrlr")), rows(study(tmp_path / "3", *["rrl-g-rrlr"] * 3))
    columns = ["change", "low", "high", "no_loss_above"]
    pd.testing.assert_frame_equal(once[columns], thrice[columns])


@given(st.text("-lgr", min_size=1, max_size=50))
def test_changes_add_up(outcomes):
    assert pooling.changes(outcomes).sum() == outcomes.count("g") - outcomes.count("l")


def test_tables_show_the_paper_poad_and_what_can_be_said(tmp_path):
    rows(study(tmp_path, "rrrr----rr", "rrrr----rr"))
    text = (tmp_path / "out" / "retention.md").read_text()
    (line,) = (line for line in text.splitlines() if "| HellaSwag |" in line)
    assert line.endswith("| no loss detected larger than 0.050 | no significant loss [P] | 0.57 to 0.59 [P] |")
    assert "| 0.600 | 0.600 | 0.000 [0.000, 0.000] | +0.000 +0.000 | 0.50 0.50 |" in line
    assert "drift probe's questions" in text
    drift = (tmp_path / "out" / "drift.md").read_text()
    assert "| 2 | 20.00 | 1.150 | 1.100 1.200 | 0.150 | 0.100 0.200 | 0.900 |" in drift


def test_a_significant_loss_is_called_one(tmp_path):
    study(tmp_path, "rrrrllllll")
    file = tmp_path / "twosome-word-0" / "retention.json"
    content = json.loads(file.read_text())
    content["benchmarks"]["piqa"]["metrics"]["acc"]["p_value"] = 0.03
    file.write_text(json.dumps(content))
    rows(tmp_path)
    text = (tmp_path / "out" / "retention.md").read_text()
    assert text.count("accuracy lost, in 1 of 1 runs") == 1


def test_figures_show_the_tables_numbers(tmp_path, monkeypatch):
    """seaborn draws estimates and intervals as they are given, whatever their order."""
    figures = {}
    monkeypatch.setattr(Folder, "figure", lambda out, name, figure: figures.setdefault(name, figure))
    study(tmp_path, "rrl-g-rrlr", "rrl-g-rrlg", "rrl-ggrrlr", probes=4)
    accuracies, probes = rows(tmp_path), rows(tmp_path, "forgetting")
    kl, *_ = figures["forgetting"].axes
    assert kl.get_lines()[0].get_ydata().tolist() == pytest.approx(probes.kl.tolist())
    ends = kl.collections[0].get_paths()[0].get_extents()
    assert (ends.y0, ends.y1) == pytest.approx((probes.kl_low.min(), probes.kl_high.max()))
    (axes,) = figures["retention"].axes
    shown = accuracies[accuracies.metric == "acc"]
    bars = [line.get_xdata() for line in axes.get_lines() if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2]
    drawn = sorted((min(bar), max(bar)) for bar in bars if not np.isnan(bar).any())
    expected = sorted(zip(shown.before + shown.low, shown.before + shown.high, strict=True))
    assert np.array(drawn) == pytest.approx(np.array(expected), abs=1e-5)


def test_forgetting_is_a_mean_over_the_runs_that_were_probed(tmp_path):
    study(tmp_path, "r", "r", "r", probes=4)
    study(tmp_path, "r", method="twosome-none")
    found = rows(tmp_path, "forgetting")
    assert set(found.method) == {"twosome-word"}
    assert found.env_steps.tolist() == [1024, 2048, 3072, 4096]
    assert found.kl.tolist() == pytest.approx([0.05, 0.1, 0.15, 0.2])  # of 0.1, 0.2, 0.3 at the end
    assert (found.kl_low.iloc[-1], found.kl_high.iloc[-1]) == pytest.approx((0.1, 0.3))
    assert found["return"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_without_probes_there_is_no_curve_and_without_answers_nothing(tmp_path, capsys):
    study(tmp_path / "asked", "rl")
    assert retention.main([str(tmp_path / "asked"), "--out", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out" / "forgetting.png").exists()
    assert "no run was probed during training" in capsys.readouterr().err
    make_run(tmp_path / "silent")
    assert retention.main([str(tmp_path / "silent"), "--out", str(tmp_path / "out")]) == 2
    assert "suite=drift, which needs no data" in capsys.readouterr().err


def test_different_items_are_not_pooled(tmp_path):
    study(tmp_path / "0", "rl-")
    add_retention(make_run(tmp_path / "1", seed=1), dict.fromkeys(BENCHMARKS, "rl"))
    with pytest.raises(UserError, match="arc_challenge, acc: expected the same items in all runs"):
        rows(tmp_path)


def test_old_or_broken_retention_json_is_one_line(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "retention.json").write_text('{"drift": {"kl": 1}}')
    with pytest.raises(
        UserError, match=r"retention.json: drift.kl_interval: expected a list, found None; evaluate the run again"
    ):
        read_folder(folder)


def test_published_before_there_was_retention_is_still_read(tmp_path):
    make_run(tmp_path / "run")
    published.write(collection.read([tmp_path / "run"]), tmp_path / "published")
    assert not (tmp_path / "published" / "accuracies.csv").exists()
    (run,) = collection.read([tmp_path / "published"])
    assert run.retained.accuracies.empty


def test_of_two_copies_the_one_that_was_asked_more_counts(tmp_path):
    one = make_run(tmp_path / "one")
    add_retention(one, {})
    other = shutil.copytree(one, tmp_path / "two")
    add_retention(other, dict.fromkeys(BENCHMARKS, "rl"))
    (run,) = collection.read([one, other])
    assert len(run.retained.accuracies) == 2 + len(BENCHMARKS)
    add_retention(one, dict.fromkeys(BENCHMARKS, "gg"))
    with pytest.raises(UserError, match="with different results"):
        collection.read([one, other])


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
    made = [read_folder(study(tmp_path, *outcomes) / f"twosome-word-{n}") for n in range(len(outcomes))]
    (claim,) = (claim for claim in CLAIMS if claim.claim == "7")
    judged = [judging.judge(check, {"twosome-word": made}, 4096, Bootstrap(200), MEASURES) for check in claim.checks]
    assert judged[0].verdict == expected
    assert judged[0].estimate.low < judged[0].estimate.center < judged[0].estimate.high
    assert judging.overall([each.verdict for each in judged]) == expected


def test_change_weighs_benchmarks_equally_and_is_nan_where_one_is_missing(tmp_path):
    folder = make_run(tmp_path)
    add_retention(folder, {"arc_challenge": "l" + "r" * 9, "piqa": "r" * 30})
    run = read_folder(folder)
    center, low, high = measures.change(run, 4096, ["arc_challenge", "piqa"])
    assert center == pytest.approx(-0.05)
    assert low <= -0.05 - Z95**2 / (40 + Z95**2)
    assert high >= -0.05 + Z95**2 / (40 + Z95**2)
    assert np.isnan(measures.change(run, 4096, BENCHMARKS)).all()
