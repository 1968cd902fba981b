"""The report of a comparison: tables and sentences from the data of `compare_runs.compare`."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.comparison import figures, html_page, safe_text
from pipelines.comparison.experiment import METRICS
from pipelines.comparison.results import CURVES
from pipelines.comparison.statistics import Estimate, short
from pipelines.settings import X_AXES

Data = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Provenance:
    """How a report came about."""

    command: str  # which makes this report
    runs: Mapping[str, str]  # each run's name and its command
    failed: Mapping[str, str]  # each failed run's name and its last words


def write(
    root: pathlib.Path, title: str, text: str, data: dict[str, Any], provenance: Provenance
) -> None:
    """Writes report.md, report.json, report.html and their pictures.

    Args:
      root: the directory to write to; must exist.
      title: the report's title.
      text: Markdown that stands below the title; whoever wrote it need not be trusted.
      data: from `compare_runs.compare`.
      provenance: shown at the end of the report.
    """
    shown = safe_text.escaped(data)  # names come from files, and stand in every sentence
    sections = [safe_text.prose(text), *_reading(shown), *_failed(provenance.failed)]
    for judged in shown['claims']:
        sections += claim_in_words(judged)
    for name, environment in shown['environments'].items():
        sections += _environment(name, environment)
    sections.append(
        html_page.picture(
            'score of each seed, IQM and its interval',
            root / 'scores.png',
            lambda png: figures.draw_scores(data, png),
        )
    )
    if shown['together']:
        sections += _together(shown['together'])
    sections += _pictures(data, root)
    sections += [*_cost(shown), *_how(data, provenance)]
    everything = data | {'provenance': dataclasses.asdict(provenance)}
    html_page.write(root, title, '\n\n'.join(sections), everything)


def _pictures(data: Data, root: pathlib.Path) -> Iterator[str]:
    """What is drawn of all environments."""
    yield html_page.picture(
        'probability of improvement',
        root / 'improvement.png',
        lambda png: figures.draw_improvement(data, png),
    )
    yield '## Performance profiles'
    yield html_page.picture(
        'share of runs above a score',
        root / 'profiles.png',
        lambda png: figures.draw_profiles(data, png),
    )
    x_axis = data['x_axis']
    caption = f'IQM of {CURVES[x_axis]}, against {X_AXES[x_axis]}'
    draw = functools.partial(figures.draw_curves, data)
    if curves := html_page.picture(caption, root / 'curves.png', draw):
        yield '## Sample efficiency'
        yield curves


def in_short(data: Data) -> Iterator[str]:
    """The lines that the console shows: each agent's IQM, and whether the seeds suffice."""
    yield f'IQM of {data["metric"]} over the seeds, with its 95 % interval:'
    for name, environment in data['environments'].items():
        for agent, cell in environment['agents'].items():
            names = f'{safe_text.printable(name):<16} {safe_text.printable(agent):<20}'
            yield f'  {names} {Estimate(*cell["iqm"])}, {len(cell["seeds"])} seeds'
    if data['fewest_seeds'] < data['min_seeds_of_a_claim']:
        yield f'too few seeds for a claim: {data["fewest_seeds"]} in the smallest cell'


def claim_in_words(judged: Data) -> Iterator[str]:
    """The section about one claim: its numbers, and whether they bear it out."""
    suffers, endures, where = judged['suffers'], judged['endures'], judged['to']
    step = f'from {judged["from"]} to {where}'
    loss, kept = Estimate(*judged['change_of_suffers']), Estimate(*judged['change_of_endures'])
    spared = Estimate(*judged['difference_of_changes'])
    yield f'## {judged["claim"]}'
    yield '\n'.join(
        (
            f'- {suffers}, {step}: the IQM changes by {loss}.',
            f'- {endures}, {step}: by {kept}.',
            f'- The second change minus the first: {spared}.',
            f'- On {where}, {endures} minus {suffers}: '
            f'{Estimate(*judged["difference_at_to"])}; the probability that a run of {endures} is '
            f'better is {Estimate(*judged["probability_at_to"])}.',
        )
    )
    yield f'**{_verdict(judged)}**'


def _reading(data: Data) -> Iterator[str]:
    """How to read the report."""
    few, enough = data['fewest_seeds'], data['min_seeds_of_a_claim']
    yield (
        f'A score is the {METRICS[data["metric"]]} (`{data["metric"]}`). Square brackets are 95 % '
        'intervals, percentiles of a bootstrap over the seeds of each environment ([Agarwal et al. '
        '2021](https://arxiv.org/abs/2108.13264)). IQM: the mean of the middle half of the seeds. '
        'A difference whose interval includes 0 is no claim; where many pairs are shown, expect '
        'one interval in twenty to exclude 0 by chance.'
    )
    if few < enough:
        yield (
            f'**Too few seeds for a claim: {few} in the smallest cell, and fewer than {enough} '
            'give intervals that are far too narrow.**'
        )


def _failed(failed: Mapping[str, str]) -> Iterator[str]:
    if failed:
        yield '## Runs that failed, and are missing below'
        yield '\n'.join(
            f'- {safe_text.escaped(name)}: {safe_text.code(words)}'
            for name, words in failed.items()
        )


def _verdict(judged: Data) -> str:
    """One sentence: the claim holds, half of it holds, it does not hold, or it is not judged."""
    suffers, endures = judged['suffers'], judged['endures']
    loss, kept = Estimate(*judged['change_of_suffers']), Estimate(*judged['change_of_endures'])
    spared = Estimate(*judged['difference_of_changes'])
    allowed = f'a tenth of its score, {short(judged["margin"])}'
    if not judged['judged']:
        return f'Not judged: {judged["seeds"]} seeds are too few.'
    if judged['holds']:
        return (
            f'The claim holds here: {suffers} loses, and {endures} loses less, and surely less '
            f'than {allowed}.'
        )
    if judged['loses_less'] and kept.high >= 0.0:
        return (
            f'Half of the claim holds here: {suffers} loses, and {endures} loses less. Whether '
            f'{endures} loses at all is open: it may be more than {allowed}.'
        )
    missing = []
    if not loss.high < 0.0:
        missing.append(
            f'{suffers} gains' if loss.low > 0.0 else f'that {suffers} loses is not shown'
        )
    if not spared.low > 0.0:
        missing.append(
            f'{endures} loses more'
            if spared.high < 0.0
            else f'that {endures} loses less is not shown'
        )
    if kept.high < 0.0:
        missing.append(f'{endures} loses, too')
    return f'The claim does not hold here: {"; ".join(missing)}.'


def _environment(name: str, environment: Data) -> Iterator[str]:
    yield f'## {name}'
    yield html_page.table(
        ('agent', 'seeds', 'mean', 'IQM', 'median', 'each seed'),
        [
            (
                agent,
                len(cell['seeds']),
                *(Estimate(*cell[key]) for key in ('mean', 'iqm', 'median')),
                ', '.join(map(short, cell['scores'])),
            )
            for agent, cell in environment['agents'].items()
        ],
    )
    yield from _pairs(environment['pairs'], len(environment['agents']))


def _pairs(pairs: Sequence[Data], num_agents: int) -> Iterator[str]:
    if num_agents < 2:
        return
    yield html_page.table(
        ('pair', 'difference of IQM', 'probability of improvement', 'verdict'),
        [
            (
                f'{pair["agent"]} against {pair["beside"]}',
                Estimate(*pair['difference']),
                Estimate(*pair['probability']),
                pair['says'],
            )
            for pair in pairs
        ],
    )


def _together(together: Data) -> Iterator[str]:
    alone = len(together['scales']) == 1
    yield '## Normalised scores' if alone else '## All environments together'
    yield 'Scores are normalised: (score - zero) / (one - zero).'
    yield html_page.table(
        ('environment', 'zero', 'one', 'source'),
        [
            (name, short(scale['zero']), short(scale['one']), scale['source'])
            for name, scale in together['scales'].items()
        ],
    )
    if left_out := together['left_out_environments']:
        yield f'Left out, because no such numbers are known: {", ".join(left_out)}.'
    if left_out := together['left_out_agents']:
        yield (
            'Left out, because none of their seeds ran in every one of these environments: '
            f'{", ".join(left_out)}.'
        )
    yield html_page.table(
        ('agent', 'seeds', 'mean', 'IQM', 'median over environments'),
        [
            (agent, row['seeds'], *(Estimate(*row[key]) for key in ('mean', 'iqm', 'median')))
            for agent, row in together['agents'].items()
        ],
    )
    yield from _pairs(together['pairs'], len(together['agents']))


def _cost(data: Data) -> Iterator[str]:
    yield '## What it cost'
    yield html_page.table(
        ('environment', 'agent', 'env steps', 'seconds', 'env steps/s'),
        [
            (
                name,
                agent,
                f'{cell["env_steps"]:,.0f}',
                f'{cell["wall_seconds"]:,.1f}',
                f'{cell["env_steps_per_second"]:,.0f}',
            )
            for name, environment in data['environments'].items()
            for agent, cell in environment['agents'].items()
        ],
    )
    yield 'Means over the seeds; seconds of training and periodic evaluation.'


def _how(data: Data, provenance: Provenance) -> Iterator[str]:
    """Commands and configuration."""
    configuration = data['configuration']
    yield '## How it was made'
    yield safe_text.fence([provenance.command])
    firsts: dict[str, str] = {}
    for name, command in provenance.runs.items():
        firsts.setdefault(name.rpartition('/')[0], command)
    if firsts:
        yield 'The runs it compares, for the first seed (report.json has every command):'
        yield safe_text.fence(firsts.values())
    if any(configuration['cells'].values()):
        yield 'What differs:'
        yield html_page.table(
            ('environment / agent', 'bindings'),
            [
                (
                    safe_text.escaped(name),
                    '<br>'.join(safe_text.code(f'{k} = {v}') for k, v in bindings.items()),
                )
                for name, bindings in configuration['cells'].items()
            ],
        )
    yield 'The operative configuration that all runs share:'
    yield safe_text.fence(f'{k} = {v}' for k, v in configuration['common'].items())
