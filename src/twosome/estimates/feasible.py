"""Check before a run that it fits into memory and onto the disk, and announce long waits."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from twosome.errors import UserError
from twosome.estimates.estimate import DISK, GPU, MEMORY, Estimate, Part, activations, memory
from twosome.estimates.resources import free_disk, free_gpu_memory, free_memory
from twosome.estimates.waits import Wait, preparation, probes, update

Free = dict[str, Callable[[], float]]
"""A function that returns the free bytes of each place: memory, GPU memory, disk."""

MINUTE, DAY = 60.0, 86_400.0
PATIENCE = 10 * MINUTE  # a longer wait for the first line of progress is announced
LONG = 7 * DAY  # a longer run is announced
UNITS = (("years", 365.25 * DAY), ("days", DAY), ("hours", 60 * MINUTE), ("minutes", MINUTE))
REMEDIES = {
    "the language model's weights": "a smaller model, or model.dtype=bfloat16",
    "the token tree": "an environment that offers fewer actions at a time, or in fewer words",
}
"""The remedy for a part that does not depend on the number of an option, by the beginning of its name."""


def check_resources(run: Estimate, folder: Path) -> Iterator[str]:
    """Yield the notes to print before a run; raise UserError if it does not fit into memory, or its results onto the disk."""
    free: Free = {MEMORY: free_memory, DISK: lambda: free_disk(folder)}
    if run.device == "cuda":
        free[GPU] = free_gpu_memory
    check(run, {place: there() for place, there in free.items()})
    yield from notes(run, free_gpu_memory() if run.device == "cuda" else free_memory())


def check(run: Estimate, free: dict[str, float]) -> None:
    """Raise UserError if the run does not fit. free: the free bytes of each place."""
    parts = list(memory(run))
    for place, available in free.items():
        there = [part for part in parts if part.place == place]
        total = sum(part.size for part in there)
        if total > available:
            largest = max(there, key=lambda part: part.size)
            raise UserError(
                f"{_named(run, _cause(run, largest))}: the run would take about {gigabytes(total)} of {place}, most of it for "
                f"{largest.what} ({gigabytes(largest.size)}), and {gigabytes(available)} are free; "
                f"expected {_remedy(run, largest, available)}"
            )


def _remedy(run: Estimate, part: Part, available: float) -> str:
    """Describe what would fit."""
    for beginning, remedy in REMEDIES.items():
        if part.what.startswith(beginning):
            return remedy
    option = _cause(run, part)
    most = largest_fit(run, option, part.place, available)
    if most:
        return f"at most {most:,}, all else being as it is"
    return f"a smaller one, and less of what else takes {part.place}"


def largest_fit(run: Estimate, option: str, place: str, available: float) -> int:
    """Return the largest value of an option with which the run fits, rounded down to two digits; 0 if there is none."""
    low, high = 0, run.number(option)
    while high - low > 1:
        middle = (low + high) // 2
        total = sum(part.size for part in memory(run.limited(option, middle)) if part.place == place)
        low, high = (middle, high) if total <= available else (low, middle)
    unit = 10 ** max(0, len(str(low)) - 2)
    return low // unit * unit


def notes(run: Estimate, available: float) -> Iterator[str]:
    """Yield notes on long waits, and on a forward pass that may need more memory than available bytes."""
    waits = list(preparation(run))
    if run.learns:
        updating = list(update(run))
        each = sum(wait.seconds for wait in updating)
        whole = Wait(f"{run.updates:,} updates of {duration(each)}", run.updates * each, ("total_steps",))
        first = list(_long_waits(run, [*waits, *updating], PATIENCE, "until the first line of progress"))
        yield from first or _long_waits(run, [*waits, whole, *probes(run)], LONG, "in all")
    else:
        yield from _long_waits(run, waits, PATIENCE, "in all")
    if run.uses_language_model and run.learns and (batch := run.number("engine.batch_tokens")):
        tokens = min(batch, run.samples * run.tree)
        if (most := activations(run, tokens)) > available:
            yield (
                f"{_named(run, 'engine.batch_tokens')}: a forward pass has up to {tokens:,} tokens where no two "
                f"decisions of a rollout are alike, and takes {gigabytes(most)} then; {gigabytes(available)} are free"
            )


def _long_waits(run: Estimate, waits: Iterable[Wait], limit: float, what: str) -> Iterator[str]:
    """Yield a line if the sum of waits is longer than limit."""
    waits = list(waits)
    total = sum(wait.seconds for wait in waits)
    if total > limit:
        longest = max(waits, key=lambda wait: wait.seconds)
        option = max(longest.options, key=run.number)
        yield f"{_named(run, option)}: {duration(total)} {what}, most of it for {longest.basis}"


def _cause(run: Estimate, part: Part) -> str:
    """Return the option to name as the cause of a part: the one with the largest number."""
    return max(part.options or ("model.path", "model.source"), key=lambda name: (run.number(name), bool(run.options.get(name))))


def _named(run: Estimate, option: str) -> str:
    value = run.options.get(option)
    return f"{option}={str(value).replace(' ', '')}"


def gigabytes(size: float) -> str:
    """Format bytes in GB of 10^9 bytes."""
    return f"{size / 1e9:,.0f} GB" if 1e11 <= size < 1e15 else f"{size / 1e9:.3g} GB"


def duration(seconds: float) -> str:
    """Format seconds in words, to one or two digits."""
    unit, size = next(((name, size) for name, size in UNITS if seconds >= 2 * size), ("seconds", 1.0))
    number = float(f"{seconds / size:.2g}")
    return f"about {number:,.0f} {unit}" if number >= 10 or number == int(number) else f"about {number:.1f} {unit}"
