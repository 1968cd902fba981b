"""A finished run whose files were damaged, in a directory that TensorFlow takes for a pattern."""

import os
import shutil

import pytest

from pipelines import evaluate, train_ddqn
from tests.pipelines.whole_runs import newest_state, printed, progress, read_json

BINDINGS = (
    'train_ddqn.num_eval_episodes = 2', 'train_ddqn.num_selection_episodes = 1',
    'train_ddqn.eval_interval_env_steps = 400', 'train_ddqn.log_interval_env_steps = 100',
    'train_ddqn.checkpoint_interval_env_steps = 200', 'train_ddqn.min_replay_transitions = 100',
    'train_ddqn.num_envs = 4', 'train_ddqn.fuse_train_steps = False', 'mlp_torso.units = (8,)',
    'Replay.transitions_per_item = 4', 'Replay.rows_per_chunk = 4',
)  # fmt: skip


def train(root, length=500):
    """Returns (exit code, what was printed)."""
    bindings = (*BINDINGS, f'train_ddqn.num_env_steps = {length}')
    flags = [f'--gin_bindings={binding}' for binding in bindings]
    with printed() as said:
        code = train_ddqn.main(['train_ddqn', f'--root_dir={root}', *flags])
    assert 'Traceback' not in said.err
    return code, said.out + said.err


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """The run's directory, and what was left in TMPDIR."""
    root = tmp_path_factory.mktemp('damaged') / 'run[1]\\'
    with pytest.MonkeyPatch.context() as patch:
        temporary = root.parent / 'tmp'
        temporary.mkdir()
        patch.setattr('tempfile.tempdir', str(temporary))
        code, said = train(root)
        assert code == 0, said
        left = os.listdir(temporary)
    return root, left


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / 'run[1]')


def test_a_run_leaves_nothing_in_the_temporary_directory(finished):
    # AutoGraph's files are deleted when the process ends.
    assert not [name for name in finished[1] if 'autograph' not in name]


def test_its_policy_can_be_evaluated(run, capsys):
    assert evaluate.main(['evaluate', f'--policy_dir={run}', '--episodes=2']) == 0
    assert 'CartPole-v1, 2 episodes' in capsys.readouterr().out


def test_a_lost_log_costs_the_replay_and_nothing_else(run):
    before = newest_state(run)
    shutil.rmtree(run / 'replay')
    code, said = train(run, 1_000)
    assert code == 0, said
    assert f'resuming from {before["env_steps"]:,} env steps with 0 transitions in replay; ' in said
    assert 'rows are damaged or missing in' in said
    after, summary = newest_state(run), read_json(run, 'summary.json')
    # It has waited for 100 transitions, and a train step is owed for each env step since.
    waited = after['collect_and_train'] - before['collect_and_train']
    assert 100 <= waited < 200
    assert summary['train_steps_per_env_step'] == 1.0
    steps = summary['env_steps'] - before['env_steps'] - waited
    assert summary['train_steps'] == before['session']['train_steps'] + steps
    assert [int(row['env_steps']) for row in progress(run)][-1] == summary['env_steps']


def test_a_run_whose_checkpoints_are_gone_does_not_begin_again(run):
    summary = (run / 'summary.json').read_bytes()
    for path in (run / 'checkpoints').glob('0*'):
        shutil.rmtree(path)
    code, said = train(run, 1_000)
    assert code == 2 and 'holds no whole checkpoint (they are gone)' in said
    shutil.rmtree(run / 'checkpoints')
    code, said = train(run, 1_000)
    assert code == 2 and 'holds a run whose checkpoints are gone' in said
    assert (run / 'summary.json').read_bytes() == summary and (run / 'replay').exists()


def test_a_damaged_policy_is_exported_again_from_the_checkpoint(run):
    before = read_json(run, 'summary.json')
    assert 'is finished' in train(run)[1]
    data = bytearray((run / 'policy' / 'saved_model.pb').read_bytes())
    data[1_000] ^= 1
    (run / 'policy' / 'saved_model.pb').write_bytes(data)
    code, said = train(run)
    assert code == 0 and 'saved_model.pb is missing or was changed' in said
    after = read_json(run, 'summary.json')
    assert after['eval_returns'] == before['eval_returns'] and after['best'] == before['best']
    assert 'is finished' in train(run)[1]
