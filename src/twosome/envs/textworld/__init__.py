"""TextWorld: games of rooms, things and commands in words. The specification is the docstring of `env.TextWorldEnv`."""

from importlib.util import find_spec

from twosome.errors import UserError

if find_spec("textworld") is None:
    raise UserError("env=textworld: expected the package textworld: pip install textworld==1.7.0")
