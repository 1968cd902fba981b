"""The numbers of benchmarks/maximisation_bias.py: means over runs with their standard errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.bias_runs import Runs
from envs import bias_mdp

Summary = dict[str, Any]
Measured = Mapping[str, float]  # 'mean' and 'standard_error'
_POINTS_PER_CURVE = 100
_GOES_LEFT = bias_mdp.NEXT_STATE[bias_mdp.A] == bias_mdp.E  # [A]


def truths(gamma: float, epsilon: float) -> dict[str, float]:
    """Returns true values of A, and the share of first left moves that epsilon allows."""
    q_star = bias_mdp.solve(gamma)[bias_mdp.A]
    return {
        'q_left': float(q_star[bias_mdp.LEFT]),
        'q_right': float(q_star[bias_mdp.RIGHT]),
        'q_max': float(q_star.max()),
        'left_moves': float(1.0 - epsilon * (1.0 - _GOES_LEFT.mean())),
        'greedy_left': 1.0,
    }


def summarise(runs: Runs, truth: Mapping[str, float]) -> Summary:
    """Summarises one agent: its moves in the first and last tenth, its largest and final bias."""
    tenth = max(1, runs.left.shape[1] // 10)
    greedy_left = _GOES_LEFT[runs.q_values.argmax(axis=-1)]
    summary: Summary = {
        'left_moves': {
            'first_tenth': measured(runs.left[:, :tenth].mean(axis=1)),
            'last_tenth': measured(runs.left[:, -tenth:].mean(axis=1)),
            'curve': _curve(runs.left),
        },
        'greedy_left': {
            'last_tenth': measured(greedy_left[:, -tenth:].mean(axis=1)),
            'curve': _curve(greedy_left),
        },
    }
    estimates = {
        'q_left': runs.q_values[..., bias_mdp.LEFT],
        'q_right': runs.q_values[..., bias_mdp.RIGHT],
        'q_max': runs.q_values.max(axis=-1),
    }
    for name, estimate in estimates.items():
        bias = estimate - truth[name]
        summary[name] = {
            'largest_bias': _largest(bias),
            'final_bias': measured(bias[:, -1]),
            'late_change': measured(
                bias[:, -tenth:].mean(axis=1) - bias[:, -2 * tenth : -tenth].mean(axis=1)
            ),
            'curve': _curve(estimate),
        }
    return summary


def _largest(bias: np.ndarray) -> dict[str, float]:
    """Measures the bias [R, N] in the episode where its mean is highest, by a double estimator.

    The highest mean of all runs would be too high merely because it was chosen, which is the
    subject of this benchmark. So each half of the runs is measured in the episode that the other
    half chooses.
    """
    halves = bias[::2], bias[1::2]
    each = [
        half[:, other.mean(axis=0).argmax()]
        for half, other in zip(halves, reversed(halves), strict=True)
    ]
    return measured(np.concatenate(each)) | {'episode': int(bias.mean(axis=0).argmax()) + 1}


def measured(each: np.ndarray) -> dict[str, float]:
    """Returns the mean of one number per run, [R], and its standard error."""
    return {
        'mean': float(each.mean()),
        'standard_error': float(each.std(ddof=1) / np.sqrt(len(each))),
    }


def _curve(each: np.ndarray) -> dict[str, list[float]]:
    """Averages [R, N] over windows of a few episodes, then over runs."""
    window = max(1, each.shape[1] // _POINTS_PER_CURVE)
    count = each.shape[1] // window
    points = each[:, : count * window].reshape(len(each), count, window).mean(axis=2)
    standard_error = points.std(axis=0, ddof=1) / np.sqrt(len(each))
    return {
        'episode': [window * (i + 1) for i in range(count)],
        'mean': [round(float(mean), 4) for mean in points.mean(axis=0)],
        'standard_error': [round(float(error), 4) for error in standard_error],
    }
