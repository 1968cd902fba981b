import csv

import tensorflow as tf

from pipelines import progress


def row(env_steps):
    return dict.fromkeys(progress.COLUMNS, 1.0) | {'env_steps': env_steps, 'eval_return_mean': ''}


def test_rows_written_after_the_checkpoint_are_cut_off_on_going_on(tmp_path):
    first = progress.Progress(tmp_path, 100, num_bytes=0, start=0)
    first.add(row(10))
    at_checkpoint = first.sync()
    first.add(row(20))
    first.close()
    again = progress.Progress(tmp_path, 100, at_checkpoint, start=10)
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


def test_cadence_is_due_once_per_interval_and_goes_on_after_a_restart():
    cadence = progress.Cadence(100)
    assert [c for c in (5, 99, 101, 150, 199, 230, 460, 480) if cadence.due(c)] == [101, 230, 460]
    assert not progress.Cadence(100, start=460).due(480)


def test_the_curve_is_a_picture_even_before_any_episode_has_ended(tmp_path):
    writer = progress.Progress(tmp_path, 100, num_bytes=0, start=0)
    writer.add(row(10) | {'return_mean_100': '', 'loss': ''})
    writer.close()
    progress.draw_curve(tmp_path / 'progress.csv', tmp_path / 'curve.png', 'title')
    assert (tmp_path / 'curve.png').read_bytes()[:4] == b'\x89PNG'
