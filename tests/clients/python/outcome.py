"""What became of the entries of one program, and whether that is right."""

import sys
import time

DELIVERIES_MAX = 3
CLAIM_IDLE_MS = 300
ENTRIES_MIN = 21


def fails(number):
    """Whether the work on this entry fails, each time."""
    return int(number) % 10 == 0


class Outcome:
    def __init__(self, seconds):
        self.ends = time.monotonic() + seconds
        self.deadline = self.ends + 60
        self.produced, self.done, self.dead = 0, [], []

    def goes_on(self):
        return time.monotonic() < self.ends or self.produced < ENTRIES_MIN

    def is_open(self):
        """Whether entries are still to be worked on."""
        assert time.monotonic() < self.deadline, f"{self.count()} of {self.produced} after a minute"
        return self.goes_on() or self.count() < self.produced

    def count(self):
        return len(self.done) + len(self.dead)

    def check(self, who, pending, lag, length):
        expected = [number for number in range(self.produced) if not fails(number)]
        assert sorted(map(int, self.done)) == expected, f"{len(self.done)} of {len(expected)} done"
        failing = [number for number in range(self.produced) if fails(number)]
        assert sorted(map(int, self.dead)) == failing, f"dead: {sorted(self.dead)}"
        assert pending == 0 and lag == 0, f"{pending} pending, lag {lag}"
        assert length <= 10, f"{length} after the trim"
        print(f"{who}: {self.produced} entries, as expected")


def arguments():
    port, name, seconds = sys.argv[1:]
    return int(port), name, float(seconds)
