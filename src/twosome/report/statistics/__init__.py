"""Numbers computed from runs, with their intervals."""
