"""Cards and policies from anywhere: whatever is wrong with them is one line."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from envs.errors import EnvError
from envs.task import Task
from pipelines import files, json_files
from pipelines.errors import UserError
from pipelines.loops.evaluation import Evaluator
from pipelines.runs import card, weights
from pipelines.runs.export import LoadedPolicy

CARD = {
    **Task('CartPole-v1').card(),
    'observation_spec': {'shape': [4], 'dtype': 'float32'},
    'action_spec': {'shape': [], 'dtype': 'int64', 'minimum': 0, 'maximum': 1},
    'gamma': 0.99,
}


def left(observation):
    return {'action': tf.zeros(tf.shape(observation)[:1], tf.int64)}


def foreign(directory, act=left, entries=CARD, name='act', of='observation'):
    """A SavedModel that this project did not make, and a card for it."""
    module = tf.Module()
    module.weight = tf.Variable(np.arange(1_000.0))
    spec = tf.TensorSpec([None, 4], tf.float32, of)
    module.function = tf.function(act, input_signature=[spec], autograph=False)
    signatures = {name: module.function.get_concrete_function()}
    with files.for_tensorflow(directory) as path:
        tf.saved_model.save(module, str(path), signatures=signatures)
    (directory / 'policy_card.json').write_text(json.dumps(entries))
    return directory


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    return foreign(tmp_path_factory.mktemp('foreign'))


def test_a_foreign_policy_plays(whole):
    policy = LoadedPolicy(str(whole))
    envs = card.task(policy.card, card.path_in(whole)).evaluation_envs(2)
    policy.check_fits(envs)
    with policy.explained():
        assert (Evaluator(envs, policy)(2, seed=0) < 12).all()


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('{}', "it has no 'env_name'"),
        ('null', 'it holds null, not an object'),
        ('[]', 'it holds [], not an object'),
        ('{"env', 'policy_card.json cannot be read: '),
        ({'env_name': 3}, "'env_name' is 3, not a string"),
        ({'gamma': 'high'}, '\'gamma\' is "high", must be a number between 0 and 1, or None'),
        ({'gamma': 99}, "'gamma' is 99, must be"),
        ({'gamma': float('nan')}, "'gamma' is NaN, must be"),
        ({'state_spec': 3}, "'state_spec' is 3, must be an array's shape and dtype"),
        ({'observation_spec': None}, "'observation_spec' is null, must be"),
        ({'observation_spec': {'shape': [4], 'dtype': 'f4'}}, '\'observation_spec\' is {"shape"'),
        ({'observation_spec': {'shape': [-4], 'dtype': 'int8'}}, "'observation_spec' is"),
        ({'action_spec': {'shape': []}}, "it has no 'action_spec.dtype'"),
        ({'env_options': [4]}, "'env_options' is [4], not an object"),
        ({'env_kwargs': 'a'}, '\'env_kwargs\' is "a", not an object'),
        ({'config': {'a': 1}}, "'config.a' is 1, not a string"),
        ({'action_spec': {'shape': [2], 'dtype': 'int64'}}, "the output 'action' of act is int64"),
        ({'observation_spec': {'a': CARD['observation_spec']}}, "the inputs of act are ['obs"),
        ({'state_spec': CARD['observation_spec']}, "not ['observation', 'reset', 'state']"),
    ],
)
def test_a_card_that_cannot_be_used_is_one_line(tmp_path, whole, text, words):
    policy_dir = shutil.copytree(whole, tmp_path / 'policy')
    entries = text if isinstance(text, str) else json.dumps({**CARD, **text})
    (policy_dir / 'policy_card.json').write_text(entries)
    with pytest.raises(UserError) as error:
        LoadedPolicy(str(policy_dir))
    assert str(error.value).startswith(f"--policy_dir='{policy_dir}' holds a damaged policy: ")
    assert words in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('act', 'options', 'words'),
    [
        (left, {'name': 'serve'}, "its SavedModel has no signature 'act'"),
        (left, {'of': 'state'}, "the inputs of act are ['state'], not ['observation']"),
        (lambda x: {'choice': x}, {}, "the outputs of act are [], not ['action']"),
        (lambda x: {'action': x[:, 0]}, {}, "'action' of act is float32 (None,), not int64"),
        (
            lambda x: {'action': tf.cast(x, tf.int64)},
            {},
            "the output 'action' of act is int64 (None, 4), not int64 [None]",
        ),
    ],
)
def test_a_signature_that_is_not_as_the_card_says_is_one_line(tmp_path, act, options, words):
    with pytest.raises(UserError) as error:
        LoadedPolicy(str(foreign(tmp_path, act, **options)))
    assert words in str(error.value) and '\n' not in str(error.value)


def test_an_action_that_there_is_not_is_the_policys_fault(tmp_path):
    policy = LoadedPolicy(str(foreign(tmp_path, lambda x: {'action': 7 + left(x)['action']})))
    evaluator = Evaluator(Task('CartPole-v1').evaluation_envs(1), policy)
    with (
        pytest.raises(UserError, match='the policy cannot play: an action is outside 0 to 1'),
        policy.explained(),
    ):
        evaluator(1, seed=0)


@pytest.mark.parametrize('name', ['saved_model.pb', 'variables/variables.index'])
@pytest.mark.parametrize('keep', [0, 100])
def test_a_cut_file_is_one_line(tmp_path, whole, name, keep):
    policy_dir = shutil.copytree(whole, tmp_path / 'policy')
    path = policy_dir / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match='holds a damaged policy: ') as error:
        LoadedPolicy(str(policy_dir))
    assert '\n' not in str(error.value)


def test_cut_variables_are_one_line(tmp_path, whole):
    policy_dir = shutil.copytree(whole, tmp_path / 'policy')
    (data,) = (policy_dir / 'variables').glob('*.data*')
    data.write_bytes(data.read_bytes()[:-500])
    with pytest.raises(UserError, match='holds a damaged policy: '):
        LoadedPolicy(str(policy_dir))


def test_options_that_a_game_does_not_take_are_named():
    path = pathlib.Path('card.json')
    entries = {**CARD, 'env_name': 'ALE/Pong-v5', 'env_options': {'colour': True}}
    with pytest.raises(
        UserError, match=r"card.json cannot be used: env_options = {'colour': True}"
    ):
        card.task(entries, path)
    with pytest.raises(EnvError, match='NoSuch-v1'):
        card.task({**CARD, 'env_name': 'NoSuch-v1'}, path)


def test_a_file_that_was_changed_since_the_export_is_named(tmp_path, whole):
    policy_dir = shutil.copytree(whole, tmp_path / 'policy')
    names = ('saved_model.pb', 'policy_card.json')
    sums = {name: files.checksum(policy_dir / name) for name in names}
    json_files.write(policy_dir / 'export_report.json', {'files': sums})
    LoadedPolicy(str(policy_dir))
    (policy_dir / 'policy_card.json').write_text(json.dumps({**CARD, 'gamma': 0.9}))
    with pytest.raises(UserError, match='policy_card.json is missing or was changed after it was'):
        LoadedPolicy(str(policy_dir))
    with pytest.raises(UserError, match='was changed after it was exported'):
        weights.read(policy_dir)
    (policy_dir / 'export_report.json').unlink()  # on purpose, then
    assert LoadedPolicy(str(policy_dir)).card['gamma'] == 0.9


@pytest.mark.parametrize('name', ['run[1]', 'back\\slash'])
def test_a_path_that_tensorflow_takes_for_a_pattern(tmp_path, name):
    directory = tmp_path / name
    directory.mkdir()
    policy = LoadedPolicy(str(foreign(directory)))
    assert (
        policy.outputs(Task('CartPole-v1').evaluation_envs(3).reset(seed=0))[0]['action'].shape == 3
    )
