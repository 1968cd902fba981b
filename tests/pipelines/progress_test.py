import csv

import pytest
import tensorflow as tf

from envs import atari
from pipelines import progress, reference

COLUMNS = progress.columns(('loss',))


def make(directory, num_bytes=0, start=0):
    return progress.Progress(directory, COLUMNS, 'env_steps', 100, num_bytes, start)


def row(env_steps):
    return dict.fromkeys(COLUMNS, 1.0) | {'env_steps': env_steps, 'eval_return_mean': ''}


def test_rows_written_after_the_checkpoint_are_cut_off_on_going_on(tmp_path):
    first = make(tmp_path)
    first.add(row(10))
    at_checkpoint = first.sync()
    first.add(row(20))
    first.close()
    again = make(tmp_path, at_checkpoint, start=10)
    assert again.sync() == at_checkpoint  # a checkpoint before any new row keeps the same length
    again.add(row(15))
    again.close()
    tags = [
        event.step
        for path in (tmp_path / 'tensorboard').glob('*')
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.tag == 'reward'
    ]
    assert tags == [10, 15]  # TensorBoard has no row twice, and none that never was
    with open(tmp_path / 'progress.csv', newline='') as f:
        assert [r['env_steps'] for r in csv.DictReader(f)] == ['10', '15']


@pytest.mark.parametrize('damage', [b'', b'4,', b'\0' * 30, b'x,y\r\n1,2\r\n'])
def test_a_damaged_file_is_put_aside_and_a_new_one_begun(tmp_path, capsys, damage):
    """The run is worth more than its curve."""
    first = make(tmp_path)
    first.add(row(10))
    at_checkpoint = first.sync()
    first.close()
    path = tmp_path / 'progress.csv'
    path.write_bytes(damage + path.read_bytes()[40:])
    again = make(tmp_path, at_checkpoint, start=10)
    assert 'is damaged: it is progress.csv.damaged now' in capsys.readouterr().out
    again.add(row(15))
    again.close()
    assert (tmp_path / 'progress.csv.damaged').read_bytes().startswith(damage)
    with open(path, newline='') as f:
        assert [r['env_steps'] for r in csv.DictReader(f)] == ['15']


def test_cadence_is_due_once_per_interval_and_goes_on_after_a_restart():
    cadence = progress.Cadence(100)
    assert [c for c in (5, 99, 101, 150, 199, 230, 460, 480) if cadence.due(c)] == [101, 230, 460]
    assert not progress.Cadence(100, start=460).due(480)


def test_the_curve_is_a_picture_even_before_any_episode_has_ended(tmp_path):
    writer = make(tmp_path)
    writer.add(row(10) | {'return_mean_100': '', 'loss': ''})
    writer.close()
    for draw in (progress.draw_curve, progress.draw_metrics):
        draw(tmp_path / 'progress.csv', tmp_path / 'picture.png', 'title')
        assert (tmp_path / 'picture.png').read_bytes()[:4] == b'\x89PNG'


def test_the_published_ladder_is_drawn_as_far_as_the_run_goes(tmp_path):
    writer = make(tmp_path)
    writer.add(row(300_000) | {'return_mean_100': 200.0})
    writer.close()
    for ladder in (None, reference.ladder('ALE/SpaceInvaders-v5', atari.options())):
        png = tmp_path / f'{ladder is None}.png'
        progress.draw_curve(tmp_path / 'progress.csv', png, 'title', ladder)
    assert (tmp_path / 'False.png').stat().st_size > (tmp_path / 'True.png').stat().st_size


def test_the_ladder_holds_for_its_game_and_protocol_alone():
    assert reference.ladder('ALE/SpaceInvaders-v5', atari.options()).levels['random play'] == 148
    assert reference.ladder('ALE/SpaceInvaders-v5', atari.options('nature')) is None
    assert reference.ladder('ALE/Pong-v5', atari.options()) is None
    assert reference.ladder('CartPole-v1', None) is None
