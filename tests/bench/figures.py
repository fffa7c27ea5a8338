"""Figures, their medians and ratios, one table of them, and JSON.

Contenders for one row are measured in turn, in every round, each round another
one first: what changes with time (neighbours, memory) changes all. A ratio is
that of one round; the table has the median of the rounds' ratios.
"""

import json
import statistics
import time
from dataclasses import asdict, dataclass, field

TIMES_LESS, SHARE = "times less", "of"

# unit: (factor from what is measured, digits, what a ratio says).
UNITS = {
    "s": (1, 2, TIMES_LESS),
    "ms": (1, 2, TIMES_LESS),
    "us": (1, 1, TIMES_LESS),
    "MiB": (1 / (1 << 20), 1, TIMES_LESS),
    "KiB": (1 / 1024, 1, TIMES_LESS),
    "GB/s": (1, 2, SHARE),
    "M elements/s": (1e-6, 0, SHARE),
    "bytes": (1, 2, TIMES_LESS),
}


COLUMNS = ("what", "llmergefs", "against", "its figure", "ratio")


@dataclass
class Row:
    """One line: ours, and beside it what it is compared with."""
    section: str
    what: str
    unit: str
    ours: list
    peer: str = ""
    theirs: list = field(default_factory=list)
    note: str = ""

    def ratios(self):
        pairs = [(a, b) for a, b in zip(self.ours, self.theirs) if a and b]
        if UNITS[self.unit][2] == SHARE:
            return [ours / theirs for ours, theirs in pairs]
        return [theirs / ours for ours, theirs in pairs]

    def figure(self, values):
        factor, digits, _ = UNITS[self.unit]
        if not values:
            return ""
        low, middle, high = (f"{factor * value:.{digits}f}" for value in
                             (min(values), statistics.median(values),
                              max(values)))
        spread = f" ({low}-{high})" if len(values) > 1 else ""
        return f"{middle} {self.unit}{spread}"

    def ratio(self):
        ratios = self.ratios()
        if not ratios:
            return ""
        word = UNITS[self.unit][2]
        spread = f" ({min(ratios):.2f}-{max(ratios):.2f})" \
            if len(ratios) > 1 else ""
        return f"**{statistics.median(ratios):.2f}** {word}{spread}"

    def cells(self):
        what = self.what + (f" [{self.note}]" if self.note else "")
        return [what, self.figure(self.ours), self.peer,
                self.figure(self.theirs), self.ratio()]

    def as_json(self):
        """Figures in the row's unit."""
        factor = UNITS[self.unit][0]
        made = {**asdict(self), "ratios": self.ratios()}
        for name in ("ours", "theirs"):
            made[name] = [factor * value for value in made[name]]
        for name in ("ours", "theirs", "ratios"):
            if made[name]:
                made["median_" + name] = statistics.median(made[name])
        return made


class Figures:
    """All rows, printed as they come."""

    def __init__(self, rounds, options):
        self.rounds = rounds
        self.options = options
        self.rows = []
        self.lines = []
        self.section = ""
        self.complete = False # until all sections are through
        self.began = time.monotonic()

    def say(self, *lines):
        self.lines += lines
        print("\n".join(lines), flush=True)

    def line(self, cells):
        self.say("| " + " | ".join(cells) + " |")

    def begin(self, section, title, columns=COLUMNS):
        self.section = section
        print(f"\nminute {(time.monotonic() - self.began) / 60:.0f}")
        self.say("", f"### {section}: {title}", "")
        self.line(columns)
        self.line("-" * len(columns))

    def add(self, what, unit, ours, peer="", theirs=(), note=""):
        row = self.keep(what, unit, ours, peer, theirs, note)
        self.line(row.cells())
        return row

    def keep(self, what, unit, ours, peer="", theirs=(), note=""):
        """A row that is not printed: its section has a table of its own."""
        row = Row(self.section, what, unit, list(ours), peer, list(theirs),
                  note)
        self.rows.append(row)
        return row

    def compare(self, contenders, metrics, rounds=None):
        """contenders: {name: function that returns {metric: figure}}, ours
        first; metrics: {metric: (what, unit[, note])}. Rows for all pairs;
        returns {name: [what a round gave]}."""
        rounds = rounds or self.rounds
        names = list(contenders)
        took = {name: [None] * rounds for name in names}
        for i in range(rounds):
            first = i % len(names)
            for name in names[first:] + names[:first]:
                took[name][i] = contenders[name]()
        for metric, (what, unit, *note) in metrics.items():
            ours = [each[metric] for each in took[names[0]]]
            for name in names[1:]:
                theirs = [each[metric] for each in took[name]
                          if metric in each]
                if theirs:
                    self.add(what, unit, ours, name, theirs, *note)
            if len(names) == 1:
                self.add(what, unit, ours, note=note[0] if note else "")
        return took

    def write(self, path, machine):
        """All of it as JSON, and what was printed as Markdown."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({
            "schema": "llmergefs-bench-1", "complete": self.complete,
            "machine": machine, "options": self.options,
            "rounds": self.rounds,
            "seconds": round(time.monotonic() - self.began, 1),
            "rows": [row.as_json() for row in self.rows],
        }, indent=1) + "\n")
        path.with_suffix(".md").write_text(
            "\n".join(f"{name}: {value}  " for name, value in machine.items())
            + "\n" + "\n".join(self.lines) + "\n")
