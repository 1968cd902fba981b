import dataclasses
import json

import pytest

from pipelines.errors import UserError
from pipelines.runs.summary import Summary

SUMMARY = Summary(
    env_name='CartPole-v1',
    agent='ddqn',
    seed=3,
    env_steps=9_990,
    unit='episodes',
    length=400,
    train_steps=17,
    wall_seconds=2.5,
    env_steps_per_second=3_996.0,
    eval_returns=[1.0, 2.0],
    eval_mean=1.5,
    return_mean_100=20.0,
    more={'dtype_policy': 'float32'},
)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / 'summary.json'
    SUMMARY.write(path)
    assert Summary.read(path) == SUMMARY
    entries = json.loads(path.read_text())
    assert entries['num_episodes'] == 400 and entries['dtype_policy'] == 'float32'
    assert entries['eval_mean'] == 1.5 and 'unit' not in entries and 'more' not in entries
    in_steps = dataclasses.replace(SUMMARY, unit='env_steps', length=10_000)
    in_steps.write(path)
    assert Summary.read(path) == in_steps


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"env_name": "CartPole-v1"}', "it has no 'agent'"),
        ('[]', 'does not hold a JSON object'),
        ('{"env_na', 'cannot be read'),
        (None, 'No such file'),
    ],
)
def test_an_unreadable_file_is_one_line_with_file_and_field(tmp_path, text, message):
    path = tmp_path / 'summary.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        Summary.read(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_a_run_that_a_callback_stopped_is_over_while_nothing_else_ends_it(tmp_path):
    stop = {'by': 'm:A', 'why': 'enough', 'within': 'A'}
    stopped = dataclasses.replace(SUMMARY, stopped=stop)
    assert stopped.covers(400, None, 'A') and stopped.covers(10**6, 3, 'A')
    assert not stopped.covers(400, None, 'B') and not stopped.covers(1, None, '')
    stopped.write(tmp_path / 'summary.json')
    assert Summary.read(tmp_path / 'summary.json') == stopped
    SUMMARY.write(tmp_path / 'summary.json')
    assert 'stopped' not in json.loads((tmp_path / 'summary.json').read_text())


def test_a_run_that_was_ended_by_its_episodes_may_go_on():
    """Both limits may be raised, lowered or left out when the run is started again."""
    in_steps = dataclasses.replace(SUMMARY, unit='env_steps', length=10_000, episodes=300)
    by_steps = dataclasses.replace(in_steps, episode_limit=1_000)
    by_episodes = dataclasses.replace(in_steps, episode_limit=300)
    for length, limit, covered in (
        (10_000, None, (True, True, False)),
        (9_000, None, (True, True, False)),
        (20_000, None, (False, False, False)),
        (20_000, 300, (True, True, True)),
        (10_000, 400, (True, True, False)),
    ):
        summaries = (in_steps, by_steps, by_episodes)
        assert tuple(s.covers(length, limit) for s in summaries) == covered, (length, limit)
