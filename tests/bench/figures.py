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
        made = {**asdict(self), "ratios": self.ratios()}
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
        self.section = ""
        self.began = time.monotonic()
        self.extra = {}

    def begin(self, section, title):
        self.section = section
        minutes = (time.monotonic() - self.began) / 60
        print(f"\n### {section}: {title} (minute {minutes:.0f})\n\n"
              "| what | llmergefs | against | its figure | ratio |\n"
              "|---|---|---|---|---|", flush=True)

    def add(self, what, unit, ours, peer="", theirs=(), note=""):
        row = Row(self.section, what, unit, list(ours), peer, list(theirs),
                  note)
        self.rows.append(row)
        print("| " + " | ".join(row.cells()) + " |", flush=True)
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

    def text(self):
        """The table, whole, as Markdown."""
        lines = []
        section = None
        for row in self.rows:
            if row.section != section:
                section = row.section
                lines += ["", f"| {section} | llmergefs | against | its figure "
                              "| ratio |", "|---|---|---|---|---|"]
            lines.append("| " + " | ".join(row.cells()) + " |")
        return "\n".join(lines[1:]) + "\n"

    def write(self, path, machine):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({
            "schema": "llmergefs-bench-1", "machine": machine,
            "options": self.options, "rounds": self.rounds,
            "seconds": round(time.monotonic() - self.began, 1),
            "rows": [row.as_json() for row in self.rows], **self.extra,
        }, indent=1) + "\n")
        path.with_suffix(".md").write_text(self.text())
