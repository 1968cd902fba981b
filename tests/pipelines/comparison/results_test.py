import dataclasses
import json

import pytest

from pipelines import files
from pipelines.comparison import results
from pipelines.errors import UserError
from pipelines.runs.summary import Summary
from tests.pipelines.fake_runs import finished_run


def test_a_run_is_read_with_its_own_names_or_others(tmp_path):
    finished_run(tmp_path, seed=3, score=80.0)
    result = results.read(tmp_path)
    assert (result.environment, result.agent, result.seed) == ('CartPole-v1', 'dqn', 3)
    assert result.score('eval_mean') == 80.0 and result.score('return_mean_100') == 40.0
    assert result.x == [500.0, 1_000.0] and result.returns == [20.0, 40.0]
    named = results.read(tmp_path, 'sigma_1', 'baseline')
    assert (named.environment, named.agent) == ('sigma_1', 'baseline')


def test_a_run_that_is_not_finished_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match='holds no finished run: .*summary.json'):
        results.read(tmp_path)
    with pytest.raises(UserError, match='--run_dirs: .*no summary.json in it'):
        results.read_all([str(tmp_path)])
    finished_run(tmp_path / 'run')
    (tmp_path / 'run' / 'summary.json').write_text('{"seed": 1')
    with pytest.raises(UserError, match='holds no finished run: .*summary.json cannot be read'):
        results.read(tmp_path / 'run')


def test_over_episodes_a_curve_is_the_mean_of_the_last_twenty(tmp_path):
    finished_run(tmp_path, returns=[10.0, 20.0, *[0.0] * 18, 100.0, 100.0])
    result = results.read(tmp_path, x_axis='episodes')
    assert result.x_axis == 'episodes' and result.x == list(range(1, 23))
    assert result.returns[:3] == [10.0, 15.0, 10.0]
    assert result.returns[19:] == [30.0 / 20, 120.0 / 20, 200.0 / 20]


def test_a_run_without_episodes_csv_is_named(tmp_path):
    finished_run(tmp_path / 'old')
    with pytest.raises(UserError, match="x_axis = 'episodes': .*old/episodes.csv does not exist"):
        results.read(tmp_path / 'old', x_axis='episodes')
    finished_run(tmp_path / 'bad', returns=['many'])
    with pytest.raises(UserError, match='bad/episodes.csv cannot be read: .*many'):
        results.read_all([str(tmp_path / 'bad')], x_axis='episodes')
    results.read_all([str(tmp_path)])  # over env steps nothing is missing


@pytest.mark.parametrize(
    ('name', 'content', 'reason'),
    [
        ('summary.json', '{"agent": "dqn"}', "it has no 'env_name'"),
        ('policy/policy_card.json', '{"env_name": "a"}', "it has no 'config'"),
        ('policy/policy_card.json', '{"config": 1}', "'config' is 1, not an object"),
        ('policy/policy_card.json', '{"config": {"a": 1}}', "'config.a' is 1, not a string"),
        ('policy/policy_card.json', '[]', 'it holds \\[\\], not an object'),
        ('policy/policy_card.json', 'null', 'it holds null, not an object'),
        ('progress.csv', 'env_steps\n1\n', "KeyError\\('return_mean_100'\\)"),
        ('progress.csv', 'env_steps,return_mean_100\n1,many\n', 'could not convert'),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, reason):
    (finished_run(tmp_path) / name).write_text(content)
    with pytest.raises(UserError, match=f'holds no finished run: .*{name} cannot be.*{reason}'):
        results.read(tmp_path)


def test_a_curve_that_was_changed_after_the_run_is_named(tmp_path):
    finished_run(tmp_path)
    summary = Summary.read(tmp_path / 'summary.json')
    left = {'progress.csv': files.checksum(tmp_path / 'progress.csv'), 'curve.png': 'gone'}
    dataclasses.replace(summary, checksums=left).write(tmp_path / 'summary.json')
    results.read(tmp_path)  # a picture is not read
    curve = tmp_path / 'progress.csv'
    curve.write_text(curve.read_text().replace('500', '501'))
    with pytest.raises(UserError, match='progress.csv cannot be used: it was changed'):
        results.read(tmp_path)


def test_a_run_in_which_no_episode_ended_has_no_score(tmp_path):
    finished_run(tmp_path)
    summary = json.loads((tmp_path / 'summary.json').read_text())
    (tmp_path / 'summary.json').write_text(json.dumps(summary | {'return_mean_100': float('nan')}))
    with pytest.raises(UserError, match='no episode ended'):
        results.read(tmp_path).score('return_mean_100')


def test_agents_of_one_name_are_named_apart_by_what_differs(tmp_path):
    for seed in (0, 1):
        finished_run(tmp_path / f'a{seed}', seed, n_step=1)
        finished_run(tmp_path / f'b{seed}', seed, n_step=3)
    finished_run(tmp_path / 'c', agent='ddqn')
    found = results.read_all([str(tmp_path), str(tmp_path / 'a0')])  # one of them twice
    assert sorted(result.agent for result in found) == [
        'ddqn', *['dqn (train_ddqn.n_step = 1)'] * 2, *['dqn (train_ddqn.n_step = 3)'] * 2,
    ]  # fmt: skip
    results.check_cells(found)


def test_an_agent_has_one_name_in_every_environment(tmp_path):
    for env_name, steps in (('CartPole-v1', (1, 3)), ('Acrobot-v1', (3,))):
        for n_step in steps:
            finished_run(tmp_path / f'{env_name}{n_step}', env_name=env_name, n_step=n_step)
    names = {(r.environment, r.agent) for r in results.read_all([str(tmp_path)])}
    assert ('Acrobot-v1', 'dqn (train_ddqn.n_step = 3)') in names
    assert ('CartPole-v1', 'dqn (train_ddqn.n_step = 3)') in names and len(names) == 3


def test_an_environment_with_other_arguments_is_another_environment(tmp_path):
    for length in (6, 12):
        path = finished_run(tmp_path / str(length)) / 'policy' / 'policy_card.json'
        card = json.loads(path.read_text()) | {'env_kwargs': {'length': length, 'kind': 'a'}}
        card['config']['task.env_kwargs'] = str(card['env_kwargs'])
        path.write_text(json.dumps(card))
    found = {(r.environment, r.agent) for r in results.read_all([str(tmp_path)])}
    assert found == {(f"CartPole-v1(length={n}, kind='a')", 'dqn') for n in (6, 12)}


def test_a_seed_twice_and_seeds_of_two_experiments_are_refused(tmp_path):
    first = results.read(finished_run(tmp_path / 'a'))
    twin = results.read(finished_run(tmp_path / 'b'))
    with pytest.raises(UserError, match='are both seed 0 of dqn on CartPole-v1'):
        results.check_cells([first, twin])
    other = results.read(finished_run(tmp_path / 'c', seed=1, n_step=3))
    with pytest.raises(UserError, match='train_ddqn.n_step is None and 3'):
        results.check_cells([first, other])
