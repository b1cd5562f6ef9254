"""Large libraries are imported without the garbage collector, which is as before afterwards."""

import gc
import importlib
import sys

import pytest
from checkout import ROOT, run

from twosome import libraries

MODULES = {
    "large": "import gc\nimport large_too\nenabled = gc.isenabled()\nitself = []\nitself.append(itself)\n",
    "large_too": "import gc\n",
    "small": "import gc\nenabled = gc.isenabled()\n",
    "broken": "1 / 0\n",
}


@pytest.fixture(params=[True, False], ids=["enabled", "disabled"])
def enabled(request):
    """Whether the collector is enabled before."""
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    """The modules can be imported, all but the small one as large libraries."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [libraries.Importer(["large", "large_too", "broken"]), *sys.meta_path])
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


def test_the_collector_is_off_while_a_large_library_is_imported(enabled):
    large, small = importlib.import_module("large"), importlib.import_module("small")
    assert not large.enabled
    assert small.enabled == enabled
    assert gc.isenabled() == enabled


def test_the_collector_ignores_what_was_imported():
    gc.enable()
    itself = importlib.import_module("large").itself
    assert gc.is_tracked(itself)
    assert not any(itself is each for each in gc.get_objects())


def test_the_collector_is_as_before_after_an_error(enabled):
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("broken")
    assert gc.isenabled() == enabled


def test_a_library_that_there_is_not_is_not_found(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [libraries.Importer(["no_such_library"]), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_library")


def test_commands_install_it_once(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", before := [each for each in sys.meta_path if not isinstance(each, libraries.Importer)])
    libraries.install()
    libraries.install()
    assert [type(each) for each in sys.meta_path] == [libraries.Importer, *map(type, before[1:])]


SHOW = """
import runpy, sys

sys.path[0] = "src"
sys.argv = ["src/probe.py", "prompt=", "actions=[go]"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    from twosome.libraries import Importer

    print([type(finder) is Importer for finder in sys.meta_path][0])
"""


def test_a_command_uses_it(tmp_path):
    (tmp_path / "show.py").write_text(SHOW)
    (tmp_path / "src").symlink_to(ROOT / "src")
    (outcome,) = run(tmp_path, [["show.py"]])
    assert outcome.output.endswith("True\n"), outcome.output
