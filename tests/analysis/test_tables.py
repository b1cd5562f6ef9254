"""A table in all its formats."""

import pandas as pd

from twosome.report.output import tables
from twosome.report.output.folder import Folder


def test_one_table_in_all_formats(tmp_path):
    """A bar in a cell is no end of it; the report's HTML is that of the table, not of a file."""
    table = tables.Table("T", ["x|y", "n"], [["a | b", "1"]], ["A | note."], left=1, data=pd.DataFrame({"n": [1.23456789]}))
    out = Folder(tmp_path)
    out.table("t", table)
    assert (tmp_path / "t.md").read_text() == "## T\n\n| x\\|y | n |\n|:--|--:|\n| a \\| b | 1 |\n\n- A | note.\n"
    assert (tmp_path / "t.csv").read_text() == "n\n1.23457\n"
    assert "a | b & 1" in (tmp_path / "t.tex").read_text()
    assert '<td class="words" data-column="x|y">a | b</td>' in tables.to_html(out.tables["t"])
    assert [path.name for path in out.paths] == ["t.md", "t.csv", "t.tex"]


def test_latex_is_escaped():
    table = tables.Table("T", ["a_b", "50 %"], [["> 3 & more", "±1"]], left=1)
    assert r"a\_b & 50 \% \\" in tables.to_latex(table)
    assert r"$>$ 3 \& more & $\pm$1 \\" in tables.to_latex(table)
