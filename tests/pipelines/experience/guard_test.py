"""What another program can do to a table, and that it is noticed: on real Reverb servers."""

import tempfile

import numpy as np
import pytest
import reverb

from pipelines.experience import guard
from pipelines.experience.episode_queue import EpisodeQueue
from pipelines.experience.guard import TableChangedError
from tests.pipelines.experience.episode_queue_test import SPEC
from tests.pipelines.experience.fakes import Life, fill, make

NUM_ENVS = 3


@pytest.fixture
def replay(tmp_path):
    with make(tmp_path, NUM_ENVS) as replay:
        fill(replay, Life([5], NUM_ENVS), 80)
        replay.check_unchanged()
        replay.state()  # to the item
        yield replay


def foreign_items(replay, count):
    """Inserts items as another program does."""
    client = reverb.Client(replay.address)
    rows = [np.zeros(replay.codec.row_bytes, np.uint8)] * replay.blocks.rows
    with client.trajectory_writer(num_keep_alive_refs=len(rows)) as writer:
        for _ in range(count):
            for row in rows:
                writer.append({'rows': row})
            writer.create_item('transitions', 1.0, {'rows': writer.history['rows'][-len(rows) :]})
        writer.flush()


def test_items_of_another_program_are_noticed(replay):
    foreign_items(replay, 40)
    with pytest.raises(TableChangedError) as failed:
        replay.check_unchanged()
    message = str(failed.value)
    assert message.startswith('another program has changed the experience of this run: ')
    assert 'items have been inserted into it' in message and '--network=private' in message
    assert '\n' not in message


def test_a_single_item_keeps_a_checkpoint_from_being_written(replay):
    foreign_items(replay, 1)
    with pytest.raises(TableChangedError):
        replay.state()


def test_a_table_that_was_emptied_is_noticed(replay):
    reverb.Client(replay.address).reset('transitions')
    with pytest.raises(TableChangedError, match='and the run inserted'):
        replay.check_unchanged()
    with pytest.raises(TableChangedError):
        replay.stalled('sampling')  # which would otherwise ask for a dead writer


def test_items_that_were_deleted_are_noticed(replay):
    client = reverb.Client(replay.address)
    key = next(iter(client.sample('transitions', 1)))[0].info.key
    client.mutate_priorities('transitions', deletes=[key])
    with pytest.raises(TableChangedError, match='it holds .* instead of'):
        replay.check_unchanged()


def test_a_full_table_that_drops_its_oldest_items_has_not_been_changed(tmp_path):
    with make(tmp_path, NUM_ENVS, capacity_transitions=60) as replay:
        life = Life([5], NUM_ENVS)
        for _ in range(6):
            fill(replay, life, 30)
            replay.check_unchanged()
            replay.state()


def test_nobody_can_have_the_table_written_to_a_file(tmp_path, monkeypatch):
    elsewhere = tmp_path / 'tmp'
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(elsewhere))
    with make(tmp_path, NUM_ENVS) as replay:
        fill(replay, Life([5], NUM_ENVS), 20)
        with pytest.raises(ValueError, match='no Checkpointer'):
            reverb.Client(replay.address).checkpoint()
    assert not list(elsewhere.iterdir())


@pytest.fixture
def queue():
    with EpisodeQueue(SPEC, 2) as queue:
        yield queue


def episodes(queue):
    return [np.zeros((4, queue.codec.row_bytes), np.uint8)] * 2


def test_a_queue_of_episodes_notices_the_same(queue):
    batches = queue.batches()
    for _ in range(3):
        queue.put(episodes(queue))
        queue.take()
        next(batches)
    client = reverb.Client(queue._address)
    with client.trajectory_writer(num_keep_alive_refs=1) as writer:
        writer.append({'rows': np.array(b'foreign', object)})
        writer.create_item('episodes', 1.0, {'rows': writer.history['rows'][-1:]})
        writer.flush()
    with pytest.raises(TableChangedError, match='items have been inserted'):
        queue.put(episodes(queue))


def test_a_queue_that_was_emptied_is_not_waited_for(queue):
    queue.put(episodes(queue))
    reverb.Client(queue._address).reset('episodes')
    with pytest.raises(TableChangedError):
        queue.take()


def test_a_table_may_take_a_moment_to_settle():
    class Slow:
        """Holds an item more at every look."""

        looks = 0

        @property
        def info(self):
            self.looks += 1
            stats = type('', (), {'completed': self.looks})
            limiter = type('', (), {'insert_stats': stats})
            return type('', (), {'rate_limiter_info': limiter, 'max_times_sampled': 0,
                                 'current_size': self.looks, 'max_size': 100})  # fmt: skip

    table = Slow()
    guard.check_table(table, 1, created=4)
    assert table.looks == 4
