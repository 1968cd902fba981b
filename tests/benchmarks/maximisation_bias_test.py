"""The benchmark from runs to report, at tiny size."""

import concurrent.futures
import json

import numpy as np
import pytest

from benchmarks import bias_pictures, bias_report, bias_runs, bias_summary, maximisation_bias
from envs import bias_mdp

TRUTH = {'q_left': 1.9, 'q_right': 1.7, 'q_max': 1.9, 'left_moves': 0.9, 'greedy_left': 1.0}


class AtOnce(concurrent.futures.Executor):
    """Runs in this process what would go to another."""

    def submit(self, fn, *args, **kwargs):
        future = concurrent.futures.Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.slow
def test_a_tiny_benchmark_leaves_its_report(tmp_path, monkeypatch):
    """One network is trained, and stands for all."""
    network = bias_runs.network_run(double=True, epsilon=1.0, seed=0, num_episodes=60)
    assert network.left.shape == (1, 60) and network.q_values.shape == (1, 60, 3)
    first, last = network.q_values[0, 0], network.q_values[0, -1]
    assert np.isfinite(network.q_values).all() and not np.allclose(first, last)  # it has learned
    monkeypatch.setattr(bias_runs, 'network_run', lambda *args: network)
    data = dict(runs=10, seeds=2, episodes=60, step_size=0.1) | {
        kind: maximisation_bias.collect(AtOnce(), epsilon, runs=10, seeds=2, episodes=60)
        for kind, epsilon in maximisation_bias.EXPLORATION.items()
    }
    markdown = bias_report.write(tmp_path, data)
    assert json.loads((tmp_path / 'report.json').read_text()) == data
    assert '**Tables, random play, step size 0.1.**' in markdown and 'nan' not in markdown
    html = (tmp_path / 'report.html').read_text()
    assert html.count('data:image/png') == len(list(tmp_path.glob('*.png'))) == 4


def test_the_truth_is_not_called_by_an_actions_name(tmp_path, monkeypatch):
    """'right' in a legend could be what the agents should believe, or where they should go."""
    names, axhline = [], bias_pictures.plt.Axes.axhline

    def noting(panel, y, **kwargs):
        names.append(kwargs['label'])
        return axhline(panel, y, **kwargs)

    monkeypatch.setattr(bias_pictures.plt.Axes, 'axhline', noting)
    curve = {'episode': [1, 2], 'mean': [1.0, 1.5], 'standard_error': [0.1, 0.1]}
    row = bias_pictures.Row(1.715, [{'tables': curve}, {'networks': curve}])
    bias_pictures.draw_panels(tmp_path / 'panels.png', {'Q(A, right)': row, 'max Q(A, a)': row})
    assert names == ['true value: 1.715'] * 4
    assert (tmp_path / 'panels.png').exists()


def test_the_truth_of_the_report():
    truth = bias_summary.truths(gamma=0.95, epsilon=0.1)
    assert truth['q_right'] == pytest.approx(1.71475) and truth['q_max'] == pytest.approx(1.9)
    assert truth['left_moves'] == pytest.approx(1 - 0.1 / 3)  # one random action in three is right


def test_a_summary_by_hand():
    """Two runs of ten episodes; Q(A, right) peaks in the third, and one run prefers it at last."""
    left = np.tile([1.0] * 9 + [0.5], (2, 1))
    q_values = np.zeros((2, 10, 3))
    q_values[:, 2, bias_mdp.RIGHT] = [2.0, 3.0]
    q_values[:, -1, bias_mdp.RIGHT] = [-1.0, 1.0]
    summary = bias_summary.summarise(bias_runs.Runs(left, q_values), TRUTH)
    assert summary['left_moves']['first_tenth'] == {'mean': 1.0, 'standard_error': 0.0}
    assert summary['left_moves']['last_tenth']['mean'] == 0.5
    assert summary['greedy_left']['last_tenth']['mean'] == 0.5
    largest = summary['q_right']['largest_bias']
    assert largest['episode'] == 3 and largest['mean'] == pytest.approx(2.5 - 1.7)
    assert largest['standard_error'] == pytest.approx(0.5)  # 0.707 / sqrt(2)
    change = summary['q_right']['late_change']  # from 0 in the ninth episode to -1 and 1
    assert change == pytest.approx({'mean': 0.0, 'standard_error': 1.0})
    assert summary['q_right']['final_bias']['mean'] == pytest.approx(0.0 - 1.7)
    assert summary['q_max']['final_bias']['mean'] == pytest.approx(0.5 - 1.9)


def test_the_largest_bias_is_not_made_by_choosing_it():
    """Of noise without any bias, the mean of the highest episode would be 0.6 too high."""
    noise = np.random.default_rng(0).normal(0.0, 1.0, (20, 1_000))
    largest = bias_summary._largest(noise)
    assert abs(largest['mean']) < 3 * largest['standard_error'] < 0.8
    assert noise.mean(axis=0).max() > 0.6


def test_the_best_share_of_first_moves_is_what_the_best_policy_makes():
    """Q*, epsilon 0.1: 1 000 tables that start there and hardly learn."""
    runs = bias_runs.tabular_runs(
        double=False, epsilon=0.1, step_size=1e-9, num_runs=1_000, num_episodes=20, from_truth=True
    )
    share = bias_summary.measured(runs.left.mean(axis=1))
    truth = bias_summary.truths(gamma=0.95, epsilon=0.1)['left_moves']
    assert abs(share['mean'] - truth) < 4 * share['standard_error'] < 0.01


def test_left_moves_are_told_by_where_they_went():
    """Left and back and right: left; then right and back and left: right; left by action 2."""
    from envs.task import Task

    env, left = Task('MaximisationBias-v0').training_envs(1), bias_runs.LeftMoves(1, 5)
    env.reset(seed=0)
    # E A B A E F, a new episode, B A E F, a new episode, E
    for action in (0, 0, 1, 0, 2, 1, 0, 1, 0, 2, 2, 0, 2):
        left.add(env.raw_reward, env.step(np.array([action])))
    assert left.num_episodes == [2]
    np.testing.assert_allclose(left.first[0], [1, 0, 1, np.nan, np.nan])


@pytest.mark.parametrize(
    ('plain', 'double', 'missing'),
    [((0.3, 0.6), (-0.3, 0.9), []), ((0.3, 0.6), (0.3, 0.9), ['nowhere']),
     ((-0.1, 0.6), (-0.3, 0.9), ['Q-learning overestimates']),
     ((0.3, 0.9), (-0.3, 0.9), ['goes right more often']),
     ((0.3, 0.6), (-1.7, 0.9), ['has learned'])],
)  # fmt: skip
def test_what_the_exit_code_judges(plain, double, missing):
    def agent(bias, greedy_left):
        right, left = ({'mean': mean, 'standard_error': 0.01} for mean in (bias, greedy_left))
        zero = {'mean': 0.0, 'standard_error': 0.01}
        return {
            'q_right': {'final_bias': right, 'largest_bias': right},
            'q_left': {'final_bias': zero},
            'greedy_left': {'last_tenth': left},
        }

    tables = {'Q-learning': agent(*plain), 'double Q-learning': agent(*double)}
    data = {'step_size': 0.1, 'random play': {'tables': {'0.1': tables}}}
    failed = bias_report.not_shown(data)
    assert len(failed) == len(missing) and all(m in f for m, f in zip(missing, failed))


@pytest.mark.slow
def test_bad_flags_are_answered_in_one_line(capsys, tmp_path):
    assert maximisation_bias.main(['benchmark', '--runs=1']) == 2
    assert 'runs' in capsys.readouterr().err
    (tmp_path / 'file').touch()
    assert maximisation_bias.main(['benchmark', f'--root_dir={tmp_path / "file"}']) == 2
    assert 'choose another directory' in capsys.readouterr().err
