import errno
import shutil

import pytest
import tensorflow as tf

from pipelines.errors import UserError
from pipelines.runs import checkpoints
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
    return sorted(int(path.name) for path in directory.iterdir() if path.is_dir())


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


MANIFESTS = ['', '{}', '[]', 'null', '{"state.json": 1}', '{"state.json": "a"}']


@pytest.mark.parametrize('harm', ['truncate', 'remove', 'no manifest', 'flip', *MANIFESTS])
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
    elif harm in MANIFESTS:
        (newest / 'manifest.json').write_text(harm)
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


def spoil(directory):
    (directory / 'state.json').write_text('{}')


def test_what_would_begin_again_is_refused_and_nothing_is_deleted(tmp_path):
    """All checkpoints are damaged, or gone: there was one, and it is not to be thrown away."""
    run = Run(tmp_path)
    run.save(10)
    run.save(20)
    for number in (10, 20):
        spoil(tmp_path / f'{number:012d}')
    again = Run(tmp_path)
    with pytest.raises(UserError, match='holds no whole checkpoint .*state.json has changed'):
        again.checkpoints.restore()
    assert names(tmp_path) == [10, 20] and again.experience.value == 0
    for path in checkpoints.all_in(tmp_path):
        shutil.rmtree(path)
    with pytest.raises(UserError, match=r'holds no whole checkpoint \(they are gone\)'):
        again.checkpoints.restore()


def test_an_older_checkpoint_that_is_damaged_does_not_stop_a_run(tmp_path):
    run = Run(tmp_path)
    run.save(10)
    run.save(20)
    spoil(tmp_path / f'{10:012d}')
    again = Run(tmp_path)
    assert again.checkpoints.restore() and again.numbers() == 20
    again.save(20)
    assert again.experience.pruned is None
    again.save(30)
    assert again.experience.pruned == 20 and names(tmp_path) == [20, 30]


def test_files_of_others_among_the_checkpoints_are_left_alone(tmp_path):
    run = Run(tmp_path)
    for number in (10, 20):
        run.save(number)
    (tmp_path / '000000000099').write_text('mine')
    (tmp_path / '7').mkdir()
    (tmp_path / 'notes').mkdir()
    (tmp_path / f'{20:012d}' / 'mine').mkdir()
    again = Run(tmp_path)
    assert again.checkpoints.restore() and again.numbers() == 20
    again.save(30)
    assert [path.name for path in checkpoints.all_in(tmp_path)] == [f'{n:012d}' for n in (20, 30)]
    assert {'000000000099', '7', 'notes'} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize('name', ['run[1]', 'a*b?', 'back\\slash'])
def test_a_path_that_tensorflow_takes_for_a_pattern(tmp_path, name):
    run = Run(tmp_path / name)
    run.save(10)
    again = Run(tmp_path / name)
    assert again.checkpoints.restore() and again.numbers() == 10
