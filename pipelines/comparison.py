"""From finished runs to numbers: scores, differences, claims, learning curves, as plain data.

The data is what report.json holds, and what tables and pictures are made from. An estimate
is [value, low, high], with its 95 % interval (see `score_statistics`).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pipelines import reference, run_results
from pipelines import score_statistics as statistics
from pipelines.experiment import Claim
from pipelines.run_results import Result
from pipelines.score_statistics import MIN_SEEDS

_CURVE_POINTS, _PROFILE_POINTS = 60, 61
_NO_LOSS = 0.1  # of a score: who surely loses less does not suffer

Scores = dict[str, dict[str, np.ndarray]]  # by environment and agent: float64 [seeds, 1]


def compare(results: Sequence[Result], metric: str, claims: Iterable[Claim] = ()) -> dict:
    """Everything that can be said of the runs.

    Args:
      results: finished runs, in the order to show agents and environments in; which seeds an
        agent has may differ by environment.
      metric: 'eval_mean' or 'return_mean_100'.
      claims: to be judged; those about missing cells are left out.

    Raises:
      UserError: runs that are no seeds of one agent, or a run without a score.
    """
    run_results.check_cells(results)
    cells: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        runs = cells.setdefault(result.environment, {}).setdefault(result.agent, [])
        bisect.insort(runs, result, key=lambda run: run.seed)
    scores = {
        environment: {
            agent: np.array([[run.score(metric)] for run in runs]) for agent, runs in agents.items()
        }
        for environment, agents in cells.items()
    }
    # One environment alone gains nothing from it, but that Atari's unit is the human.
    is_atari = any(result.card.get('atari_game') for result in results)
    scales, normalised = _normalised(cells, metric) if len(cells) > 1 or is_atari else ({}, {})
    together = bool(normalised) and (len(scales) > 1 or is_atari)
    many = together and len(scales) > 1
    return {
        'metric': metric,
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
        if many
        else [_profile(environment, agents) for environment, agents in scores.items()],
        'claims': [
            _judge(claim, scores)
            for claim in claims
            if all(
                agent in scores.get(environment, {})
                for agent in (claim.suffers, claim.endures)
                for environment in (claim.from_environment, claim.to_environment)
            )
        ],
        'configuration': _configuration(results),
    }


def _cell(runs: Sequence[Result], scores: np.ndarray) -> dict:
    def mean_of(name: str) -> float:
        return float(np.mean([run.summary[name] for run in runs]))

    return {
        'seeds': [run.seed for run in runs],
        'scores': scores[:, 0].tolist(),
        'mean': statistics.estimate(statistics.mean, scores),
        'iqm': statistics.estimate(statistics.iqm, scores),
        'median': statistics.estimate(statistics.median_of_seeds, scores),
        'env_steps': mean_of('env_steps'),
        'wall_seconds': mean_of('wall_seconds'),
        'env_steps_per_second': mean_of('env_steps_per_second'),
    }


def _pairs(scores: Mapping[str, np.ndarray]) -> list[dict]:
    """Each later agent beside each earlier one."""
    return [
        _pair(later, earlier, scores[later], scores[earlier])
        for earlier, later in itertools.combinations(scores, 2)
    ]


def _pair(agent: str, beside: str, x: np.ndarray, y: np.ndarray) -> dict:
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


def _curves(agents: Mapping[str, Sequence[Result]]) -> dict:
    """By agent: the IQM of return_mean_100 over its seeds, where each of them has a value.

    An agent is left out where a run has none: what the others show would be another mean.
    """
    curves = {}
    for agent, runs in agents.items():
        if not all(run.returns for run in runs):
            continue
        start = max(run.env_steps[0] for run in runs)
        end = min(run.env_steps[-1] for run in runs)
        if start >= end:
            continue
        env_steps = np.linspace(start, end, _CURVE_POINTS)
        returns = np.array([np.interp(env_steps, run.env_steps, run.returns) for run in runs])
        curves[agent] = {'env_steps': env_steps.tolist()} | _lists(statistics.iqm_curve(returns))
    return curves


def _lists(band: statistics.Band) -> dict:
    return {name: numbers.tolist() for name, numbers in band._asdict().items()}


def _normalised(
    cells: Mapping[str, Mapping[str, Sequence[Result]]], metric: str
) -> tuple[dict[str, reference.Scale], dict[str, np.ndarray]]:
    """Scales by environment, and by agent its scores [seeds, environments] on them.

    Of an agent those seeds count that it has in every environment with a scale.
    """
    scales = {}
    for environment, agents in cells.items():
        run = next(iter(agents.values()))[0]
        if scale := reference.scale(run.summary['env_name'], run.card.get('atari_game')):
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


def _together(
    cells: Mapping[str, Mapping[str, Sequence[Result]]],
    scales: Mapping[str, reference.Scale],
    normalised: Mapping[str, np.ndarray],
) -> dict:
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


def _profile(title: str, scores: Mapping[str, np.ndarray]) -> dict:
    low = min(float(s.min()) for s in scores.values())
    high = max(float(s.max()) for s in scores.values())
    margin = 0.05 * (high - low) or 1.0
    thresholds = np.linspace(low - margin, high + margin, _PROFILE_POINTS)
    agents = {agent: _lists(statistics.profile(s, thresholds)) for agent, s in scores.items()}
    return {'title': title, 'thresholds': thresholds.tolist(), 'agents': agents}


def _judge(claim: Claim, scores: Scores) -> dict:
    """The three things a claim says, each as a difference of IQMs with its interval.

    Suffering shows in a loss whose interval is below 0; that the other endures better, in the
    difference of the two losses: that one interval excludes 0 and another does not would show
    nothing. That the other does not suffer shows where its whole interval is above a loss of a
    tenth of its score.
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


def _configuration(results: Sequence[Result]) -> dict:
    """The operative bindings that all runs share, and by cell those that differ."""
    names = run_results.differing([result.config for result in results])
    common = {k: v for k, v in results[0].config.items() if k not in names}
    cells = {
        f'{result.environment} / {result.agent}': {
            name: result.config[name] for name in names if name in result.config
        }
        for result in results
    }
    return {'common': common, 'cells': cells}
