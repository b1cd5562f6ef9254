"""Draw docs/concepts: a decision, the norms and a token tree, from the environment and the model that they are about.

python manual/figures.py
"""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if __package__ in (None, ""):
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "src")]

import twosome
from manual.svg import BLUE, GREEN, GREY, INK, ORANGE, PALE, Drawing
from twosome.files import write_atomic

if TYPE_CHECKING:
    from twosome.experiment.probe import Probe
    from twosome.language.scorer import Scorer

FOLDER = Path(__file__).parents[1] / "docs" / "concepts"
NORMS = ("none", "token", "word")


def scorers(model: str = "smollm2_135m") -> "dict[str, Scorer]":
    """Return a scorer of each norm, of the same language model."""
    from twosome import build
    from twosome.api import compose
    from twosome.language.gate import engine_of
    from twosome.language.loading import load_language_model

    found: dict[str, Any] = {}
    for norm in NORMS:
        config, _ = compose("probe", [f"norm={norm}", f"model={model}"])
        loaded = found[NORMS[0]].lm if found else load_language_model(build.model_config(config.model))
        found[norm] = engine_of(loaded, build.build(config.norm))
    return found


def decision(scorer: "Scorer") -> Drawing:
    """Draw the first decision of tomato salad: the kitchen, the prompt, the actions with their probabilities."""
    from twosome.experiment.probe import probe

    env = twosome.make_env("overcooked", render_mode="rgb_array", task="tomato_salad")
    _, info = env.reset(seed=0)
    picture: Any = env.render()
    png = io.BytesIO()
    Image.fromarray(picture).save(png, format="png", optimize=True)
    probes, _ = probe(scorer, info["prompt"], list(info["action_prompts"]))
    drawing = Drawing(
        760, 330, "A decision: the environment's situation and actions as text, and the model's probabilities of them"
    )
    _heads(drawing, 22, (20, "environment"), (200, "observation prompt"), (445, "action prompts"), (650, "policy"))
    drawing.picture(20, 40, 150, 150 * picture.shape[0] / picture.shape[1], png.getvalue())
    drawing.line([(176, 110), (194, 110)], arrow=True)
    drawing.paragraph(200, 55, info["prompt"], columns=31)
    for row, each in enumerate(probes):
        y = 40 + 32 * row
        drawing.box(445, y, 195, 26)
        drawing.text(453, y + 18, each.action)
        drawing.box(650, y + 4, max(1, 60 * each.prob), 18, fill=BLUE)
        drawing.text(656 + 60 * each.prob, y + 18, f"{each.prob:.2f}", 12, fill=GREY)
    drawing.line([(424, 110), (441, 110)], arrow=True)
    drawing.line([(545, 204), (545, 250), (95, 250), (95, 210)], arrow=True)
    drawing.text(320, 242, "sample one macro-action", anchor="middle")
    drawing.text(320, 268, "it lasts some primitive steps and gives a reward; then comes the next decision", 12, "middle", GREY)
    drawing.text(
        380,
        310,
        f"Tomato salad, first decision; probabilities of {scorer.lm.name} before training, norm=word",
        12,
        "middle",
        GREY,
    )
    return drawing


def norms(by_norm: "dict[str, Scorer]") -> Drawing:
    """Draw the scores and the policies that each norm makes of the same log-probabilities."""
    from twosome.experiment.probe import probe

    env = twosome.make_env("overcooked", task="tomato_salad", prompt="explicit")  # some of whose words are several tokens
    _, info = env.reset(seed=0)
    *_, info = env.step(info["action_ids"][0])
    found = {norm: probe(scorer, info["prompt"], list(info["action_prompts"]))[0] for norm, scorer in by_norm.items()}
    drawing = Drawing(
        850, 90 + 34 * len(info["action_prompts"]), "The policy of one decision under the norms none, token and word"
    )
    _heads(drawing, 22, (20, "action prompt"), (345, "tokens"), (405, "words"), (460, "log-prob."))
    for column, norm in enumerate(NORMS):
        drawing.text(545 + 100 * column, 22, f"norm={norm}", bold=True)
    for row, plain in enumerate(found["none"]):
        y = 56 + 34 * row
        drawing.text(20, y, plain.action)
        for x, value in ((375, str(plain.tokens)), (435, str(plain.words)), (515, f"{plain.logprob:.2f}")):
            drawing.text(x, y, value, 12, "end", GREY)
        for column, norm in enumerate(NORMS):
            _bar(drawing, 545 + 100 * column, y, found[norm][row], (ORANGE, BLUE, GREEN)[column])
    note = "right of a bar: the probability; below it: the score, the log-probability divided by 1, the tokens or the words"
    drawing.text(425, drawing.height - 14, note, 12, "middle", GREY)
    return drawing


def _bar(drawing: Drawing, x: float, y: float, each: "Probe", fill: str) -> None:
    drawing.box(x, y - 11, max(1, 52 * each.prob), 10, fill=fill)
    drawing.text(x + 56 * each.prob + 4, y - 2, f"{each.prob:.2f}", 12)
    drawing.text(x, y + 12, f"{each.score:.2f}", 11, fill=GREY)


def _heads(drawing: Drawing, y: float, *heads: tuple[float, str]) -> None:
    for x, head in heads:
        drawing.text(x, y, head, bold=True)


def tree(scorer: "Scorer") -> Drawing:
    """Draw the token tree of the first decision of tomato-lettuce salad, in which actions share their beginnings."""
    from twosome.language.tree import PackedRow

    _, info = twosome.make_env("overcooked", task="tomato_lettuce_salad").reset(seed=0)
    (tokenized,) = scorer.tokenize([(info["prompt"], tuple(info["action_prompts"]))])
    row = PackedRow()
    row.add(0, tokenized)
    leaves: list[tuple[int, ...]] = sorted(tokenized.actions)
    width = max(760, 190 + 84 * max(map(len, leaves)))
    drawing = Drawing(
        width, 90 + 30 * len(leaves), "A token tree: the prompt once, below it the actions, which share their first tokens"
    )
    place: dict[tuple[int, ...], tuple[float, float]] = {(): (150, 30 + 15 * len(leaves))}
    drawing.box(12, place[()][1] - 24, 138, 34)
    drawing.text(20, place[()][1] - 3, f"prompt: {len(tokenized.prompt)} tokens", 12)
    for prefix in sorted({action[:end] for action in leaves for end in range(1, len(action) + 1)}, key=len):
        below = [number for number, action in enumerate(leaves) if action[: len(prefix)] == prefix]
        x, y = 178 + 84 * (len(prefix) - 1), 30 + 30 * sum(below) / len(below)
        parent = place[prefix[:-1]]
        place[prefix] = (x + 74, y)
        drawing.line([(parent[0], parent[1] - 7), (parent[0] + 5, parent[1] - 7), (x - 5, y - 7), (x, y - 7)])
        predicted_only = all(len(leaves[number]) == len(prefix) for number in below)
        drawing.box(x, y - 19, 74, 23, fill="#ffffff" if predicted_only else "#dbe7f6", stroke=GREY if predicted_only else BLUE)
        drawing.text(x + 37, y - 3, str(scorer.lm.tokenizer.decode([prefix[-1]])).replace(" ", "·"), 12, "middle", INK)
    separate = sum(len(tokenized.prompt) + len(action) - 1 for action in leaves)
    for y, fill, stroke, text in (
        (50, "#dbe7f6", BLUE, "computed and predicted"),
        (26, "#ffffff", GREY, "predicted only: an action's last token"),
    ):
        drawing.box(20, drawing.height - y - 12, 14, 14, fill=fill, stroke=stroke)
        drawing.text(42, drawing.height - y, text, 12)
    note = f"{len(row)} tokens computed, in place of {separate} with a row per action"
    drawing.text(width - 20, drawing.height - 26, note, 12, "end", INK, bold=True)
    return drawing


def flow() -> Drawing:
    """Draw the way of a decision through the engine."""
    drawing = Drawing(760, 330, "The way of a decision from the environments through the engine to the policy and the update")
    boxes = {
        "environments": (20, 30, "environments", "num_envs of them"),
        "decisions": (210, 30, "decisions", "prompt, action prompts"),
        "distinct": (400, 30, "distinct decisions", "equal texts once"),
        "trees": (590, 30, "token trees", "shared beginnings once"),
        "rows": (590, 120, "packed rows", "under a token budget"),
        "model": (400, 120, "language model", "+ LoRA"),
        "norm": (210, 120, "norm", "log-prob. / 1, tokens, words"),
        "policy": (20, 120, "policy", "softmax over the actions"),
        "features": (400, 230, "frozen features", "LoRA off, once in a run"),
        "critic": (210, 230, "critic", "values"),
        "ppo": (20, 230, "PPO", "update of LoRA, critic"),
    }
    for name, (x, y, title, below) in boxes.items():
        drawing.box(x, y, 150, 56, fill="#e3f1e7" if name in ("features", "critic", "ppo") else PALE)
        drawing.text(x + 75, y + 24, title, 13, "middle", bold=True)
        drawing.text(x + 75, y + 43, below, 10.5, "middle", GREY)
    for x in (170, 360, 550):
        drawing.line([(x, 58), (x + 38, 58)], arrow=True)
        if x < 550:
            drawing.line([(x + 40, 258), (x + 2, 258)], arrow=True)
        drawing.line([(x + 40, 148), (x + 2, 148)], arrow=True)
    drawing.line([(665, 86), (665, 118)], arrow=True)
    drawing.line([(95, 120), (95, 88)], arrow=True)
    drawing.text(102, 108, "sampled action", 11, fill=GREY)
    drawing.line([(95, 176), (95, 228)], arrow=True)
    drawing.line([(569, 58), (569, 258), (552, 258)], arrow=True)
    drawing.line([(20, 58), (8, 58), (8, 258), (18, 258)], arrow=True)
    drawing.text(102, 206, "log-probabilities; rewards and durations (left)", 11, fill=GREY)
    drawing.text(380, 316, "grey: acting and updating use the same code; green: learning", 12, "middle", GREY)
    return drawing


def main() -> None:
    """Draw all of them."""
    by_norm = scorers()
    word = by_norm["word"]
    for name, drawing in (("decision", decision(word)), ("norm", norms(by_norm)), ("tree", tree(word)), ("flow", flow())):
        print(write_atomic(FOLDER / f"{name}.svg", drawing.svg()))


if __name__ == "__main__":
    main()
