"""Check the words of the command line, and convert them to those that Hydra reads."""

import argparse
import re
from collections.abc import Sequence

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode

from twosome.cli.grammar import as_text, quoted_if_needed, why_unreadable
from twosome.cli.options import Checker, Options
from twosome.config import CONFIGS
from twosome.errors import UserError

REFUSED = {
    "config_name": "--config-name: expected none, this command's options are its own",
    "config_path": "--config-path: expected none, this command's options are its own; --config-dir adds a folder to conf/",
    "experimental_rerun": "--experimental-rerun: expected none, since it runs what a file says; use resume=<folder>",
}
MODES = {"run": "--run", "multirun": "-m", "cfg": "--cfg", "info": "--info", "shell_completion": "--shell-completion"}
COMPLETION = re.compile(r"(install|uninstall|query)=(bash|fish|zsh)")
PLACES = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweeper.runs")
"""The options for the folder of one job, of a sweep, and of an experiment's runs."""


def hydra_words(words: Sequence[str], config_name: str) -> list[str]:
    """Return the command line for Hydra: options first, then flags. Raises UserError for the first error.

    config_name: the command's file in conf/.
    """
    return words_and_mode(words, config_name)[0]


def words_and_mode(words: Sequence[str], config_name: str) -> tuple[list[str], RunMode | None]:
    """Return the same, and whether Hydra is to run once or a sweep; None where neither is chosen by an option."""
    args, flags = _flags(words)
    if args.help or args.hydra_help or args.shell_completion:
        return list(words), None
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        checker = Checker(config_name, [args.config_dir] if args.config_dir else [])
        overrides = checker.parsed([_read(word, args.multirun, checker) for word in args.overrides])
        options = checker.options(overrides)
        mode = options.config.hydra.mode
        if args.multirun and mode == RunMode.RUN:
            raise UserError("-m: expected none, this command does one thing at a time; leave -m out")
        sweep = args.multirun or mode == RunMode.MULTIRUN or any(_asks_for_a_sweep(each) for each in overrides)
        if args.package not in (None, "_global_") and not options.has(args.package):
            raise options.unknown(args.package)
        normalized = [options.normalized(each) for each in overrides]
        place = PLACES[0] if not sweep else PLACES[2] if options.has(PLACES[2]) else PLACES[1]
        for override in checker.parsed(normalized):
            _check_sweep(override, sweep, place, options)
    return [*normalized, *flags], _mode(overrides, options)


def _flags(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parse the words by Hydra's parser; return the result and the words that are flags. Raises UserError."""
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[assignment, method-assign]  # instead of printing the usage
    args, unknown = parser.parse_known_intermixed_args(list(words))
    if unknown:
        example = option if "=" in (option := unknown[0].lstrip("-")) else "norm=word"
        raise UserError(f"{unknown[0]}: expected options as <option>=<value>, as in {example}; --help lists them")
    for name, message in REFUSED.items():
        if getattr(args, name) is not None:
            raise UserError(message)
    if len(asked := [flag for name, flag in MODES.items() if getattr(args, name)]) > 1:
        raise UserError(f"{' '.join(asked)}: expected one of these; leave the other out")
    if args.shell_completion and not (len(args.overrides) == 1 and COMPLETION.fullmatch(args.overrides[0])):
        raise UserError("--shell-completion: expected one of install, uninstall and query beside it, as in install=bash")
    if args.resolve and not (args.cfg or args.help):
        raise UserError("--resolve: expected --cfg beside it, as in --cfg job --resolve")
    flags = list(words)
    for option in args.overrides:
        flags.remove(option)
    return args, [flag for flag in flags if flag != "--"]


def _refuse(message: str) -> None:
    raise UserError(f"{message}; --hydra-help lists Hydra's flags")


def _read(word: str, sweep: bool, checker: Checker) -> str:
    """Convert a word so that Hydra can read it. Raises UserError if it names no option."""
    name, equals, value = word.partition("=")
    name = name.strip()
    if not name.strip("~+") or (not equals and why_unreadable(name) is not None):
        raise UserError(f"{word or repr(word)}: expected <option>=<value>, as in norm=word; --help lists the options")
    if why_unreadable(f"{name}=0") is not None:
        raise checker.options([]).unknown(name)
    return quoted_if_needed(f"{name}={value}", sweep) if equals else name


def _mode(overrides: Sequence[Override], options: Options) -> RunMode | None:
    """Return hydra.mode: the last one on the command line, or that of its choices; None if it is not one of Hydra's."""
    given = [str(each.value()).upper() for each in overrides if each.key_or_group == "hydra.mode"]
    return RunMode.__members__.get(given[-1]) if given else options.config.hydra.mode


def _asks_for_a_sweep(override: Override) -> bool:
    return override.key_or_group == "hydra.mode" and str(override.value()).upper() == RunMode.MULTIRUN.name


def _check_sweep(override: Override, sweep: bool, place: str, options: Options) -> None:
    """Raise UserError for several values if one is expected, and for a folder option that is not place and so not used."""
    word = override.input_line
    if override.is_sweep_override() and (not sweep or override.is_hydra_override()):
        several = "all jobs of a sweep have the same" if sweep else "several are a sweep, with -m, and a list is [one,two]"
        text = f"; for this very text, type {as_text(str(word))}" if options.takes_text(override.key_or_group) else ""
        raise UserError(f"{word}: expected one value; {several}{text}")
    if override.key_or_group in PLACES and override.key_or_group != place:
        raise UserError(f"{word}: expected {place}=<folder>, since this is {'a sweep' if sweep else 'no sweep'}")
