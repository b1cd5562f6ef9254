"""Print how large the suite is: ``python manual/size.py``; the figures of CONTRIBUTING.md, Size."""

import ast
import statistics
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))
files = {path: path.read_text() for path in (ROOT / "src").rglob("*.py")}
lines = {path: text.count("\n") for path, text in files.items()}
walked = [node for text in files.values() for node in ast.walk(ast.parse(text))]
functions = [node for node in walked if isinstance(node, ast.FunctionDef)]
imports = [each for node in functions for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom)]
passed: set[str] = set()


def note(frame: FrameType, event: str, argument: Any) -> None:
    """Note the file of a function of the suite that is called."""
    if frame.f_code.co_filename.startswith(str(ROOT / "src")) and frame.f_code.co_name != "<module>":
        passed.add(frame.f_code.co_filename)


print(f"src: {sum(lines.values()):,} lines in {len(files)} files, median {statistics.median(lines.values()):.0f}")
print(f"tests: {sum(path.read_text().count(chr(10)) for path in (ROOT / 'tests').rglob('*.py')):,} lines")
print(f"raise: {sum(isinstance(node, ast.Raise) for node in walked)}; imports in functions: {len(imports)}")

import twosome  # noqa: E402
from twosome.training.module import LearningModule  # noqa: E402

step = LearningModule.training_step
LearningModule.training_step = lambda *given: (sys.setprofile(note), step(*given), sys.setprofile(None))[1]  # type: ignore
small = (
    "model=tiny_random total_steps=8 algorithm.num_envs=2 algorithm.num_steps=4 algorithm.num_minibatches=1 evaluation.episodes=0"
)
twosome.run(*small.split(), "algorithm.value_num_minibatches=1", "retention.drift=false", folder=tempfile.mkdtemp())
print(f"files that an update of PPO passes, from env.step to the optimizers: {len(passed)}")
print("\n".join(sorted(str(Path(path).relative_to(ROOT)) for path in passed)))
