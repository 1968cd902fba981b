import csv

import pytest
import tensorflow as tf

from pipelines.runs import progress

COLUMNS = progress.columns(('loss', 'max_lag', 'epsilon', 'overestimation'))


def make(directory, state=None, start=0):
    writer = progress.Progress(
        directory, ('loss', 'max_lag'), {'epsilon': lambda: 0.5}, ('overestimation',)
    )
    if state is not None:
        writer.restore(state)
    writer.open('env_steps', 100, start)
    return writer


def row(env_steps, **more):
    return {
        'env_steps': env_steps, 'train_steps': 1, 'episodes': 1, 'return_mean_100': 1.0,
        'env_steps_per_second': 1.0, 'wall_seconds': 1.0, **more,
    }  # fmt: skip


def rows(directory):
    with open(directory / 'progress.csv', newline='') as f:
        return list(csv.DictReader(f))


def env_steps(directory):
    return [r['env_steps'] for r in rows(directory)]


def test_a_row_has_means_maxima_gauges_and_empty_cells_for_what_is_not_known(tmp_path):
    writer = make(tmp_path)
    writer.gather({'loss': 1.0, 'max_lag': 3.0})
    writer.gather({'loss': 2.0, 'max_lag': 2.0})
    writer.add(row(10))
    writer.add(row(20, eval_return_mean=7.0, overestimation=0.25))
    writer.close()
    first, second = rows(tmp_path)
    assert tuple(first) == COLUMNS
    assert (first['loss'], first['max_lag'], first['epsilon']) == ('1.5', '3', '0.5')
    assert (first['eval_return_mean'], first['overestimation']) == ('', '')
    assert (second['loss'], second['max_lag']) == ('', '')  # gathered once, written once
    assert (second['eval_return_mean'], second['overestimation']) == ('7', '0.25')
    assert writer.maxima == {'max_lag': 3.0}  # of the whole run


def test_rows_written_after_the_checkpoint_are_cut_off_on_resuming(tmp_path):
    first = make(tmp_path)
    first.gather({'loss': 1.0, 'max_lag': 4.0})
    first.add(row(10))
    at_checkpoint = first.state()
    first.add(row(20))
    first.close()
    again = make(tmp_path, at_checkpoint, start=10)
    assert again.state() == at_checkpoint  # a checkpoint before any new row is the same
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
    assert env_steps(tmp_path) == ['10', '15']


@pytest.mark.parametrize('damage', [b'', b'4,', b'\0' * 30, b'x,y\r\n1,2\r\n'])
def test_a_damaged_file_is_set_aside_and_a_new_one_started(tmp_path, capsys, damage):
    """A damaged curve must not stop a run."""
    first = make(tmp_path)
    first.add(row(10))
    at_checkpoint = first.state()
    first.close()
    path = tmp_path / 'progress.csv'
    path.write_bytes(damage + path.read_bytes()[40:])
    again = make(tmp_path, at_checkpoint, start=10)
    assert 'is damaged: it is progress.csv.damaged now' in capsys.readouterr().out
    again.add(row(15))
    again.close()
    assert (tmp_path / 'progress.csv.damaged').read_bytes().startswith(damage)
    assert env_steps(tmp_path) == ['15']


def test_cadence_is_due_once_per_interval_and_continues_after_a_restart():
    cadence = progress.Cadence(100)
    assert [c for c in (5, 99, 101, 150, 199, 230, 460, 480) if cadence.due(c)] == [101, 230, 460]
    assert not progress.Cadence(100, start=460).due(480)
