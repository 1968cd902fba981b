"""What is left of a run, and what stays of a stop."""

import types

import pytest

from pipelines.runs.extent import Extent
from pipelines.settings import DdqnSettings, ReinforceSettings


def extent(settings, env_steps=0, episodes=0, num_envs=4):
    training = types.SimpleNamespace(
        env_steps=env_steps,
        statistics=types.SimpleNamespace(num_episodes=episodes),
        agent=types.SimpleNamespace(train_step_counter=7),
        envs=types.SimpleNamespace(batch_size=num_envs),
    )
    return Extent(settings.schedule(), training)


@pytest.mark.parametrize(
    ('settings', 'counts', 'left', 'words'),
    [
        (DdqnSettings(num_env_steps=2_000), (1_990, 30), 2, '1,990 env steps'),
        (DdqnSettings(num_env_steps=2_000), (1_997, 30), 0, '1,997 env steps'),
        (DdqnSettings(num_env_steps=2_000, num_episodes=31), (1_000, 30), 250, '1,000 env steps'),
        (DdqnSettings(num_env_steps=2_000, num_episodes=30), (1_000, 30), 0, '1,000 env steps'),
        (ReinforceSettings(num_episodes=40), (9_999, 30), 2, '30 episodes'),
    ],
)
def test_what_is_left_is_what_is_sure_to_fit(settings, counts, left, words):
    run = extent(settings, *counts)
    assert run.vector_steps_left == left and run.is_complete == (left == 0)
    assert run.in_words == words


def test_a_stop_completes_the_run_until_length_or_callbacks_change():
    settings = DdqnSettings(num_env_steps=2_000, callbacks=['m:A'])
    run = extent(settings, 1_000)
    run.stop('m:A', 'enough')
    run.stop('m:B', 'too late')
    assert run.is_complete and (run.stopped['by'], run.stopped['why']) == ('m:A', 'enough')
    state = run.state()
    assert state['train_steps'] == 7 and state['wall_seconds'] == 0.0
    for changes, complete in (
        ({}, True),
        ({'num_env_steps': 3_000}, False),
        ({'num_episodes': 99}, False),
        ({'callbacks': []}, False),
        ({'callbacks': [('m:A', {'at': 2})]}, False),
        ({'num_eval_episodes': 3}, True),
    ):
        kwargs = {'num_env_steps': 2_000, 'callbacks': ['m:A']} | changes
        again = extent(DdqnSettings(**kwargs), 1_000)
        again.restore(state)
        assert again.is_complete == complete, changes


def test_seconds_go_on_where_they_ended():
    run = extent(DdqnSettings(), 0)
    run.restore({'wall_seconds': 12.0, 'train_steps': 0})  # as an earlier version wrote it
    run.start_clock()
    run.read_clock()
    assert 12.0 <= run.wall_seconds < 13.0
