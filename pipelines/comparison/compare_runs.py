"""From finished runs to numbers: scores, differences, claims, learning curves, as plain data.

The data is what report.json holds, and what tables and pictures are made from. An estimate in
it is [value, low, high], with its 95 % interval (see `statistics`).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from envs.errors import EnvError
from pipelines.comparison import statistics
from pipelines.comparison.experiment import Claim
from pipelines.comparison.results import Result, check_cells, differing
from pipelines.comparison.statistics import MIN_SEEDS
from pipelines.runs import published

_CURVE_POINTS, _PROFILE_POINTS = 60, 61
_NO_LOSS = 0.1  # share of a score: an agent that certainly loses less does not suffer

Scores = dict[str, dict[str, np.ndarray]]  # by environment and agent: float64 [seeds, 1]
Cells = dict[str, dict[str, list[Result]]]  # by environment and agent: one run per seed, sorted


def compare(results: Sequence[Result], metric: str, claims: Iterable[Claim] = ()) -> dict[str, Any]:
    """Everything that can be said about the runs.

    Args:
      results: finished runs, in the order to show agents and environments in, with learning
        curves over one x axis; an agent may have different seeds in different environments.
      metric: 'eval_mean' or 'return_mean_100'.
      claims: to be judged; those about missing cells are left out.

    Raises:
      UserError: the runs of a cell are not seeds of one agent, or a run has no score.
    """
    check_cells(results)
    cells = _cells(results)
    scores = {
        environment: {
            agent: np.array([[run.score(metric)] for run in runs]) for agent, runs in agents.items()
        }
        for environment, agents in cells.items()
    }
    # Normalising a single environment's scores shows nothing new, except on Atari, where a
    # score of 1 is the human's.
    is_atari = any(result.is_atari for result in results)
    scales, normalised = _normalised(cells, metric) if len(cells) > 1 or is_atari else ({}, {})
    together = bool(normalised) and (len(scales) > 1 or is_atari)
    return {
        'metric': metric,
        'x_axis': results[0].x_axis,
        'min_seeds_of_a_claim': MIN_SEEDS,
        'fewest_seeds': min(len(s) for agents in scores.values() for s in agents.values()),
        'environments': {
            environment: {
                'agents': {
                    agent: _cell(runs, scores[environment][agent]) for agent, runs in agents.items()
                },
                'pairs': _pairs(scores[environment]),
                'curves': _curves(agents),
            }
            for environment, agents in cells.items()
        },
        'together': _together(cells, scales, normalised) if together else None,
        'profiles': [_profile('all environments, normalised', normalised)]
        if together and len(scales) > 1
        else [_profile(environment, agents) for environment, agents in scores.items()],
        'claims': [_judge(claim, scores) for claim in claims if _can_be_judged(claim, scores)],
        'configuration': _configuration(results),
    }


def _cells(results: Sequence[Result]) -> Cells:
    cells: Cells = {}
    for result in results:
        runs = cells.setdefault(result.environment, {}).setdefault(result.agent, [])
        bisect.insort(runs, result, key=lambda run: run.seed)
    return cells


def _cell(runs: Sequence[Result], scores: np.ndarray) -> dict[str, Any]:
    """One agent on one environment."""
    summaries = [run.summary for run in runs]
    return {
        'seeds': [run.seed for run in runs],
        'scores': scores[:, 0].tolist(),
        'mean': statistics.estimate(statistics.mean, scores),
        'iqm': statistics.estimate(statistics.iqm, scores),
        'median': statistics.estimate(statistics.median_of_seeds, scores),
        'env_steps': float(np.mean([s.env_steps for s in summaries])),
        'wall_seconds': float(np.mean([s.wall_seconds for s in summaries])),
        'env_steps_per_second': float(np.mean([s.env_steps_per_second for s in summaries])),
    }


def _pairs(scores: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Each agent beside every agent before it."""
    return [
        _pair(later, earlier, scores[later], scores[earlier])
        for earlier, later in itertools.combinations(scores, 2)
    ]


def _pair(agent: str, beside: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    difference = statistics.estimate(_iqm_difference, x, y)
    if min(len(x), len(y)) < MIN_SEEDS:
        says = 'too few seeds for a claim'
    elif not difference.excludes_zero:
        says = 'no claim: the interval includes 0'
    else:
        says = f'{agent if difference.value > 0.0 else beside} is better'
    return {
        'agent': agent,
        'beside': beside,
        'difference': difference,
        'probability': statistics.estimate(statistics.improvement, x, y),
        'says': says,
    }


def _iqm_difference(x: np.ndarray, y: np.ndarray) -> float:
    return statistics.iqm(x) - statistics.iqm(y)


def _curves(agents: Mapping[str, Sequence[Result]]) -> dict[str, Any]:
    """By agent, the IQM of its learning curves as far as all its seeds have come.

    An agent with a run that has no curve is left out: a mean over the other runs alone would
    be of a selection.
    """
    curves = {}
    for agent, runs in agents.items():
        if not all(run.returns for run in runs):
            continue
        start = max(run.x[0] for run in runs)
        end = min(run.x[-1] for run in runs)
        if start >= end:
            continue
        x = np.linspace(start, end, _CURVE_POINTS)
        returns = np.array([np.interp(x, run.x, run.returns) for run in runs])
        curves[agent] = {runs[0].x_axis: x.tolist()} | _lists(statistics.iqm_curve(returns))
    return curves


def _lists(band: statistics.Band) -> dict[str, list[float]]:
    return {name: numbers.tolist() for name, numbers in band._asdict().items()}


def _normalised(
    cells: Mapping[str, Mapping[str, Sequence[Result]]], metric: str
) -> tuple[dict[str, published.Scale], dict[str, np.ndarray]]:
    """Each environment's scale, and each agent's scores [seeds, environments] on these scales.

    Only the seeds count that the agent has in every environment with a scale.
    """
    scales: dict[str, published.Scale] = {}
    for environment, agents in cells.items():
        run = next(iter(agents.values()))[0]
        if scale := _scale(run):
            scales[environment] = scale
    normalised = {}
    for agent in dict.fromkeys(agent for agents in cells.values() for agent in agents):
        by_seed = [
            {
                run.seed: (run.score(metric) - scale.zero) / (scale.one - scale.zero)
                for run in cells[environment].get(agent, [])
            }
            for environment, scale in scales.items()
        ]
        if seeds := sorted(set.intersection(*map(set, by_seed))) if by_seed else []:
            normalised[agent] = np.array([[column[seed] for column in by_seed] for seed in seeds])
    return scales, normalised


def _scale(run: Result) -> published.Scale | None:
    try:
        return published.scale(run.task)
    except EnvError:  # the run was made where other environments are installed
        return None


def _together(
    cells: Mapping[str, Mapping[str, Sequence[Result]]],
    scales: Mapping[str, published.Scale],
    normalised: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """All environments at once, on normalised scores."""
    agents = dict.fromkeys(agent for environment in cells.values() for agent in environment)
    return {
        'scales': {environment: scale._asdict() for environment, scale in scales.items()},
        'left_out_environments': [name for name in cells if name not in scales],
        'left_out_agents': [name for name in agents if name not in normalised],
        'agents': {
            agent: {
                'seeds': len(scores),
                'mean': statistics.estimate(statistics.mean, scores),
                'iqm': statistics.estimate(statistics.iqm, scores),
                'median': statistics.estimate(statistics.median, scores),
            }
            for agent, scores in normalised.items()
        },
        'pairs': _pairs(normalised),
    }


def _profile(title: str, scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
    low = min(float(s.min()) for s in scores.values())
    high = max(float(s.max()) for s in scores.values())
    margin = 0.05 * (high - low) or 1.0
    thresholds = np.linspace(low - margin, high + margin, _PROFILE_POINTS)
    agents = {agent: _lists(statistics.profile(s, thresholds)) for agent, s in scores.items()}
    return {'title': title, 'thresholds': thresholds.tolist(), 'agents': agents}


def _can_be_judged(claim: Claim, scores: Scores) -> bool:
    """Whether all four cells that the claim is about have runs."""
    return all(
        agent in scores.get(environment, {})
        for agent in (claim.suffers, claim.endures)
        for environment in (claim.from_environment, claim.to_environment)
    )


def _judge(claim: Claim, scores: Scores) -> dict[str, Any]:
    """The three parts of a claim, each as a difference of IQMs with its interval.

    That `suffers` loses is shown by an interval of its change that lies below 0. That `endures`
    loses less is shown by an interval of the difference between the two changes that lies above
    0; that one change's interval excludes 0 and the other's does not would show nothing. That
    `endures` does not suffer is shown by an interval of its change that lies wholly above a loss
    of a tenth of its score.
    """
    before, after = scores[claim.from_environment], scores[claim.to_environment]
    suffering = (after[claim.suffers], before[claim.suffers])
    enduring = (after[claim.endures], before[claim.endures])
    suffers = statistics.estimate(_iqm_difference, *suffering)
    endures = statistics.estimate(_iqm_difference, *enduring)
    spared = statistics.estimate(
        lambda a, b, c, d: _iqm_difference(a, b) - _iqm_difference(c, d), *enduring, *suffering
    )
    seeds = min(len(s) for s in (*suffering, *enduring))
    margin = _NO_LOSS * abs(statistics.iqm(before[claim.endures]))
    return {
        'claim': claim.text,
        'suffers': claim.suffers,
        'endures': claim.endures,
        'from': claim.from_environment,
        'to': claim.to_environment,
        'seeds': seeds,
        'change_of_suffers': suffers,
        'change_of_endures': endures,
        'difference_of_changes': spared,
        'difference_at_to': statistics.estimate(
            _iqm_difference, after[claim.endures], after[claim.suffers]
        ),
        'probability_at_to': statistics.estimate(
            statistics.improvement, after[claim.endures], after[claim.suffers]
        ),
        'margin': margin,
        'judged': seeds >= MIN_SEEDS,
        'loses_less': suffers.high < 0.0 < spared.low,
        'holds': seeds >= MIN_SEEDS and suffers.high < 0.0 < spared.low and endures.low > -margin,
    }


def _configuration(results: Sequence[Result]) -> dict[str, Any]:
    """The operative bindings that all runs share, and for each cell those that differ."""
    names = differing([result.config for result in results])
    common = {k: v for k, v in results[0].config.items() if k not in names}
    cells = {
        f'{result.environment} / {result.agent}': {
            name: result.config[name] for name in names if name in result.config
        }
        for result in results
    }
    return {'common': common, 'cells': cells}
