"""Share units out to sides by hash, then mend what the hash left badly off with as few moves as possible.

A unit is what is never torn apart: an image, a group, or groups joined by near-copies. Its first side follows from
its own place in [0, 1) and the wanted shares alone, so that adding units moves none of the others. Only then the
labelled pixels are looked at, rare classes first, in the spirit of iterative stratification (Sechidis, Tsoumakas and
Vlahavas, ECML PKDD 2011), but as a repair of a stateless draw instead of as the draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.25
LEAST_GAIN = 0.1  # of relative deviation: what a move must mend at the least
ABSENT = 1e4  # one class missing from one side outweighs every share
CANDIDATES = 512  # nearest to the threshold, of which the best move is chosen
PAIRED = 24  # of them, for moves that mend only together with a second one


@dataclass(frozen=True, kw_only=True)
class Side:
    """A side, the share it shall have, and the number of units from which on a class must be on it too."""

    name: str
    share: float
    needs: int


@dataclass(frozen=True, kw_only=True)
class Units:
    """U units: names, places in [0, 1), labelled images (U,) and labelled pixels by class (U, K)."""

    names: Sequence[str]
    place_U: NDArray[np.float64]
    images_U: NDArray[np.int64]
    pixels_UK: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Move:
    """A unit that a repair put on another side than its hash; `reason` is a class, or 'images' for their number."""

    unit: str
    images: int
    source: str
    target: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Index of the side of every unit, shape (U,), and the moves that were made."""

    side_U: NDArray[np.int64]
    moves: tuple[Move, ...]


def by_place(place_U: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.int64]:
    """The side that each place falls on where [0, 1) is cut into `shares`, in order, shape (U,)."""
    # The last edge is left out: rounding must not leave a place beyond every side.
    return np.searchsorted(np.cumsum(shares)[:-1], place_U, side="right").astype(np.int64)


def share_out(
    units: Units,
    sides: Sequence[Side],
    classes: Sequence[str],
    *,
    known_U: NDArray[np.int64] | None = None,
    tolerance: float = TOLERANCE,
) -> Shared:
    """A side for every unit: by its place, then mended so that every side has every class that can be on it.

    Shares of images and of each class's pixels end within `tolerance` (relative) of the wanted share where whole
    units allow it. `known_U` holds sides that are settled, -1 where they are not. Units without labelled images
    follow their place alone.
    """
    side_U = by_place(units.place_U, [side.share for side in sides])
    free_U = units.images_U > 0
    if known_U is not None:
        side_U = np.where(known_U >= 0, known_U, side_U)
        free_U &= known_U < 0
    if not units.images_U.any() or len(sides) < 2:
        return Shared(side_U=side_U, moves=())
    balance = _Balance(units, sides, side_U, free_U, tolerance)
    reason: dict[int, int] = {}
    hopeless: set[tuple[int, int]] = set()
    while (fault := balance.worst(hopeless)) is not None:
        found = balance.best_move(*fault) or balance.best_pair(*fault)
        if not found:
            hopeless.add(fault)
            continue
        for unit, target in found:
            balance.move(unit, target)
            reason.setdefault(unit, fault[1])
        hopeless.clear()
    names = ["images", *classes]
    moves = tuple(
        Move(
            unit=units.names[unit],
            images=int(units.images_U[unit]),
            source=sides[side_U[unit]].name,
            target=sides[balance.side_U[unit]].name,
            reason=names[feature],
        )
        for unit, feature in reason.items()
        if balance.side_U[unit] != side_U[unit]
    )
    return Shared(side_U=balance.side_U, moves=moves)


class _Balance:
    """What every side has now. Feature 0 is the number of images, feature 1 + k the pixels of class k."""

    def __init__(
        self,
        units: Units,
        sides: Sequence[Side],
        side_U: NDArray[np.int64],
        free_U: NDArray[np.bool_],
        tolerance: float,
    ) -> None:
        weight_UF = np.column_stack([units.images_U, units.pixels_UK]).astype(np.float64)
        self.share_UF = weight_UF / np.maximum(weight_UF.sum(axis=0), 1)
        self.has_UF = weight_UF > 0
        self.side_U, self.free_U, self.place_U = side_U.copy(), free_U, units.place_U
        self.tolerance = tolerance
        self.wanted_S = np.array([side.share for side in sides])
        self.edge_S = np.concatenate([[0.0], np.cumsum(self.wanted_S)])
        owners_F = self.has_UF.sum(axis=0)
        self.needed_SF = owners_F >= np.array([side.needs for side in sides])[:, None]
        self.used_F = owners_F > 0
        self.needed_SF &= self.used_F
        self.rare_first_F = np.argsort(owners_F, kind="stable")
        # A missing rare class outweighs a missing common one; the number of images outweighs any one class.
        self.absent_F = ABSENT * (1 + 1 / np.maximum(owners_F, 1))
        self.weight_F = np.where(self.used_F, 1.0, 0.0)
        self.weight_F[0] = 1 + units.pixels_UK.shape[1] / 4
        member_SU = np.arange(len(sides))[:, None] == side_U
        self.share_SF = member_SU @ self.share_UF
        self.count_SF = member_SU.astype(np.int64) @ self.has_UF.astype(np.int64)

    def deviation(self, side: int, share_F: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far shares are from the wanted one beyond the tolerance, relative to it."""
        off_F = np.maximum(np.abs(share_F / self.wanted_S[side] - 1) - self.tolerance, 0)
        return np.asarray(off_F * self.used_F)

    def cost(self, side: int, share_F: NDArray[np.float64], count_F: NDArray[np.int64]) -> NDArray[np.float64]:
        """What is wrong with a side that had these shares and units by feature; further axes come first."""
        absent_F = (count_F == 0) & self.needed_SF[side]
        return np.asarray((absent_F * self.absent_F + self.deviation(side, share_F) * self.weight_F).sum(axis=-1))

    def worst(self, hopeless: set[tuple[int, int]]) -> tuple[int, int] | None:
        """(side, feature) to mend next: what is missing before what is too much or too little, rare ones first."""
        absent_SF = (self.count_SF == 0) & self.needed_SF
        off_SF = np.stack([self.deviation(side, share_F) for side, share_F in enumerate(self.share_SF)])
        for faulty_SF in (absent_SF, off_SF > 0):
            for feature in self.rare_first_F:
                for side in np.argsort(-off_SF[:, feature], kind="stable"):
                    if faulty_SF[side, feature] and (int(side), int(feature)) not in hopeless:
                        return int(side), int(feature)
        return None

    def best_move(self, side: int, feature: int) -> list[tuple[int, int]]:
        """(unit, target side) that mends most, or, of those that mend about as much, the nearest to its threshold."""
        found = [
            (gain, away, unit, target)
            for source, target in self.ways(side, feature)
            for gain, away, unit in self.moves(source, target, self.has_UF[:, feature], CANDIDATES)
            if gain >= LEAST_GAIN
        ]
        if not found:
            return []
        enough = max(gain for gain, *_ in found) - self.tolerance
        _, _, unit, target = min((row for row in found if row[0] >= enough), key=lambda row: (row[1], row[2]))
        return [(unit, target)]

    def best_pair(self, side: int, feature: int) -> list[tuple[int, int]]:
        """Two moves that bring a missing class to a side where no single one can, because the unit is needed."""
        if self.count_SF[side, feature] or not self.needed_SF[side, feature]:
            return []
        best, pair = LEAST_GAIN, list[tuple[int, int]]()
        every = [(a, b) for a in range(len(self.wanted_S)) for b in range(len(self.wanted_S)) if a != b]
        for source, target in self.ways(side, feature):
            for gain, _, unit in self.moves(source, target, self.has_UF[:, feature], PAIRED):
                self.move(unit, target)
                for second_source, second_target in every:
                    others = self.moves(second_source, second_target, np.arange(len(self.side_U)) != unit, PAIRED)
                    for more, _, other in others:
                        if gain + more > best:
                            best, pair = gain + more, [(unit, target), (other, second_target)]
                self.move(unit, source)
        return pair

    def ways(self, side: int, feature: int) -> list[tuple[int, int]]:
        """(source, target) of the moves that mend too little or too much of a feature on a side."""
        others = [other for other in range(len(self.wanted_S)) if other != side]
        too_little = self.share_SF[side, feature] < self.wanted_S[side]
        return [(other, side) if too_little else (side, other) for other in others]

    def moves(
        self, source: int, target: int, among_U: NDArray[np.bool_], most: int
    ) -> Iterator[tuple[float, float, int]]:
        """(gain, distance to the threshold, unit) of the nearest units that could go from `source` to `target`."""
        some = np.flatnonzero(among_U & self.free_U & (self.side_U == source))
        low, high = self.edge_S[target], self.edge_S[target + 1]
        away = np.maximum(np.maximum(low - self.place_U[some], self.place_U[some] - high), 0)
        nearest = np.argsort(away, kind="stable")[:most]
        gains = self.gains(some[nearest], source, target)
        yield from zip(gains.tolist(), away[nearest].tolist(), some[nearest].tolist(), strict=True)

    def gains(self, units: NDArray[np.int64], source: int, target: int) -> NDArray[np.float64]:
        """By how much the cost would fall for each unit moved alone."""
        share_CF, has_CF = self.share_UF[units], self.has_UF[units]
        before = self.cost(source, self.share_SF[source], self.count_SF[source]) + self.cost(
            target, self.share_SF[target], self.count_SF[target]
        )
        after = self.cost(source, self.share_SF[source] - share_CF, self.count_SF[source] - has_CF) + self.cost(
            target, self.share_SF[target] + share_CF, self.count_SF[target] + has_CF
        )
        return np.asarray(before - after)

    def move(self, unit: int, target: int) -> None:
        """Move a unit."""
        source = self.side_U[unit]
        self.share_SF[source] -= self.share_UF[unit]
        self.share_SF[target] += self.share_UF[unit]
        self.count_SF[source] -= self.has_UF[unit]
        self.count_SF[target] += self.has_UF[unit]
        self.side_U[unit] = target
