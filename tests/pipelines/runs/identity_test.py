import pytest
import tensorflow as tf

from pipelines.errors import UserError
from pipelines.runs import identity
from pipelines.runs.checkpoints import FORMAT, Checkpoints
from tests.pipelines.runs.checkpoints_test import Part

CLAIMED = {'format': FORMAT, '--seed': '3', 'vectorization': 'sync'}
TEXTS = ['', '{}', '[]', 'null', '{"format": "', '{"format": "4"}']


def begun(root, *, checkpoint):
    """A directory that was claimed, with or without a checkpoint."""
    identity.path_in(root).parent.mkdir(parents=True)
    identity.write(root, CLAIMED)
    if checkpoint:
        variables = tf.train.Checkpoint(variable=tf.Variable(0))
        parts = {'identity': identity.Kept(CLAIMED)}
        Checkpoints(root / 'checkpoints', variables, parts, Part()).save(5)
    return root


@pytest.mark.parametrize('text', [*TEXTS, None])
def test_a_damaged_identity_is_taken_from_the_newest_checkpoint(tmp_path, text):
    path = identity.path_in(begun(tmp_path, checkpoint=True))
    assert identity.read(tmp_path) == (CLAIMED, '')
    path.unlink() if text is None else path.write_text(text)
    found, note = identity.read(tmp_path)
    assert found == CLAIMED and note.endswith(': taken from the newest checkpoint')
    assert identity.remembered(str(tmp_path), 'vectorization') == 'sync'


def test_one_of_an_earlier_version_is_refused(tmp_path):
    path = identity.path_in(begun(tmp_path, checkpoint=True))
    path.write_text('{"--seed": "0", "train_ddqn.categorical": "False"}')
    with pytest.raises(UserError, match='written by another version'):
        identity.read(tmp_path)


def test_before_the_first_checkpoint_a_damaged_one_costs_nothing(tmp_path):
    path = identity.path_in(begun(tmp_path, checkpoint=False))
    path.write_text('{"form')
    found, note = identity.read(tmp_path)
    assert found == {} and 'there is no checkpoint yet: the run begins again' in note
    assert identity.remembered(str(tmp_path), 'vectorization') is None


@pytest.mark.parametrize('trace', ['progress.csv', 'summary.json', 'replay'])
def test_a_run_whose_checkpoints_are_gone_does_not_begin_again(tmp_path, trace):
    assert identity.read(tmp_path) == ({}, '')  # nothing is there
    (tmp_path / trace).mkdir()
    with pytest.raises(UserError, match='checkpoints are gone or damaged.*put a copy back'):
        identity.read(tmp_path)


def test_without_any_copy_a_run_with_a_checkpoint_is_refused(tmp_path):
    path = identity.path_in(begun(tmp_path, checkpoint=True))
    path.write_text('')
    (path.parent / f'{5:012d}' / 'state.json').write_text('{}')
    with pytest.raises(UserError, match='checkpoints are gone or damaged'):
        identity.read(tmp_path)
