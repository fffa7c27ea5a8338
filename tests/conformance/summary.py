"""The table: printed, kept in summary.md, and held against what is there."""

from pathlib import Path

from figures import Figures

GOLDEN = Path(__file__).with_name("summary.md")
RENEW = ("if the change is meant, renew tests/conformance/summary.md with "
         "`CONFORMANCE=renew make test SUITES=conformance`")

TITLES = ("method", "dtype", "arithmetic", "cases", "tensors", "exact",
          "within 1 ulp", "worst (ulp)", "elements", "equal", "share (%)",
          "at a tie")
# A worst case may waver: it hangs on one element.
WORST_SLACK = 1.5

HEAD = """\
# llmergefs against mergekit 0.1.5

Made by the tests (`make test SUITES=conformance`), which hold each new run
against it. Recipes of small Llama models, through mergekit with
`--random-seed` and through llmergefs with `rng: mt19937`, the same seed and
`arithmetic` float32 or mergekit.

- *exact*, *equal*: to the byte. *within 1 ulp*: tensors no element of which is
  farther off than that.
- *ulp*: a unit in the last place of the result's type, at the largest number
  that took part in the element (of the inputs and the result).
- *at a tie*: elements left out of the comparison, since mergekit leaves them to
  an unstable sort: those whose magnitude is the threshold of a selection and is
  shared by more elements than are kept; in DELLA, those that share their
  magnitude with another element of the row.

"""


EXACT = """
Who is right where they differ? mergekit with `dtype: float64` on the same
models gives the exact results. Rounded to the type, they are ours (`arithmetic:
float32`) and mergekit's in so many percent of the elements; then how far off
each is in the mean, and at worst, in ulp. (`ties` and `sce` elect signs: what is
elected otherwise is far off.)

"""
EXACT_TITLES = ("method", "dtype", "elements", "ours (%)", "mergekit's (%)",
                "mean, ours", "mergekit's", "worst, ours", "mergekit's")


def share(same, elements):
    """Percent, cut and not rounded: 100 is all."""
    hundredths = same * 100000 // elements if elements else 100000
    return f"{hundredths // 1000}.{hundredths % 1000:03}"


def cells(key, row):
    return [*key, str(row.cases), str(row.tensors), str(row.exact),
            str(row.near), f"{row.worst:.3g}", str(row.elements),
            str(row.same), share(row.same, row.elements), str(row.open)]


def lined(lines, names):
    """Markdown's table: `names` columns to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]

    def line(row):
        return "| " + " | ".join(
            cell.ljust(width) if i < names else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))) + " |"

    rule = "|" + "|".join("-" * (width + 2) if i < names else
                          "-" * (width + 1) + ":"
                          for i, width in enumerate(widths)) + "|"
    return "\n".join([line(lines[0]), rule, *map(line, lines[1:])]) + "\n"


def table(rows):
    return lined([TITLES, *(cells(key, row) for key, row in rows.items())], 3)


def exact_cells(key, row):
    numbers = [share(each.rounded, row.elements)
               for each in (row.ours, row.theirs)]
    numbers += [f"{each.ulps / row.elements:.3f}"
                for each in (row.ours, row.theirs)]
    numbers += [f"{each.worst:.3g}" for each in (row.ours, row.theirs)]
    return [*key, str(row.elements), *numbers]


def exact_table(exact):
    """{(method, dtype): Exactness}"""
    return lined([EXACT_TITLES, *(exact_cells(key, row)
                                  for key, row in exact.items())], 2)


def text(rows, exact, notes):
    return HEAD + table(rows) + "\nWhat is not exact, and why:\n\n" + \
        "".join(f"- {note}\n" for note in notes) + EXACT + exact_table(exact)


def read(path=GOLDEN):
    """The rows of a summary that was kept."""
    rows = {}
    for line in path.read_text().splitlines():
        words = [word.strip() for word in line.strip("|").split("|")]
        if len(words) != len(TITLES) or not words[3].isdigit():
            continue
        cases, tensors, exact, near = map(int, words[3:7])
        rows[tuple(words[:3])] = Figures(
            cases, tensors, exact, near, float(words[7]), int(words[8]),
            int(words[9]), int(words[11]))
    return rows


def worse(key, row, kept):
    """Sentences: in what a row is worse than the one that is kept."""
    name = ", ".join(key)
    if (row.cases, row.tensors, row.elements, row.open) != \
            (kept.cases, kept.tensors, kept.elements, kept.open):
        return [f"{name}: {row.cases} cases, {row.tensors} tensors, "
                f"{row.elements} elements and {row.open} at a tie are "
                f"compared, not {kept.cases}, {kept.tensors}, "
                f"{kept.elements} and {kept.open}"]
    said = [f"{name}: {now} {what}, not {then}" for what, now, then in (
        ("tensors are exact", row.exact, kept.exact),
        ("tensors are within 1 ulp", row.near, kept.near),
        ("elements are exact", row.same, kept.same)) if now < then]
    if row.worst > WORST_SLACK * kept.worst + 1e-9:
        said.append(f"{name}: the worst is {row.worst:.3g} ulp off, "
                    f"not {kept.worst:.3g}")
    return said


def difference(rows, kept):
    said = [f"{', '.join(key)}: no such row" for key in kept.keys() - rows]
    said += [f"{', '.join(key)}: a new row" for key in rows.keys() - kept]
    for key in kept.keys() & rows.keys():
        said += worse(key, rows[key], kept[key])
    return sorted(said)
