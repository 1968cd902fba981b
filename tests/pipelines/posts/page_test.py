"""The page of each tutorial, from the files that finished and unfinished runs leave."""

import html
import json
import re

import numpy as np
import pytest

from pipelines.errors import UserError
from pipelines.posts import page, provenance
from tests.pipelines.posts.fake_experiments import (
    TUTORIALS,
    rising,
    tutorial,
    write_experiment,
    write_run,
)

MADE = page.Made('python -m pipelines.tutorials run it', quick=False, failed={})


def bandit_log(seed=0, points=50):
    """Mu goes to 4; sigma rises from 1 to 2 and falls to 0.02."""
    updates = np.linspace(10, 10_000, points).astype(int)
    sigma = np.interp(np.arange(points), [0, 10, points - 1], [1.0, 2.0, 0.02 + seed / 1_000])
    mu = np.linspace(0.0, 4.0, points)
    return {'episodes': updates, 'mu': mu.round(4), 'sigma': sigma.round(4)}


def written(name, root, **more):
    """The page's HTML and its data, of an experiment whose runs are all finished."""
    log = {'progress': bandit_log()} if name == 'continuous_policy_gradients' else {}
    chosen, plan = write_experiment(name, root, **{'num_episodes': 300, **log, **more})
    provenance.note(root)
    path = page.write(chosen, plan, root, MADE)
    assert path == root / 'index.html'
    return path.read_text(), json.loads((root / 'index.json').read_text())


def text_of(page_html):
    return ' '.join(html.unescape(re.sub(r'<[^>]+>', ' ', page_html)).split())


def letters(text):
    """What Markdown and HTML have in common."""
    return re.sub(r'[\s`*\\]', '', text)


@pytest.mark.parametrize('one', TUTORIALS, ids=lambda one: one.name)
def test_a_page_has_everything_and_opens_offline(one, tmp_path):
    page_html, data = written(one.name, tmp_path)
    text = text_of(page_html)

    def there(markdown):
        assert letters(markdown) in letters(text), markdown

    there(one.title)
    there(one.headline)
    for row in one.published:
        there(row.says)
        assert data['ours'][row.key]
    for section in one.sections:
        there(f'{section.post} {section.does} {section.file} {section.function}')
    for mistake in one.mistakes:
        there(mistake.wrong)
        there(mistake.mended)
    for command in one.commands:
        there(command)
    for constant in one.constants():
        there(constant['ours'])
    there(provenance.machine())
    assert MADE.command in text and 'Not finished' not in text
    assert page_html.count('src="data:image/png;base64,') == 1
    assert not re.search(r'src="(?!data:)', page_html)
    assert f'{len(one.plan(quick=False).runs(tmp_path))} finished runs' in text


def test_a_page_of_unfinished_runs_says_so_and_shows_them(tmp_path):
    one = tutorial('reinforce_cartpole')
    plan = one.plan(quick=False)
    nothing = page.write(one, plan, tmp_path, MADE).read_text()
    assert 'Not finished: 0 of 10 runs are.' in nothing and 'not measured yet' in nothing
    assert '<img' not in nothing
    runs = plan.runs(tmp_path)
    write_run(runs[0], rising(runs[0], 40), finished=False)
    begun = text_of(page.write(one, plan, tmp_path, MADE).read_text())
    assert 'Not finished: 0 of 10 runs are.' in begun
    assert 'cartpole/reinforce/seed_0: 40 episodes' in begun and 'goes on' in begun
    assert 'one seed, 40 episodes so far, not finished' in begun
    write_run(runs[1], rising(runs[1], 50))
    some = text_of(page.write(one, plan, tmp_path, MADE).read_text())
    assert 'Not finished: 1 of 10 runs are.' in some and 'one seed, 50 episodes: the mean' in some
    assert 'One seed: too few for a claim.' in some


def test_a_page_names_the_runs_that_kept_no_episodes(tmp_path):
    one, plan = write_experiment('reinforce_cartpole', tmp_path, num_episodes=5)
    (plan.runs(tmp_path)[4].path / 'episodes.csv').unlink()
    text = text_of(page.write(one, plan, tmp_path, MADE).read_text())
    assert 'kept no episodes.csv: cartpole/reinforce/seed_4.' in text
    assert '9 seeds, 5 episodes' in text


def test_a_page_names_the_runs_that_failed(tmp_path):
    one, plan = write_experiment('reinforce_cartpole', tmp_path, num_episodes=5)
    made = MADE._replace(failed={'cartpole/reinforce/seed_3': 'killed by signal 9'})
    text = text_of(page.write(one, plan, tmp_path, made).read_text())
    assert 'Failed, and missing below: cartpole/reinforce/seed_3: killed by signal 9' in text


def test_the_shorter_form_says_that_it_is_one(tmp_path):
    one, plan = write_experiment('reinforce_cartpole', tmp_path, num_episodes=5, quick=True)
    made = MADE._replace(quick=True)
    text = text_of(page.write(one, plan, tmp_path, made).read_text())
    assert 'This is the shorter form' in text and one.quick_bindings[0] in text


def test_it_says_when_and_where_the_runs_were_made(tmp_path):
    one, plan = write_experiment('reinforce_cartpole', tmp_path, num_episodes=5)
    provenance.note(tmp_path)
    provenance.note(tmp_path)  # the same again: one entry
    start, text = (
        provenance.read(tmp_path)[0],
        text_of(page.write(one, plan, tmp_path, MADE).read_text()),
    )
    assert len(provenance.read(tmp_path)) == 1
    assert f'Started {start["date"]} at commit {start["commit"]} on {start["machine"]}' in text
    assert f'tensorflow {start["versions"]["tensorflow"]}' in text
    assert '10 finished runs: 0.10 hours' in text


def test_the_numbers_of_a_curve_are_those_of_its_last_episodes(tmp_path):
    _, data = written('reinforce_cartpole', tmp_path, num_episodes=300)
    # 10 + episode + seed, at most 190: the last hundred of 300 are all 190.
    assert data['found']['last'] == [190.0] * 10
    assert '190.0 [190.0, 190.0]; at 190 or more of 200: 10 of 10 seeds' in data['ours']['curve']
    assert 'standard deviation between seeds 0.000' in data['ours']['spread']
    assert '150.0, 151.0' in data['ours']['policies']


def lengths_that_fall(run, num_episodes):
    """Without a target network the noisy curve falls by half; the others stay."""
    high = 180.0 + run.seed % 3
    low = 70.0 if run.cell == 'sigma_1/dqn_no_target' else high
    return np.where(np.arange(num_episodes) < 600, high, low)


@pytest.mark.slow
def test_double_q_says_who_falls_and_who_is_ahead(tmp_path):
    page_html, data = written('double_q', tmp_path, lengths=lengths_that_fall, num_episodes=1_000)
    text = text_of(page_html)
    changes = {(c['environment'], c['agent']): c for c in data['found']['changes']}
    assert len(changes) == 10
    fallen = changes.pop(('sigma_1', 'dqn_no_target'))
    assert fallen['difference'][2] < -100 and fallen['collapsed'] == 10
    for change in changes.values():
        assert change['difference'] == [0.0, 0.0, 0.0] and change['collapsed'] == 0
    assert 'sigma 1, dqn_no_target: falls between episodes 250 and 1,000 (-110.8' in text
    assert 'sigma 0, dqn_no_target: no change shown between episodes 250 and 1,000' in text
    assert (
        'the length falls: dqn_no_target (sigma 1); no change shown: ' in data['ours']['collapse']
    )
    assert 'Double DQN is ahead' in data['ours']['sigma_1']
    assert 'ahead' not in data['ours']['sigma_0'] and 'no difference' in data['ours']['sigma_0']
    for name in ('151 to 250', '401 to 500', '901 to 1,000', 'last 100 before 40,000 env steps'):
        assert name in text and name in data['found']['iqm']['sigma_0']['dqn']
    assert '"around 3"' in text and '3.257' in text


def test_double_q_cut_short_judges_nothing(tmp_path):
    _, data = written('double_q', tmp_path, num_episodes=120)
    assert data['ours']['collapse'].startswith('Not judged: has not come to episode 1,000')
    assert 'no run of both agents has come to episode 250' in data['ours']['sigma_0']


def test_the_bandits_sigma_rises_and_falls(tmp_path):
    _, data = written('continuous_policy_gradients', tmp_path, num_episodes=300)
    assert data['ours']['sigma'].startswith('Sigma rises above its start on 10 of 10 seeds (to 2.0')
    assert 'ends below 0.1 on 10: between 0.020 and 0.020' in data['ours']['sigma']
    assert 'mean 4.000 [4.000, 4.000]; 4 is best' in data['ours']['mu']


def invaders(root, num_episodes=1_500, **more):
    losses = [''] * 100 + [0.01] * (num_episodes - 100)
    return write_experiment(
        'space_invaders', root, lambda run, n: np.arange(1.0, n + 1), num_episodes,
        losses=losses, **more,
    )  # fmt: skip


def test_space_invaders_shows_its_films_and_what_was_scored_around_them(tmp_path):
    one, plan = invaders(tmp_path)
    videos = plan.runs(tmp_path)[0].path / 'videos'
    videos.mkdir()
    for name in ('after_000050_episodes', 'after_000100_episodes', 'after_001450_episodes',
                 'final'):  # fmt: skip
        (videos / f'{name}.gif').write_bytes(b'GIF89a' + name.encode())
    page_html = page.write(one, plan, tmp_path, MADE).read_text()
    ours = json.loads((tmp_path / 'index.json').read_text())['ours']
    assert page_html.count('src="data:image/gif;base64,') == 3
    assert 'space_invaders/dueling_double_dqn/seed_0/videos/after_000100_episodes.gif' in page_html
    assert '50.5 in episodes 1 to 100, 750.5 in episodes 701 to 800, 1,450.5 in' in ours['reward']
    assert 'One seed: too few for a claim' in ours['reward']
    assert 'Training starts in episode 101' in ours['untrained'] and '50.5' in ours['untrained']
    assert ours['episode_50'].startswith('Training episode 50 scored 50; the 50 episodes up to')
    assert '1,450 scored 1,450; the 100 episodes up to it 1,400.5' in ours['episode_1450']
    (videos / 'final.gif').write_bytes(bytes(4 * 2**20))  # too large to embed
    page_html = page.write(one, plan, tmp_path, MADE).read_text()
    assert 'src="data:image/gif' not in page_html and 'videos/final.gif' in page_html


def test_space_invaders_before_training_has_no_loss_to_draw(tmp_path):
    one, plan = invaders(tmp_path, num_episodes=100, finished=False)
    page.write(one, plan, tmp_path, MADE)
    ours = json.loads((tmp_path / 'index.json').read_text())['ours']
    assert 'No training yet: the mean reward of the 100 episodes' in ours['untrained']
    assert ours['episode_1450'] == 'Episode 1,450 has not been played yet.'
    assert 'not finished' in ours['reward']


@pytest.mark.parametrize('text', ['', '{}', '[3]', '[{"date": "today"}]'])
def test_a_damaged_file_of_starts_is_one_line(tmp_path, text):
    (tmp_path / 'provenance.json').write_text(text)
    with pytest.raises(UserError, match='provenance.json cannot be read: .*; delete it') as error:
        provenance.note(tmp_path)
    assert '\n' not in str(error.value)
