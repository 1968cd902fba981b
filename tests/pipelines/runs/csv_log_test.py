import csv

import pytest

from pipelines.runs.csv_log import CsvLog


def make(directory, num_bytes=None):
    """A log that is open, and the rows that it kept."""
    log = CsvLog(directory / 'log.csv', ('env_steps', 'loss'))
    if num_bytes is not None:
        log.restore(num_bytes)
    return log, log.open()


def rows(directory):
    with open(directory / 'log.csv', newline='') as f:
        return [list(row.values()) for row in csv.DictReader(f)]


def test_what_was_written_after_the_checkpoint_is_cut_off_on_resuming(tmp_path):
    first, kept = make(tmp_path)
    assert kept == []
    first.add({'env_steps': 10, 'loss': 1 / 3})
    at_checkpoint = first.state()
    first.add({'env_steps': 20, 'loss': ''})
    first.close()
    assert rows(tmp_path) == [['10', '0.333333'], ['20', '']]
    again, kept = make(tmp_path, at_checkpoint)
    assert kept == [{'env_steps': '10', 'loss': '0.333333'}]
    assert again.state() == at_checkpoint  # a checkpoint before any new row is the same
    again.add({'env_steps': 15, 'loss': 2.0})
    again.close()
    assert rows(tmp_path) == [['10', '0.333333'], ['15', '2']]


def test_without_a_checkpoint_what_is_there_is_written_over(tmp_path):
    first, _ = make(tmp_path)
    first.add({'env_steps': 10, 'loss': 1.0})
    first.close()
    again, kept = make(tmp_path)
    again.close()
    assert kept == rows(tmp_path) == []


@pytest.mark.parametrize('damage', [b'', b'4,', b'\0' * 30, b'x,y\r\n1,2\r\n'])
def test_a_damaged_file_is_set_aside_and_a_new_one_started(tmp_path, capsys, damage):
    """A damaged curve must not stop a run."""
    first, _ = make(tmp_path)
    for i in range(10):
        first.add({'env_steps': i, 'loss': 1.0})
    at_checkpoint = first.state()
    first.close()
    path = tmp_path / 'log.csv'
    path.write_bytes(damage + path.read_bytes()[13:])
    again, kept = make(tmp_path, at_checkpoint)
    assert 'is damaged: it is log.csv.damaged now' in capsys.readouterr().out and kept == []
    again.add({'env_steps': 15, 'loss': 1.0})
    again.close()
    assert (tmp_path / 'log.csv.damaged').read_bytes().startswith(damage)
    assert rows(tmp_path) == [['15', '1']]
