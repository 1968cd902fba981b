import dataclasses
import json

import pytest

from pipelines import files
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
        ('[]', 'holds \\[\\], not an object'),
        ('null', 'holds null, not an object'),
        ('{}', "it has no 'env_name'"),
        ('', 'cannot be read'),
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


@pytest.mark.parametrize(
    ('field', 'value', 'words'),
    [
        ('eval_mean', '500', '\'eval_mean\' is "500", not a number'),
        ('env_steps', 1.5, "'env_steps' is 1.5, not a whole number"),
        ('seed', None, "'seed' is null, not a whole number"),
        ('agent', ['dqn'], '\'agent\' is \\["dqn"\\], not a string'),
        ('eval_returns', [1.0, 'x'], '\'eval_returns.1\' is "x", not a number'),
        ('best', 3, "'best' is 3, not an object"),
        ('num_episodes', '400', '\'num_episodes\' is "400", not a whole number'),
        ('stopped', {'by': 'a'}, "it has no 'stopped.why'"),
        ('checksums', {'a': 1}, "'checksums.a' is 1, not a string"),
    ],
)
def test_a_field_of_another_type_is_named(tmp_path, field, value, words):
    path = tmp_path / 'summary.json'
    SUMMARY.write(path)
    entries = json.loads(path.read_text())
    del entries['checksum']  # as from elsewhere
    path.write_text(json.dumps({**entries, field: value}))
    with pytest.raises(UserError, match=words):
        Summary.read(path)
    assert not Summary.is_whole(path)


def test_a_changed_number_is_noticed_here_and_in_what_the_run_left(tmp_path):
    path = tmp_path / 'summary.json'
    curve = tmp_path / 'progress.csv'
    curve.write_text('env_steps\n1\n')
    left = {'progress.csv': files.checksum(curve), 'curve.png': 'a' * 64}
    dataclasses.replace(SUMMARY, checksums=left).write(path)
    assert Summary.read(path).changed(tmp_path) == ['curve.png']
    assert Summary.read(path).changed(tmp_path, ['progress.csv']) == []
    curve.write_text('env_steps\n2\n')
    assert Summary.read(path).changed(tmp_path, ['progress.csv']) == ['progress.csv']
    path.write_text(path.read_text().replace('"eval_mean": 1.5', '"eval_mean": 2.5'))
    with pytest.raises(UserError, match='was changed after it was written'):
        Summary.read(path)


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
