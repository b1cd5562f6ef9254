"""Results that are kept for later runs on this machine, each in a file by the checksum of all that determines it."""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twosome.files import cache_root, write_atomic

T = TypeVar("T")


def cached(kind: str, key: Mapping[str, Any], compute: Callable[[], T]) -> T:
    """Return the result of a key from the cache; if it is not cached, call compute and keep its result.

    kind: the folder in the cache. key: all that determines the result, as JSON. The result is JSON. Where the cache cannot be
    read or written, the result is computed, with a note if it cannot be kept. Without a home folder and TWOSOME_CACHE there is
    no cache.
    """
    text = json.dumps(key, sort_keys=True)
    try:
        file = cache_root() / kind / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    except RuntimeError:  # the user has no home folder, and TWOSOME_CACHE names no other
        return compute()
    try:
        found = json.loads(file.read_text())
        if json.dumps(found["key"], sort_keys=True) == text:
            result: T = found["result"]
            return result
    except (OSError, ValueError, KeyError, TypeError):  # absent, damaged, or another format: it is computed again
        pass
    result = compute()
    try:
        write_atomic(file, json.dumps({"key": key, "result": result}, indent=2) + "\n", parents=True)
    except OSError as error:
        print(
            f"note: TWOSOME_CACHE={cache_root()}: cannot keep results there for later runs ({error.strerror or error}); set "
            "TWOSOME_CACHE to a writable folder",
            file=sys.stderr,
        )
    return result
