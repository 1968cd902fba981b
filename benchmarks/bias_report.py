"""The report of benchmarks/maximisation_bias.py: conclusions, tables and plots."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

from benchmarks import bias_pictures
from benchmarks.bias_summary import Measured, Summary
from pipelines.comparison import html_page

_TITLE = 'The maximisation bias of Q-learning'
_PLAIN, _DOUBLE = 'Q-learning', 'double Q-learning'


def write(root: pathlib.Path, data: dict) -> str:
    """Draws the plots, writes the report to `root`, and returns its Markdown."""
    kinds = {name: each for name, each in data.items() if isinstance(each, dict)}
    _draw(root, kinds, data['step_size'])
    parts = [_follows(data), '![share of left moves](left_moves.png)']
    for kind, each in kinds.items():
        tables = each['tables'][f'{data["step_size"]:g}']
        parts += [
            f'## {kind[0].upper()}{kind[1:]}',
            f'{data["runs"]:,} runs of each table with step size {data["step_size"]:g}, '
            f'{data["seeds"]} seeds of each network, {data["episodes"]:,} episodes; mean over runs '
            '± its standard error. "Largest" is measured on each half of the runs in the episode '
            "where the other half's mean is highest, so choosing that episode adds no bias (the "
            'episode printed is that of all runs). A final bias marked * is still changing: the '
            'last two tenths differ by more than three standard errors and 0.005.',
            _table(tables | each['networks'], each['truth']),
            f'![estimates of Q(A, right) and max Q(A, a)]({_picture(kind)})',
        ]
    parts += ['## Step sizes', '![step sizes](step_sizes.png)']
    for kind, each in kinds.items():
        named = {
            f'{name}, {size}': summary
            for size, agents in each['tables'].items()
            for name, summary in agents.items()
        }
        parts += [f'{kind[0].upper()}{kind[1:]}:', _table(named, each['truth'])]
    markdown = '\n\n'.join(parts)
    html_page.write(root, _TITLE, markdown, data)
    return markdown


def not_shown(data: dict) -> list[str]:
    """Returns the expected results that random play did not show; empty if it showed all."""
    tables = data['random play']['tables'][f'{data["step_size"]:g}']
    plain, double = tables[_PLAIN], tables[_DOUBLE]
    goes_left = difference(double['greedy_left']['last_tenth'], plain['greedy_left']['last_tenth'])
    shown = {
        'Q-learning overestimates Q(A, right)': sign(plain['q_right']['final_bias']) > 0,
        'Q-learning goes right more often': sign(goes_left) > 0,
        'double Q-learning overestimates Q(A, right) nowhere': (
            sign(double['q_right']['largest_bias']) <= 0
            and sign(double['q_right']['final_bias']) <= 0
        ),
        # Tables that never learned would not overestimate anything either.
        'double Q-learning has learned Q(A, left) to 0.1 and Q(A, right) to 0.5': (
            abs(double['q_left']['final_bias']['mean']) < 0.1
            and abs(double['q_right']['final_bias']['mean']) < 0.5
        ),
    }
    return [what for what, is_shown in shown.items() if not is_shown]


def sign(measured: Measured) -> int:
    """Returns 1 or -1 if the mean is more than two standard errors from 0, else 0."""
    mean, error = measured['mean'], measured['standard_error']
    return 0 if abs(mean) <= 2 * error else 1 if mean > 0 else -1


def difference(a: Measured, b: Measured) -> dict[str, float]:
    """Returns a - b, for independent runs."""
    return {
        'mean': a['mean'] - b['mean'],
        'standard_error': (a['standard_error'] ** 2 + b['standard_error'] ** 2) ** 0.5,
    }


def _follows(data: dict) -> str:
    """Writes the conclusions; every number and every 'too high' comes from the data."""
    size, sentences = f'{data["step_size"]:g}', []
    for kind in ('random play', 'epsilon 0.1'):
        each = data[kind]
        plain, double = (each['tables'][size][name] for name in (_PLAIN, _DOUBLE))
        truth = each['truth']['q_right']
        sentences.append(
            f'**Tables, {kind}, step size {size}.** The estimate of Q(A, right) = {truth:.3f} '
            f'after {data["episodes"]:,} episodes {_verdict(plain["q_right"]["final_bias"])} with '
            f'Q-learning and {_verdict(double["q_right"]["final_bias"])} with double Q-learning; '
            f'at its highest it {_verdict(plain["q_right"]["largest_bias"])} and '
            f'{_verdict(double["q_right"]["largest_bias"])}. '
            + _where_they_go(kind, plain, double, each['truth'])
        )
    for kind in ('random play', 'epsilon 0.1'):
        plain, double = (data[kind]['networks'][name] for name in ('DQN', 'Double DQN'))
        apart = difference(plain['q_max']['largest_bias'], double['q_max']['largest_bias'])
        sentences.append(
            f'**Networks, {kind}.** The estimate of max Q(A, a) = '
            f'{data[kind]["truth"]["q_max"]:.3f}, at its highest, '
            f'{_verdict(plain["q_max"]["largest_bias"])} with DQN and '
            f'{_verdict(double["q_max"]["largest_bias"])} with Double DQN (DQN less Double DQN: '
            f'{bias(apart)}, {"more" if sign(apart) else "less"} than two standard errors); at '
            f'the end it {_verdict(plain["q_max"]["final_bias"])} and '
            f'{_verdict(double["q_max"]["final_bias"])}.'
        )
    sentences += [_sweep(data), _why(data)]
    return '\n\n'.join(sentences)


def _sweep(data: dict) -> str:
    """Writes how the final bias of Q(A, right) depends on the step size."""
    each = data['random play']['tables']
    by_size = [
        f'{name} ' + ', '.join(f'{bias(s[name]["q_right"]["final_bias"])} ({size})'
                               for size, s in each.items() if not _moves(s[name]["q_right"]))
        for name in (_PLAIN, _DOUBLE)
    ]  # fmt: skip
    return (
        '**Step sizes, random play.** The final bias of Q(A, right), where it no longer changes: '
        + '; '.join(by_size)
        + '. The larger the step, the noisier the estimates whose maximum is taken.'
    )


def _why(data: dict) -> str:
    """Writes the causes, each with the run that shows it."""
    size = f'{data["step_size"]:g}'
    double = data['random play']['tables'][size][_DOUBLE]['q_right']['final_bias']
    from_truth = data['random play']['double_from_truth']['q_right']['final_bias']
    return (
        '**Why.** The maximum of noisy estimates is on average larger than the maximum of the true '
        'values. Double Q-learning values an action by rewards that were not used to choose it: '
        'its estimate is true at best, and too low if a worse action is sometimes chosen '
        '(van Hasselt 2010, https://papers.nips.cc/paper/2010/hash/'
        '091d584fced301b442654dd8c23b3fc9-Abstract.html). Here, in random play, it ends '
        f'{bias(double)} from the truth, and {bias(from_truth)} if its tables start at the truth: '
        + ('starting at 0 is not a cause. ' if not sign(difference(double, from_truth))
           else 'part of it is that tables start at 0. ')
        + 'With epsilon 0.1, an action that looks worse is seldom tried again, so its estimate '
        'stays as it is. Double DQN values an action by an older copy of the network that chose '
        'it, and both have learned from the same replay, so they are not independent. The replay '
        'averages over everything seen, as a small step size does.'
    )  # fmt: skip


def _moves(estimate: Summary) -> bool:
    change = estimate['late_change']
    return abs(change['mean']) > max(3 * change['standard_error'], 0.005)


def _where_they_go(kind: str, plain: Summary, double: Summary, truth: Mapping[str, float]) -> str:
    if kind == 'random play':
        return (
            f'Acting greedily, {share(plain["greedy_left"]["last_tenth"])} of the Q-learners would '
            'go left, which is optimal, and '
            f'{share(double["greedy_left"]["last_tenth"])} of the double Q-learners.'
        )
    first, last = (
        ' and '.join(share(agent['left_moves'][tenth]) for agent in (plain, double))
        for tenth in ('first_tenth', 'last_tenth')
    )
    return (
        f'The shares of first moves to the left are {first} in the first tenth of the episodes and '
        f'{last} in the last (exploration allows at most {truth["left_moves"]:.3f}).'
    )


def _verdict(measured: Measured) -> str:
    """Says in words whether an estimate is true, given its bias."""
    words = {
        0: 'is the true value within two standard errors', 1: 'is too high', -1: 'is too low'
    }  # fmt: skip
    return f'{words[sign(measured)]} ({bias(measured)})'


def bias(measured: Measured) -> str:
    """Formats a bias: '+0.123 ± 0.004'."""
    return f'{measured["mean"]:+.3f} ± {measured["standard_error"]:.3f}'


def share(measured: Measured) -> str:
    """Formats a share: '0.912 ± 0.004'."""
    return bias(measured).removeprefix('+')


def _table(agents: Mapping[str, Summary], truth: Mapping[str, float]) -> str:
    rows = [
        f'| agent | first moves left, last tenth (best {truth["left_moves"]:.3f}) | greedy left '
        f'| Q(A, right) - {truth["q_right"]:.3f}: largest (episode) | final '
        f'| max Q(A, a) - {truth["q_max"]:.3f}: largest (episode) | final |',
        '|---|---|---|---|---|---|---|',
    ]
    for name, summary in agents.items():
        cells = [share(summary[left]['last_tenth']) for left in ('left_moves', 'greedy_left')]
        for estimate in (summary['q_right'], summary['q_max']):
            largest = estimate['largest_bias']
            mark = ' *' if _moves(estimate) else ''
            cells += [
                f'{bias(largest)} ({largest["episode"]})',
                bias(estimate['final_bias']) + mark,
            ]
        rows.append(f'| {name} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(rows)


def _picture(kind: str) -> str:
    return f'estimates_{kind.replace(" ", "_")}.png'


def _draw(root: pathlib.Path, kinds: Mapping[str, dict], step_size: float) -> None:
    def panels(each: dict, quantity: str) -> list[dict]:
        return [
            {name: summary[quantity]['curve'] for name, summary in agents.items()}
            for agents in (each['tables'][f'{step_size:g}'], each['networks'])
        ]

    quantities = {'epsilon 0.1': 'left_moves', 'random play': 'greedy_left'}
    titles = {
        'epsilon 0.1': 'epsilon 0.1: share of first moves left',
        'random play': 'random play: share that would go left',
    }
    bias_pictures.draw_panels(
        root / 'left_moves.png',
        {
            titles[kind]: bias_pictures.Row(
                each['truth'][quantities[kind]],
                panels(each, quantities[kind]),
                truth_name='with the true values',
            )
            for kind, each in kinds.items()
        },
    )
    for kind, each in kinds.items():
        bias_pictures.draw_panels(
            root / _picture(kind),
            {
                title: bias_pictures.Row(each['truth'][quantity], panels(each, quantity))
                for title, quantity in (('Q(A, right)', 'q_right'), ('max Q(A, a)', 'q_max'))
            },
        )
    bias_pictures.draw_step_sizes(root / 'step_sizes.png', kinds, (_PLAIN, _DOUBLE))
