"""A plot of two losses as SVG: points with names, and lines through lambda."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 880, 620
LEFT, RIGHT, TOP, BOTTOM = 76, 190, 64, 64 # margins of the axes

# Okabe and Ito's colours, which the colour-blind tell apart, and a shape each.
STYLES = (("#0072b2", "circle"), ("#d55e00", "square"), ("#009e73", "diamond"),
          ("#cc79a7", "triangle"), ("#e69f00", "circle"), ("#56b4e9", "square"))
INK, PALE = "#222222", "#666666"
LETTER = 6.6 # mean width of one, at the size of labels
HALO = {"stroke": "white", "stroke_width": 3, "paint_order": "stroke",
        "stroke_linejoin": "round"}


def ticks(low, high):
    """Round numbers in a range, eight at most."""
    steps = (digit * 10.0 ** power for power in range(-6, 6)
             for digit in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= 8)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, 9) for i in range(first, last + 1)]


def shape(kind, x, y, size, **attributes):
    style = "".join(f' {name.replace("_", "-")}="{value}"'
                    for name, value in attributes.items())
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}"{style}/>'
    corners = {"square": ((-.9, -.9), (.9, -.9), (.9, .9), (-.9, .9)),
               "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
               "triangle": ((0, -1.2), (1.1, .9), (-1.1, .9))}[kind]
    points = " ".join(f"{x + dx * size:.1f},{y + dy * size:.1f}"
                      for dx, dy in corners)
    return f'<polygon points="{points}"{style}/>'


class Plot:
    """Losses to pixels, and labels where none is in another's way."""

    def __init__(self, points):
        self.parts, self.taken = [], []
        (self.x0, self.x1), (self.y0, self.y1) = [
            self.range([point[axis] for point in points]) for axis in (0, 1)]

    @staticmethod
    def range(values):
        low, high = min(values), max(values)
        margin = 0.07 * (high - low or 1)
        return low - margin, high + margin

    def at(self, point):
        across = (point[0] - self.x0) / (self.x1 - self.x0)
        up = (point[1] - self.y0) / (self.y1 - self.y0)
        return (LEFT + across * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM))

    def add(self, part):
        self.parts.append(part)

    def text(self, x, y, text, **attributes):
        style = "".join(f' {name.replace("_", "-")}="{value}"'
                        for name, value in attributes.items())
        self.add(f'<text x="{x:.1f}" y="{y:.1f}"{style}>{escape(text)}</text>')

    def mark(self, kind, point, size, **attributes):
        x, y = self.at(point)
        self.taken.append((x - size, y - size, x + size, y + size))
        self.add(shape(kind, x, y, size, **attributes))

    def label(self, point, text, force=False, **attributes):
        """Beside a point; where all places are taken, nowhere."""
        x, y = self.at(point)
        wide = len(text) * LETTER
        for away in (9, 16, 24):
            for across, down in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1),
                                 (1, 1), (-1, -1), (-1, 1)):
                left = x + across * away - wide * (1 - across) / 2
                base = y + down * away + 4
                box = (left, base - 10, left + wide, base + 2)
                if self.free(box):
                    self.taken.append(box)
                    self.text(left, base, text, **HALO, **attributes)
                    return
        if force:
            self.text(x + 12, y - 12, text, **HALO, **attributes)

    def free(self, box):
        inside = (box[0] > LEFT and box[2] < WIDTH - RIGHT + 60 and
                  box[1] > TOP and box[3] < HEIGHT - BOTTOM)
        return inside and not any(
            box[0] < other[2] and other[0] < box[2] and
            box[1] < other[3] and other[1] < box[3] for other in self.taken)

    def axes(self, title, below, names):
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        for value in ticks(self.x0, self.x1):
            x, _ = self.at((value, self.y0))
            self.add(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#e6e6e6"/>')
            self.text(x, bottom + 18, f"{value:g}", text_anchor="middle")
        for value in ticks(self.y0, self.y1):
            _, y = self.at((self.x0, value))
            self.add(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#e6e6e6"/>')
            self.text(LEFT - 8, y + 4, f"{value:g}", text_anchor="end")
        self.add(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" '
                 f'stroke="{INK}"/>')
        self.text(LEFT, 28, title, font_size=17, font_weight="bold")
        self.text(LEFT, 47, below, fill=PALE)
        self.text((LEFT + right) / 2, HEIGHT - 20, names[0],
                  text_anchor="middle", font_size=13)
        self.text(22, (TOP + bottom) / 2, names[1], text_anchor="middle",
                  font_size=13,
                  transform=f"rotate(-90 22 {(TOP + bottom) / 2:.0f})")

    def legend(self, names, note):
        x, y = WIDTH - RIGHT + 24, TOP + 14
        for name, (colour, kind) in zip(names, STYLES):
            self.add(f'<path d="M{x} {y}h26" stroke="{colour}" '
                     'stroke-width="1.8"/>')
            self.add(shape(kind, x + 13, y, 4.5, fill=colour))
            self.text(x + 34, y + 4, name)
            y += 24
        self.text(x, y + 4, note, fill=PALE)

    def svg(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
                f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
                'font-family="Helvetica, Arial, sans-serif" font-size="12" '
                f'fill="{INK}">\n<rect width="100%" height="100%" '
                'fill="white"/>\n' + "\n".join(self.parts) + "\n</svg>\n")


def draw(references, curves, best, title, below, axes):
    """references: {name: losses}; curves: {method: [(lambda, losses)]}; best:
    (method, lambda); losses are pairs. Returns the text of the SVG."""
    points = [*references.values(),
              *(losses for curve in curves.values() for _, losses in curve)]
    plot = Plot(points)
    plot.axes(title, below, axes)
    styles = dict(zip(curves, STYLES))
    for method, curve in curves.items():
        path = "L".join("{:.1f} {:.1f}".format(*plot.at(losses))
                        for _, losses in curve)
        plot.add(f'<path d="M{path}" fill="none" stroke="{styles[method][0]}" '
                 'stroke-width="1.8" stroke-linejoin="round" opacity="0.75"/>')
    for losses in references.values():
        plot.mark("circle", losses, 6, fill="white", stroke=INK,
                  stroke_width=2)
    for behind, (method, curve) in enumerate(reversed(curves.items())):
        colour, kind = styles[method]
        for _, losses in curve:
            # Where two methods agree, the one behind shows around the other.
            plot.mark(kind, losses, max(6.2 - 0.7 * behind, 4), fill=colour,
                      stroke="white", stroke_width=0.8)
    chosen = dict(curves[best[0]])[best[1]]
    plot.mark("circle", chosen, 10, fill="none", stroke=INK, stroke_width=1.6)
    for name, losses in references.items():
        plot.label(losses, name, force=True, font_weight="bold")
    plot.label(chosen, f"best: {best[0]}, lambda {best[1]:g}", force=True,
               font_weight="bold")
    for end in (0, -1):
        for method, curve in curves.items():
            plot.label(curve[end][1], f"{curve[end][0]:g}",
                       fill=styles[method][0])
    for method, curve in curves.items():
        for value, losses in curve[1:-1]:
            plot.label(losses, f"{value:g}", fill=styles[method][0])
    plot.legend(curves, "numbers: lambda")
    return plot.svg()
