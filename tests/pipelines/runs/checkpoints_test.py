import errno

import pytest
import tensorflow as tf

from pipelines.errors import UserError
from pipelines.runs.checkpoints import Checkpoints


class Part:
    """A part whose state is a number; also a replay that records what it may delete."""

    def __init__(self, value=0):
        self.value, self.pruned = value, None

    def state(self):
        return self.value

    def restore(self, state):
        self.value = state

    def prune(self, state):
        self.pruned = state


class Run:
    """Two parts, a replay and a variable; `save` sets all of them to the same number."""

    def __init__(self, directory):
        self.variable = tf.Variable(0)
        self.parts = {'one': Part(), 'two': Part()}
        self.experience = Part()
        variables = tf.train.Checkpoint(variable=self.variable)
        self.checkpoints = Checkpoints(directory, variables, self.parts, self.experience)

    def save(self, number):
        self.variable.assign(number)
        for part in (*self.parts.values(), self.experience):
            part.value = number
        self.checkpoints.save(number)

    def numbers(self):
        """The number of all of them, which must be the same."""
        parts = [part.value for part in (*self.parts.values(), self.experience)]
        assert len({*parts, int(self.variable)}) == 1
        return parts[0]


def names(directory):
    return sorted(int(path.name) for path in directory.iterdir())


def test_every_part_comes_back_from_the_newest_of_two(tmp_path):
    run = Run(tmp_path)
    for env_steps in (9, 10, 100):
        run.save(env_steps)
    assert names(tmp_path) == [10, 100]
    assert run.experience.pruned == 10  # what the older one needs is kept
    again = Run(tmp_path)
    assert again.checkpoints.restore()
    assert again.numbers() == 100


def test_without_a_checkpoint_experience_begins_empty(tmp_path):
    run = Run(tmp_path)
    assert not run.checkpoints.restore()
    assert run.experience.value is None


@pytest.mark.parametrize('harm', ['truncate', 'remove', 'no manifest', 'flip'])
def test_a_damaged_newest_checkpoint_costs_one_interval_and_says_so(tmp_path, harm):
    run = Run(tmp_path)
    run.save(10)
    run.save(20)
    newest = tmp_path / f'{20:012d}'
    data = newest / 'variables.index'
    if harm == 'truncate':
        data.write_bytes(data.read_bytes()[:-1])
    elif harm == 'flip':
        content = data.read_bytes()
        data.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif harm == 'remove':
        data.unlink()
    else:
        (newest / 'manifest.json').unlink()
    said = []
    again = Run(tmp_path)
    assert again.checkpoints.restore(said.append)
    assert again.numbers() == 10
    assert len(said) == 1 and 'damaged' in said[0]


def test_a_failing_disk_leaves_the_checkpoint_before_untouched(tmp_path):
    run = Run(tmp_path)
    run.save(10)

    def full():
        raise OSError(errno.ENOSPC, 'No space left on device')

    run.parts['two'].state = full
    with pytest.raises(UserError, match='No space left on device.*resumes from'):
        run.checkpoints.save(20)
    again = Run(tmp_path)
    assert again.checkpoints.restore()
    assert again.numbers() == 10
    assert not list(tmp_path.glob('*.tmp'))


def test_a_checkpoint_of_another_version_is_refused_in_one_line(tmp_path):
    run = Run(tmp_path)
    run.save(10)
    other = Run(tmp_path)
    other.checkpoints = Checkpoints(
        tmp_path, tf.train.Checkpoint(other=tf.Variable([1.0])), other.parts, other.experience
    )
    with pytest.raises(UserError, match='written by another version') as error:
        other.checkpoints.restore()
    assert '\n' not in str(error.value)


def test_a_part_that_is_newer_than_the_checkpoint_begins_there(tmp_path):
    run = Run(tmp_path)
    run.save(5)
    again = Run(tmp_path)
    again.parts['three'] = Part(7)
    newer = Checkpoints(
        tmp_path, tf.train.Checkpoint(variable=again.variable), again.parts, again.experience
    )
    assert newer.restore() and again.parts.pop('three').value == 7
    assert again.numbers() == 5
