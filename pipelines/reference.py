"""Published learning curves to hold a run against.

Space Invaders: Dopamine (Castro et al. 2018), sticky actions 0.25, minimal action set, skip 4,
raw returns of training episodes averaged over 5 seeds, by agent steps. An iteration of
Dopamine's averages 250 000 agent steps, so that a point stands for the steps before it.
"""

from __future__ import annotations

from typing import NamedTuple


class Ladder(NamedTuple):
    """Returns that a run can be measured by."""

    levels: dict[str, float]  # a name and its return, whatever the steps
    curves: dict[str, list[tuple[int, float]]]  # a name and its (env steps, return)


_STEPS = (250_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_500_000, 10_000_000, 50_000_000)
_SPACE_INVADERS = Ladder(
    levels={'random play': 148.0, 'human': 1668.7},
    curves={
        name: list(zip(_STEPS, returns, strict=True))
        for name, returns in (
            ('DQN (Dopamine)', (164, 242, 331, 416, 591, 690, 1426, 4006)),
            ('Rainbow (Dopamine)', (180, 233, 285, 401, 571, 723, 1777, 5016)),
            ('IQN (Dopamine)', (185, 369, 470, 551, 690, 784, 2772, 6776)),
        )
    },
)


def ladder(env_name: str, options) -> Ladder | None:
    """What is published for this game under this protocol; None where nothing is known here."""
    if options is not None and options.is_plainly('machado') and 'SpaceInvaders' in env_name:
        return _SPACE_INVADERS
    return None
