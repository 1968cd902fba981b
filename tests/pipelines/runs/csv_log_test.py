import csv

import pytest

from pipelines.runs.csv_log import CsvLog


def make(directory, marks=None):
    """A log that is open, and the rows that it kept."""
    log = CsvLog(directory / 'log.csv', ('env_steps', 'loss'))
    if marks is not None:
        log.restore(marks)
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


def change(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ('harm', 'kept'),
    [
        (lambda data: change(data, 3), [2, 3, 4, 5]),  # in the header, which is written again
        (lambda data: change(data, 17), [2, 3, 4, 5]),  # a digit of a row
        (lambda data: change(data, len(data) - 3), [0, 1, 2, 3]),
        (lambda data: data[:-1], [0, 1, 2, 3]),  # cut: the next row would be glued to it
        (lambda data: data[:20], []),
        (lambda data: b'', []),
        (lambda data: b'\0' * len(data), []),
        (None, []),
    ],
)
def test_what_was_changed_costs_the_rows_between_two_checkpoints(tmp_path, capsys, harm, kept):
    """A damaged curve must not stop a run, nor pass for the run's."""
    first, _ = make(tmp_path)
    for i in range(6):
        first.add({'env_steps': i, 'loss': 1.0})
        if i % 2:
            at_checkpoint = first.state()
    first.add({'env_steps': 6, 'loss': 1.0})
    first.close()
    assert len(at_checkpoint) == 3
    path = tmp_path / 'log.csv'
    (data := path.read_bytes()) and path.unlink()
    if harm is not None:
        path.write_bytes(harm(data[: at_checkpoint[-1][0]]))
    again, rows_kept = make(tmp_path, at_checkpoint)
    said = capsys.readouterr().out
    assert f'a new file has the {len(kept)} rows that are whole' in said
    assert [int(row['env_steps']) for row in rows_kept] == kept
    again.add({'env_steps': 15, 'loss': 1.0})
    marks = again.state()
    again.close()
    assert rows(tmp_path) == [[str(i), '1'] for i in [*kept, 15]]
    if harm is not None:
        assert (tmp_path / 'log.csv.damaged').read_bytes() == harm(data[: at_checkpoint[-1][0]])
    _, rows_kept = make(tmp_path, marks)  # once is enough
    assert len(rows_kept) == len(kept) + 1 and capsys.readouterr().out == ''
