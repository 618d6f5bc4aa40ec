"""Money over the cells style × class, by how much the audit found wrong there and how fast labels cure it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import numpy as np

from bal.selection.selectors._basket import Basket, reading
from bal.selection.selectors._cells import find_styles, share_out
from bal.selection.selectors._draw import between, for_money, order, share_of_top
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import BadInput, Key

Styles = Literal["given", "found"]
KINDS = 10**4  # the most styles to look for


@dataclass(frozen=True)
class Allocation:
    """Each cell of a style s and a foreground class c gets money by its audited errors; power noise within a cell.

        money of (s, c)  ∝  (w_s r_sc)^(1/(1 + α)),   r_sc = (E_sc + κ r_c) / (n_s + κ),   r_c = (E_c + κ r̄) / (n + κ)
        within (s, c):   rank by  log mean(score · p_c) + ε,   ε ~ Gumbel(0, 1/β)

    w_s is the share of the pool's regions that are of the style; n_s of its regions were audited, with E_sc wrong
    pixels of the class, in truth or as predicted; n and E_c are those of the pool, and r̄ is the mean of E_c/n over the
    foreground classes. If the errors of a cell fall as r n^(−α) with n labels of it, this split of the next labels
    leaves the least error on the pool as it is mixed: Lagrange, of min Σ w r n^(−α) at a given Σ n. Without audited
    errors, all r are 1.

    A style that no label can teach keeps its errors and its money. Cells take turns as in `stratified`; regions of no
    known style, and without a reading, are bought by the plain score once no others are left. Scores that are not
    positive are treated as in `power`. No probabilities are reported.

    Reference:
        The exponent is this project's own, of the rule for optimum allocation: Neyman (1934), "On the Two Different
        Aspects of the Representative Method", which is α = 1 with r a variance. Shrinkage: Efron & Morris (1975),
        "Data Analysis Using Stein's Estimator and its Generalizations"; here κ is stated and not estimated. Within
        cells: ClaSP PE, arXiv:2601.13677.
    """

    alpha: float = 0.5
    """How fast labels cure a cell: its errors fall as the number of its labels to the power −α."""
    strength: float = 4.0
    """κ: audited regions of a style whose own errors count as much as those of the pool."""
    styles: Styles = "found"
    """Whose styles: those that the source gives, or clusters of what whole images look like (`pool.coverage`)."""
    kinds: int = 8
    """Styles to find, if they are to be found."""
    beta: float = 1.0
    """β of the first purchase."""
    beta_end: float | None = None
    """β of the last purchase, geometric in between; None keeps it."""
    per_cost: bool = False
    """Draw by (score / expected price)^β; where all prices are equal nothing changes, to the bit."""

    def __post_init__(self) -> None:
        if not (0 <= self.alpha < float("inf") and 0 < self.strength < float("inf") and 1 <= self.kinds <= KINDS):
            raise BadInput(
                f"allocation needs α ≥ 0, strength > 0 and 1 ≤ kinds ≤ {KINDS}; got {self.alpha}, {self.strength} and "
                f"{self.kinds}"
            )
        if self.styles not in get_args(Styles):
            raise BadInput(f"allocation.styles: expected given or found, got {self.styles!r}")
        if not (0 < self.beta < float("inf") and 0 < (self.beta_end or self.beta) < float("inf")):
            raise BadInput(f"allocation needs β > 0, got {self.beta} and {self.beta_end}")

    @property
    def needs(self) -> tuple[str, ...]:
        """The score by class, what the audit found wrong, and the style or what it is found by."""
        return "by_predicted", "audited", "style" if self.styles == "given" else "appearance"

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        by_class, known = reading(about, "by_predicted")
        style = np.asarray(about["style"]) if self.styles == "given" else find_styles(about["appearance"], self.kinds)
        beta = between(self.beta, self.beta_end, offer.progress)
        worth = for_money(basket, scores, self.per_cost)
        weight, rankings = [], []
        for s, shares in weights(style, about["audited"], self.alpha, self.strength).items():
            able = basket.open & known & (style == s)
            for c, share in enumerate(shares, 1):
                of_class = for_money(basket, by_class[:, c], self.per_cost)
                weight.append(share)
                rankings.append(order(key, offer, beta * np.log(share_of_top(of_class, able)), able))
        share_out(jax.random.fold_in(key, 0), basket, np.array(weight), rankings)
        basket.fill(order(key, offer, beta * np.log(share_of_top(worth, basket.open)), basket.open))
        return basket.query()


def weights(style: np.ndarray, audited: np.ndarray, alpha: float, strength: float) -> dict[int, np.ndarray]:
    """[C − 1] (w r)^(1/(1 + α)) of the foreground classes in each style that regions have.

    Args:
        style: [M] the style of each region; a negative one is none.
        audited: [M, C] wrong pixels by class, NaN where nothing was audited.
        alpha, strength: α and κ of `Allocation`.
    """
    wrong = np.asarray(audited, np.float64)[:, 1:]
    seen = np.isfinite(wrong).all(1)
    prior = (wrong[seen].sum(0) + strength * wrong[seen].sum() / max(1, wrong[seen].size)) / (seen.sum() + strength)
    found = {}
    for s in np.unique(style[style >= 0]).tolist():
        mine = seen & (style == s)
        rate = (wrong[mine].sum(0) + strength * prior) / (mine.sum() + strength)
        share = (style == s).sum() / (style >= 0).sum()
        found[s] = (share * (rate if prior.any() else np.ones_like(rate))) ** (1 / (1 + alpha))
    return found
