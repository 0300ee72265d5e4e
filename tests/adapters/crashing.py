"""An adapter's program that ends between two of its steps."""

from __future__ import annotations


class Crash(BaseException):
    """The program ends here."""


class CrashAt:
    """A checkpoint that ends the program when it is passed for the `number`-th time; 0 never."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.passed: list[str] = []

    def __call__(self, step: str) -> None:
        self.passed.append(step)
        self.left -= 1
        if self.left == 0:
            raise Crash(step)
