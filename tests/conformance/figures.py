"""How near two results are: to the bit, and in units of the last place."""

from dataclasses import dataclass, field

import torch

# type: (bits of its fraction, exponent of its least normal number)
FORMATS = {torch.float32: (23, -126), torch.bfloat16: (7, -126),
           torch.float16: (10, -14)}
WORDS = {torch.float32: torch.int32, torch.bfloat16: torch.int16,
         torch.float16: torch.int16}


@dataclass
class Figures:
    """Sums over the tensors of a row of the table."""

    cases: int = 0
    tensors: int = 0
    exact: int = 0 # tensors
    near: int = 0 # tensors within 1 ulp
    worst: float = 0.0 # ulp
    elements: int = 0
    same: int = 0 # elements
    open: int = 0 # elements that are not compared

    def add(self, ours, peer, mask, largest):
        """Compare a tensor, but for the elements of `mask`."""
        looked_at = ~mask
        different = (ours.view(WORDS[ours.dtype]) !=
                     peer.view(WORDS[peer.dtype])) & looked_at & \
            ~(ours.isnan() & peer.isnan()) # of whatever bits
        off = distance(ours, peer, largest)[looked_at]
        worst = float(off.max()) if off.numel() else 0.0
        self.tensors += 1
        self.exact += not different.any()
        self.near += worst <= 1
        self.worst = max(self.worst, worst)
        self.elements += int(looked_at.sum())
        self.same += int(looked_at.sum() - different.sum())
        self.open += int(mask.sum())
        return int(different.sum()), worst


@dataclass
class Nearness:
    """How near one result is to the exact one, but for open elements."""

    rounded: int = 0 # elements that are the exact result, rounded
    ulps: float = 0.0 # sum of the distances
    worst: float = 0.0

    def add(self, result, exact, looked_at, largest):
        self.rounded += int((result == exact.to(result.dtype))[looked_at]
                            .sum())
        off = distance(result, exact, largest)[looked_at]
        self.ulps += float(off.sum())
        self.worst = max(self.worst, float(off.max()) if off.numel() else 0)


@dataclass
class Exactness:
    """Ours and mergekit's, against the exact results."""

    elements: int = 0
    ours: Nearness = field(default_factory=Nearness)
    theirs: Nearness = field(default_factory=Nearness)

    def add(self, ours, theirs, exact, mask, largest):
        self.elements += int((~mask).sum())
        self.ours.add(ours, exact, ~mask, largest)
        self.theirs.add(theirs, exact, ~mask, largest)


def distance(ours, peer, largest):
    """In units of the last place, in our type, of the largest number that took
    part: where large numbers cancel, those of the result alone would say
    nothing. What is NaN or infinite in one result alone is infinitely far."""
    bits, least = FORMATS[ours.dtype]
    exponent = torch.frexp(largest.double()).exponent - 1
    unit = torch.exp2(exponent.clamp(min=least).double() - bits)
    off = (ours.double() - peer.double()).abs() / unit
    alike = (ours == peer) | (ours.isnan() & peer.isnan())
    return torch.where(alike, 0.0, off.nan_to_num(nan=float("inf")))
