"""Falls, rises and nothing shown are told apart; windows are the ones they are called."""

import numpy as np
import pytest

from pipelines.posts import cells, collapse
from tests.pipelines.posts.fake_experiments import tutorial, write_run


def cell_of(root, lengths, seeds=10, finished=True):
    runs = [run for run in tutorial('double_q').plan(quick=False).runs(root)
            if run.cell == 'sigma_1/dqn'][:seeds]  # fmt: skip
    for run in runs:
        write_run(run, lengths(run.seed), finished=finished)
    (cell,) = cells.read(runs)
    return cell


def change_of(*args, **kwargs):
    cell = cell_of(*args, **kwargs)
    return collapse.change(cell, collapse.windows(cell, 'length'))


def steps(early, late, seed, noise=0.0):
    """1,000 episodes: one length up to episode 500, another from there on."""
    wobble = noise * np.random.default_rng(seed).standard_normal()
    return np.r_[np.full(500, early), np.full(500, late + wobble)].round()


def test_the_windows_are_those_of_their_names(tmp_path):
    cell = cell_of(tmp_path, lambda seed: np.arange(1, 1_001))
    windows = collapse.windows(cell, 'length')
    assert windows['151 to 250'][0, 0] == 200.5
    assert windows['401 to 500'][0, 0] == 450.5
    assert windows['901 to 1,000'][0, 0] == 950.5
    # 1 + 2 + ... + 282 = 39,903 steps; the 283rd episode ends after 40,000.
    assert windows['last 100 before 40,000 env steps'][0, 0] == np.arange(183, 283).mean()


@pytest.mark.parametrize(
    ('late', 'noise', 'says'),
    [(60, 5.0, 'falls'), (195, 5.0, 'rises'), (150, 30.0, 'no change shown')],
)
def test_what_becomes_of_a_curve_is_judged_by_its_interval(tmp_path, late, noise, says):
    change = change_of(tmp_path, lambda seed: steps(150, late, seed, noise))
    assert change.says == says and change.seeds == 10
    assert change.difference.low <= change.difference.value <= change.difference.high
    assert (change.difference.value < 0) == (late < 150) or says == 'no change shown'


def test_few_seeds_and_short_runs_are_not_judged(tmp_path):
    few = change_of(tmp_path / 'few', lambda seed: steps(150, 60, seed), seeds=4)
    assert few.says == 'too few seeds for a claim'
    short = change_of(tmp_path / 'short', lambda seed: np.full(999, 40), finished=False)
    assert short.difference is None and short.says == 'has not come to episode 1,000'


def test_a_collapse_is_half_of_the_best_mean_so_far(tmp_path):
    change = change_of(tmp_path, lambda seed: steps(180, 80 if seed < 4 else 100, seed))
    assert change.collapsed == 4
    # The mean of 100 episodes is below 90 once 91 of them have 80 steps.
    assert change.first_collapse == 591


def test_a_window_of_env_steps_needs_so_many_or_a_run_at_its_end(tmp_path):
    name = 'last 100 before 40,000 env steps'
    begun = cell_of(tmp_path / 'begun', lambda seed: np.full(500, 10), finished=False)
    assert collapse.windows(begun, 'length')[name] is None
    whole = cell_of(tmp_path / 'whole', lambda seed: np.full(1_000, 10))
    assert collapse.windows(whole, 'length')[name].tolist() == [[10.0]] * 10


def test_two_agents_are_compared_only_where_both_are_known():
    x = np.full((5, 1), 3.0)
    assert collapse.compared(x, None) is None
    assert collapse.compared(x, x - 1.0).value == 1.0
