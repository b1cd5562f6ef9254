"""How every environment refuses a bad option."""

from collections.abc import Callable
from typing import Any

import pytest

from twosome.errors import UserError


def assert_refused(make: Callable[..., Any], options: dict[str, Any], words: str) -> None:
    """Making the environment raises one line with these words that says what was expected."""
    with pytest.raises(UserError) as error:
        make(**options)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert "expected" in str(error.value)
