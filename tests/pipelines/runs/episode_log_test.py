import pytest

from pipelines.loops.episode_losses import Turn
from pipelines.loops.rollout import Episode
from pipelines.runs.episode_log import EpisodeLog
from pipelines.runs.events import Events
from tests.pipelines.whole_runs import episodes, scalars

TURNS = [Turn(20, 0, {}), Turn(40, 2, {'loss': 0.5}), Turn(60, 2, {'loss': 0.123456})]
ENDED = [Episode(1, 12, 12.0, 12), Episode(2, 33, -4.5, 21), Episode(3, 60, 27.0, 27)]


def make(directory, state=None, **more):
    events = Events(directory / 'tensorboard')
    events.open()
    log = EpisodeLog(directory, events, **({'gauges': {}, 'prints': False} | more))
    if state is not None:
        log.restore(state)
    log.open()
    return log, events


def close(log, events):
    log.close()
    events.close()


def test_every_episode_is_a_row_and_two_scalars(tmp_path, capsys):
    log, events = make(tmp_path)
    log.record(TURNS, ENDED)
    close(log, events)
    assert [list(row.values()) for row in episodes(tmp_path)] == [
        ['1', '12', '12', '12', ''],
        ['2', '33', '-4.5', '21', '0.5'],
        ['3', '60', '27', '27', '0.123456'],
    ]
    assert scalars(tmp_path) == {
        'by episode/reward': [(1, 12.0), (2, -4.5), (3, 27.0)],
        'by episode/avg loss': [(2, 0.5), (3, pytest.approx(0.123456))],
    }
    assert capsys.readouterr().out == ''


def test_after_a_resume_every_episode_is_there_once(tmp_path):
    log, events = make(tmp_path)
    log.record(TURNS[:2], ENDED[:2])
    at_checkpoint = log.state()
    log.record(TURNS[2:], ENDED[2:])  # lost
    close(log, events)
    log, events = make(tmp_path, at_checkpoint)
    log.record([Turn(70, 1, {'loss': 3.0})], [Episode(3, 70, 30.0, 30)])
    close(log, events)
    assert [row['return'] for row in episodes(tmp_path)] == ['12', '-4.5', '30']
    assert scalars(tmp_path)['by episode/reward'] == [(1, 12.0), (2, -4.5), (3, 30.0)]
    assert scalars(tmp_path)['by episode/avg loss'] == [(2, 0.5), (3, 3.0)]


def test_a_line_for_each_episode_where_it_is_asked_for(tmp_path, capsys):
    log, events = make(tmp_path, gauges={'epsilon': lambda: 0.94}, prints=True)
    log.record(TURNS, ENDED)
    close(log, events)
    assert capsys.readouterr().out.splitlines() == [
        'episode 1: return 12, length 12, avg loss -, epsilon 0.94',
        'episode 2: return -4.5, length 21, avg loss 0.5, epsilon 0.94',
        'episode 3: return 27, length 27, avg loss 0.1235, epsilon 0.94',
    ]
    log, events = make(tmp_path, prints=True)  # nothing is explored with an epsilon
    log.record(TURNS, ENDED[:1])
    close(log, events)
    assert capsys.readouterr().out == 'episode 1: return 12, length 12, avg loss -\n'
