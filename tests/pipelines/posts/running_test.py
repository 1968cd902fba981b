"""How far the runs are, read from files that are being written."""

import pytest

from pipelines.comparison import experiment, scheduler
from pipelines.errors import UserError
from pipelines.posts import running
from tests.pipelines.posts.fake_experiments import rising, tutorial, write_experiment, write_run


def test_runs_that_have_begun_are_named_with_their_last_whole_row(tmp_path):
    runs = tutorial('reinforce_cartpole').plan(quick=False).runs(tmp_path)
    write_run(runs[0], rising(runs[0], 30))
    write_run(runs[1], rising(runs[1], 300), finished=False)
    with open(runs[1].path / 'episodes.csv', 'a') as f:
        f.write('301,5')  # being written
    write_run(runs[2], [], finished=False)
    steps = int(rising(runs[1], 300).sum())
    assert running.under_way(runs) == [
        f'cartpole/reinforce/seed_1: 300 episodes, {steps:,} env steps'
    ]


def test_the_shorter_form_is_known_by_what_the_directory_keeps(tmp_path):
    one, _ = write_experiment('reinforce_cartpole', tmp_path / 'quick', num_episodes=1, quick=True)
    write_experiment('reinforce_cartpole', tmp_path / 'full', num_episodes=1)
    assert running.is_quick(tmp_path / 'quick', one.quick_bindings)
    assert not running.is_quick(tmp_path / 'full', one.quick_bindings)


def make_missing(plan, root, stop=lambda: False):
    return running.make_missing(plan, root, 2, stop, length='1,000 episodes', checked='checked')


def test_finished_runs_are_not_repeated_and_another_experiment_is_refused(
    tmp_path, monkeypatch, capsys
):
    one, plan = write_experiment('reinforce_cartpole', tmp_path, num_episodes=3)
    monkeypatch.setattr(scheduler.processes, 'run_all', lambda jobs, *args: not jobs)
    assert make_missing(plan, tmp_path) == {}
    assert '10 of 10 runs are finished' in capsys.readouterr().out
    with pytest.raises(UserError, match='holds a different experiment'):
        make_missing(one.plan(quick=True), tmp_path)


def test_it_says_once_a_minute_how_far_it_is(tmp_path, monkeypatch, capsys):
    plan = tutorial('reinforce_cartpole').plan(quick=False)
    experiment.keep(plan, tmp_path)
    run = plan.runs(tmp_path)[0]
    write_run(run, rising(run, 7), finished=False)
    now = [0.0]
    monkeypatch.setattr(running.time, 'monotonic', lambda: now[0])

    def run_all(jobs, at_once, done, stop_requested):
        for now[0] in (1.0, 59.0, 61.0, 100.0, 122.0):
            stop_requested()
        return False

    monkeypatch.setattr(scheduler.processes, 'run_all', run_all)
    monkeypatch.setattr(scheduler, 'check_bindings', lambda *args, **kwargs: True)
    assert make_missing(plan, tmp_path) is None
    out = capsys.readouterr().out
    assert out.count('under way (a run is 1,000 episodes): cartpole/reinforce/seed_0: 7') == 2
