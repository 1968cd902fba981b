import pytest

from pipelines.runs.events import Events
from tests.pipelines.whole_runs import scalars


def test_tensorboard_reads_what_was_added(tmp_path):
    events = Events(tmp_path / 'tensorboard')
    events.open()
    events.add(7, {'reward': 1.5, 'by episode/avg loss': 0.25})
    events.add(9, {'reward': -2.0})
    events.flush()
    assert scalars(tmp_path) == {
        'reward': [(7, 1.5), (9, -2.0)],
        'by episode/avg loss': [(7, 0.25)],
    }
    events.close()


def test_every_start_begins_with_nothing(tmp_path):
    for value in (1.0, 2.0):
        events = Events(tmp_path / 'tensorboard')
        events.open()
        events.add(3, {'reward': value})
        events.close()
    assert scalars(tmp_path) == {'reward': [(3, pytest.approx(2.0))]}
