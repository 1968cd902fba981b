import json
import re

import numpy as np
import pytest
from matplotlib import pyplot as plt

from pipelines.comparison import compare_runs, figures, report, results
from pipelines.comparison.experiment import Claim
from pipelines.errors import UserError
from tests.pipelines.fake_runs import finished_run

CLAIM = Claim('the claim', 'dqn', 'double', 'quiet', 'noisy')


def read_runs(tmp_path, scores, **more):
    """Makes finished runs and reads them; scores: {(environment, agent): one score per seed}."""
    read = []
    for (environment, agent), each in scores.items():
        for seed, score in enumerate(each):
            path = tmp_path / environment / agent / f'seed_{seed}'
            finished_run(path, seed, score=score, double=agent == 'double', **more)
            read.append(results.read(path, environment, agent))
    return read


def around(mean, num_seeds=10):
    return mean + np.linspace(-5, 5, num_seeds)


def markdown(tmp_path, data):
    provenance = report.Provenance('python -m pipelines.compare', runs={}, failed={})
    report.write(tmp_path, 'Title', 'Text.', data, provenance)
    return (tmp_path / 'report.md').read_text()


@pytest.mark.slow
def test_scores_differences_and_costs_are_those_of_the_runs(tmp_path):
    scores = {('quiet', 'dqn'): [1, 2, 3, 4, 5, 6, 7, 56], ('quiet', 'double'): around(50, 8)}
    data = compare_runs.compare(read_runs(tmp_path, scores), 'eval_mean')
    cell = data['environments']['quiet']['agents']['dqn']
    assert cell['scores'] == [1, 2, 3, 4, 5, 6, 7, 56] and cell['seeds'] == list(range(8))
    assert cell['iqm'][0] == 4.5 and cell['mean'][0] == 10.5 and cell['median'][0] == 4.5
    assert cell['wall_seconds'] == 2.0 and cell['env_steps_per_second'] == 500.0
    (pair,) = data['environments']['quiet']['pairs']
    assert (pair['agent'], pair['beside']) == ('double', 'dqn')
    assert pair['difference'][0] == pytest.approx(50 - 4.5)
    assert pair['probability'][0] == 7 / 8 and pair['says'] == 'double is better'
    assert data['together'] is None and len(data['profiles']) == 1
    text = markdown(tmp_path, data)
    assert '| dqn | 8 | 10.5 [' in text and 'Too few seeds' not in text
    assert json.loads((tmp_path / 'report.json').read_text())['fewest_seeds'] == 8


HARMFUL = '<script>alert(1)</script> ![x](/etc/hostname) | $\\frac$ \x1b[31m'


def test_names_and_words_of_files_are_text_in_every_form(tmp_path, capsys):
    cells = {'quiet': HARMFUL, HARMFUL: 'dqn'}
    read = [
        results.read(finished_run(tmp_path / str(i), seed=0, lesson=repr(HARMFUL)), *names)
        for i, names in enumerate(cells.items())
    ]
    data = compare_runs.compare(read, 'eval_mean')
    provenance = report.Provenance(HARMFUL, runs={}, failed={f'{HARMFUL}/seed_0': HARMFUL})
    root = tmp_path / 'report'
    (root / 'scores.png').mkdir(parents=True)  # what no picture can replace
    report.write(root, HARMFUL, f'Text. {HARMFUL}', data, provenance)
    page, text = ((root / f'report.{kind}').read_text() for kind in ('html', 'md'))
    assert '<script' not in page and 'hostname"' not in page.replace('href="/etc/hostname"', '')
    assert 'alert(1)' in page and '\x1b' not in page + text
    outside_code = re.sub(r'(`+)[^`].*?\1', '', text, flags=re.DOTALL)
    assert '<script' not in outside_code and '![x]' not in re.sub(r'\\!\[', '', outside_code)
    assert 'scores.png could not be drawn (IsADirectoryError' in text
    assert page.count('<img') == text.count('.png)') == 2
    print('\n'.join(report.in_short(data)))
    assert '\x1b' not in capsys.readouterr().out


@pytest.mark.slow
def test_few_seeds_and_intervals_around_zero_are_no_claim(tmp_path):
    few = {('quiet', 'dqn'): around(10, 4), ('quiet', 'double'): around(90, 4)}
    data = compare_runs.compare(read_runs(tmp_path / 'few', few), 'eval_mean')
    assert data['environments']['quiet']['pairs'][0]['says'] == 'too few seeds for a claim'
    assert '**Too few seeds for a claim: 4 in the smallest cell' in markdown(tmp_path, data)
    alike = {('quiet', 'dqn'): around(50), ('quiet', 'double'): around(50.1)}
    data = compare_runs.compare(read_runs(tmp_path / 'alike', alike), 'eval_mean')
    assert data['environments']['quiet']['pairs'][0]['says'].startswith('no claim')


def judged(tmp_path, noisy_dqn, noisy_double, num_seeds=10):
    scores = {
        ('quiet', 'dqn'): around(100, num_seeds), ('quiet', 'double'): around(100, num_seeds),
        ('noisy', 'dqn'): around(noisy_dqn, num_seeds),
        ('noisy', 'double'): around(noisy_double, num_seeds),
    }  # fmt: skip
    data = compare_runs.compare(read_runs(tmp_path, scores), 'eval_mean', [CLAIM])
    (claim,) = data['claims']
    return claim, '\n'.join(report.claim_in_words(claim))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('noisy_dqn', 'noisy_double', 'holds', 'words'),
    [
        (60, 100, True, 'The claim holds here: dqn loses, and double loses less, and surely less'),
        (100, 100, False, 'that dqn loses is not shown; that double loses less is not shown'),
        (60, 60, False, 'that double loses less is not shown; double loses, too'),
        (60, 80, False, 'does not hold here: double loses, too'),
        (130, 100, False, 'dqn gains; double loses more'),
    ],
)
def test_a_claim_is_judged_by_the_difference_of_the_losses(
    tmp_path, noisy_dqn, noisy_double, holds, words
):
    claim, text = judged(tmp_path, noisy_dqn, noisy_double)
    assert claim['holds'] == holds and words in text
    assert claim['change_of_suffers'][0] == pytest.approx(noisy_dqn - 100)
    assert claim['difference_of_changes'][0] == pytest.approx(noisy_double - noisy_dqn)
    assert claim['difference_at_to'][0] == pytest.approx(noisy_double - noisy_dqn)


@pytest.mark.slow
def test_that_nothing_is_lost_must_be_shown_too(tmp_path):
    """From 100 to 95 +- 20: the loss may be nothing, or more than a tenth."""
    scores = {
        ('quiet', 'dqn'): around(100), ('quiet', 'double'): around(100),
        ('noisy', 'dqn'): around(40), ('noisy', 'double'): 95 + 4 * (around(0)),
    }  # fmt: skip
    data = compare_runs.compare(read_runs(tmp_path, scores), 'eval_mean', [CLAIM])
    assert data['claims'][0]['loses_less'] and not data['claims'][0]['holds']
    text = markdown(tmp_path, data)
    assert 'Half of the claim holds here: dqn loses, and double loses less. Whether' in text


@pytest.mark.slow
def test_a_claim_on_few_seeds_is_not_judged(tmp_path):
    claim, text = judged(tmp_path, 60, 100, num_seeds=4)
    assert not claim['judged'] and not claim['holds']
    assert '**Not judged: 4 seeds are too few.**' in text


@pytest.mark.slow
def test_environments_are_put_together_on_a_stated_scale(tmp_path):
    invaders, pong = [148.0, 1668.7], [14.6, 14.6, 14.6]
    read = read_runs(tmp_path, {('invaders', 'dqn'): invaders}, env_name='ALE/SpaceInvaders-v5')
    read += read_runs(tmp_path, {('pong', 'dqn'): pong}, env_name='ALE/Pong-v5')
    read += read_runs(tmp_path, {('pendulum', 'dqn'): [-100.0]}, env_name='Pendulum-v1')
    together = compare_runs.compare(read, 'eval_mean')['together']
    assert together['scales']['pong'] == {
        'zero': -20.7, 'one': 14.6, 'source': 'published: random play, human',
    }  # fmt: skip
    assert together['left_out_environments'] == ['pendulum']
    # Seeds 0 and 1 are in both: 0 and 1 on one game, 1 and 1 on the other.
    assert together['agents']['dqn']['seeds'] == 2
    assert together['agents']['dqn']['mean'][0] == pytest.approx(0.75)
    assert together['agents']['dqn']['median'][0] == pytest.approx(0.75)  # of 0.5 and 1


@pytest.mark.slow
def test_one_atari_game_is_measured_by_the_human_too(tmp_path):
    scores = {('invaders', 'dqn'): [148.0, 1668.7]}
    read = read_runs(tmp_path, scores, env_name='ALE/SpaceInvaders-v5')
    data = compare_runs.compare(read, 'eval_mean')
    assert data['together']['agents']['dqn']['mean'][0] == pytest.approx(0.5)
    text = markdown(tmp_path, data)
    assert '## Normalised scores' in text and 'published: random play, human' in text


@pytest.mark.slow
def test_agents_that_are_not_everywhere_are_said_to_be_left_out(tmp_path):
    read = []
    for game, agents in (('SpaceInvaders', ('dqn', 'double')), ('Pong', ('dqn',))):
        scores = {(game, agent): [1.0, 2.0] for agent in agents}
        read += read_runs(tmp_path, scores, env_name=f'ALE/{game}-v5')
    data = compare_runs.compare(read, 'eval_mean')
    assert data['together']['left_out_agents'] == ['double']
    assert 'every one of these environments: double.' in markdown(tmp_path, data)


@pytest.mark.slow
def test_an_agent_has_its_own_curve_however_short_the_others_are(tmp_path):
    """REINFORCE runs for a number of episodes: an agent that falls early has few env steps."""
    curves = {
        'good': [(100, 1.0), (900, 9.0)],
        'bad': [(100, 1.0), (200, 1.5)],
        'none': [(100, '')],
    }
    read = [
        results.read(finished_run(tmp_path / agent, agent=agent, curve=curve))
        for agent, curve in curves.items()
    ]
    data = compare_runs.compare(read, 'eval_mean')
    found = data['environments']['CartPole-v1']['curves']
    assert found.keys() == {'good', 'bad'}
    assert (found['good']['env_steps'][-1], found['good']['values'][-1]) == (900.0, 9.0)
    assert (found['bad']['env_steps'][-1], found['bad']['values'][-1]) == (200.0, 1.5)
    assert 'curves.png' in markdown(tmp_path, data)


def test_curves_are_where_every_run_has_a_value(tmp_path):
    short = finished_run(tmp_path / 'a', 0, curve=[(0, ''), (100, 1.0), (300, 3.0)])
    long = finished_run(tmp_path / 'b', 1, curve=[(0, ''), (200, 4.0), (900, 11.0)])
    read = [results.read(path) for path in (short, long)]
    curves = compare_runs.compare(read, 'eval_mean')['environments']['CartPole-v1']['curves']
    env_steps = curves['dqn']['env_steps']
    assert env_steps[0] == 200.0 and env_steps[-1] == 300.0
    assert curves['dqn']['values'][0] == pytest.approx((2.0 + 4.0) / 2)
    assert curves['dqn']['values'][-1] == pytest.approx((3.0 + 5.0) / 2)


def test_curves_over_episodes_are_labelled_so(tmp_path, monkeypatch):
    paths = [
        finished_run(tmp_path / 'a', 0, returns=[1.0, 3.0, 5.0]),
        finished_run(tmp_path / 'b', 1, returns=[3.0, 5.0]),
    ]
    read = [results.read(path, x_axis='episodes') for path in paths]
    data = compare_runs.compare(read, 'eval_mean')
    curve = data['environments']['CartPole-v1']['curves']['dqn']
    assert data['x_axis'] == 'episodes' and 'env_steps' not in curve
    assert (curve['episodes'][0], curve['episodes'][-1]) == (1.0, 2.0)
    assert (curve['values'][0], curve['values'][-1]) == (2.0, 3.0)
    labels = []
    monkeypatch.setattr(figures, '_panels', lambda names, draw, png: labels.append(label(draw)))

    def label(draw):
        axes = plt.figure().subplots()
        draw(axes, 'CartPole-v1')
        return axes.get_xlabel(), axes.get_ylabel()

    assert figures.draw_curves(data, tmp_path / 'curves.png')
    assert labels == [
        ('training episodes', 'IQM of the mean return of the last 20 episodes'),
    ]
    plt.close('all')
    monkeypatch.undo()
    text = markdown(tmp_path, data)
    assert 'last 20 episodes, against training episodes](curves.png)' in text


def test_runs_that_do_not_belong_together_are_refused(tmp_path):
    paths = [finished_run(tmp_path / 'a', 0), finished_run(tmp_path / 'b', 1, n_step=3)]
    with pytest.raises(UserError, match='are not seeds of one agent'):
        compare_runs.compare([results.read(path) for path in paths], 'eval_mean')


@pytest.mark.slow
def test_an_environment_that_is_not_installed_here_is_left_out_of_the_scale(tmp_path):
    read = read_runs(tmp_path / 'a', {('invaders', 'dqn'): [1.0]}, env_name='ALE/SpaceInvaders-v5')
    read += read_runs(tmp_path / 'b', {('pong', 'dqn'): [1.0]}, env_name='ALE/Pong-v5')
    foreign = finished_run(tmp_path / 'foreign')
    card = foreign / 'policy' / 'policy_card.json'
    card.write_text(card.read_text().replace('CartPole-v1', 'TheirOwn-v3'))
    read.append(results.read(foreign, 'foreign', 'dqn'))
    together = compare_runs.compare(read, 'eval_mean')['together']
    assert together['left_out_environments'] == ['foreign']
