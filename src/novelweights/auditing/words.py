"""Numbers in sentences."""


def count(n: int, what: str) -> str:
    """A number with its noun: "1 run", "3 runs"."""
    return f"{n} {what}{'s' * (n != 1)}"
