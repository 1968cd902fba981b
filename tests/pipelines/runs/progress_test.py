import csv

from pipelines.runs import progress
from pipelines.runs.events import Events

COLUMNS = progress.columns(('loss', 'max_lag', 'epsilon', 'overestimation'))


def make(directory, state=None, start=0):
    events = Events(directory / 'tensorboard')
    events.open()
    writer = progress.Progress(
        directory, events, ('loss', 'max_lag'), {'epsilon': lambda: 0.5}, ('overestimation',)
    )
    if state is not None:
        writer.restore(state)
    writer.open({'env_steps': 100}, {'env_steps': start})
    return writer


def row(env_steps, **more):
    return {
        'env_steps': env_steps, 'train_steps': 1, 'episodes': 1, 'return_mean_100': 1.0,
        'env_steps_per_second': 1.0, 'wall_seconds': 1.0, **more,
    }  # fmt: skip


def rows(directory):
    with open(directory / 'progress.csv', newline='') as f:
        return list(csv.DictReader(f))


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


def test_a_row_before_the_first_step_says_no_pace(tmp_path, capsys):
    writer = make(tmp_path)
    writer.add(row(0, eval_return_mean=7.0))
    writer.add(row(10))
    writer.close()
    before, after = capsys.readouterr().out.splitlines()
    assert 'eval 7' in before and 's left' not in before and 's left' in after


def test_after_a_resume_rows_and_maxima_are_those_of_the_checkpoint(tmp_path):
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
    assert [r['env_steps'] for r in rows(tmp_path)] == ['10', '15']
    assert again.maxima == {'max_lag': 4.0}


def test_cadence_is_due_once_per_interval_and_continues_after_a_restart():
    cadence = progress.Cadence(100)
    assert [c for c in (5, 99, 101, 150, 199, 230, 460, 480) if cadence.due(c)] == [101, 230, 460]
    assert not progress.Cadence(100, start=460).due(480)
