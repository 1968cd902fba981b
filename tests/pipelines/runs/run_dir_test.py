import dataclasses
import shutil

import pytest

from envs.errors import EnvError
from pipelines import files
from pipelines.errors import UserError
from pipelines.runs import run_dir
from pipelines.runs.summary import Summary
from pipelines.settings import DdqnSettings


def test_a_directory_is_replaced_whole_or_put_back(tmp_path):
    final, tmp = tmp_path / 'policy', tmp_path / 'policy.tmp'
    for directory, text in ((final, 'old'), (tmp, 'new')):
        directory.mkdir()
        (directory / 'a').write_text(text)
    # Killed between the two renames: only policy.old and policy.tmp exist.
    final.rename(tmp_path / 'policy.old')
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints' / 'identity.json').write_text('{}')
    with run_dir.RunDir(tmp_path):
        assert (final / 'a').read_text() == 'old'
        assert sorted(p.name for p in tmp_path.iterdir()) == ['.lock', 'checkpoints', 'policy']
    tmp.mkdir()
    (tmp / 'a').write_text('new')
    files.replace_dir(tmp, final)
    assert (final / 'a').read_text() == 'new' and not tmp.exists()
    assert not (tmp_path / 'policy.old').exists()


def test_two_processes_cannot_share_a_directory(tmp_path):
    with run_dir.RunDir(tmp_path), pytest.raises(UserError, match='in use by another process'):
        run_dir.RunDir(tmp_path)
    with run_dir.RunDir(tmp_path):
        pass


def test_a_directory_that_cannot_be_made_is_named():
    with pytest.raises(UserError, match="--root_dir='/proc/nowhere' cannot be written"):
        run_dir.RunDir('/proc/nowhere')


SCHEDULE = DdqnSettings(num_env_steps=10_000).schedule()


def claim(run, monkeypatch, seed=0, **changes):
    """Claims with these operative bindings, of which `num_env_steps` may change."""
    base = {'train_ddqn.gamma': '0.9', 'train_ddqn.num_env_steps': '100'}
    bindings = base | {k.replace('__', '.'): v for k, v in changes.items()}
    monkeypatch.setattr(run_dir.gin_config, 'operative_bindings', lambda: bindings)
    return run.claim(run_dir.Claim(seed, SCHEDULE, DdqnSettings.changeable()))


def test_only_length_intervals_and_evaluations_may_change(tmp_path, monkeypatch):
    with run_dir.RunDir(tmp_path) as run:
        assert claim(run, monkeypatch)
        assert claim(run, monkeypatch, train_ddqn__num_env_steps='200')
        with pytest.raises(UserError, match='train_ddqn.gamma was 0.9 and is now 0.5'):
            claim(run, monkeypatch, train_ddqn__gamma='0.5')
        with pytest.raises(UserError, match='--seed was 0 and is now 1'):
            claim(run, monkeypatch, seed=1)
        with pytest.raises(UserError, match='adam.epsilon was not set and is now 1'):
            claim(run, monkeypatch, adam__epsilon='1')


def test_a_setting_that_is_newer_than_the_run_may_be_left_out(tmp_path, monkeypatch):
    for nothing in ('None', '()', '[]', '{}'):
        with run_dir.RunDir(tmp_path / nothing) as run:
            assert claim(run, monkeypatch)
            assert claim(run, monkeypatch, train_ddqn__warm_start=nothing)
    with run_dir.RunDir(tmp_path / 'other') as run:
        assert claim(run, monkeypatch)
        with pytest.raises(UserError, match="warm_start was not set and is now 'runs/a'"):
            claim(run, monkeypatch, train_ddqn__warm_start="'runs/a'")


def test_a_run_of_an_earlier_version_is_refused_in_one_line(tmp_path, monkeypatch):
    """Its identity.json has no format; nothing in the directory changes."""
    identity = tmp_path / 'checkpoints' / 'identity.json'
    identity.parent.mkdir()
    before = '{"--seed": "0", "train_ddqn.categorical": "False", "train_ddqn.gamma": "0.9"}'
    identity.write_text(before)
    with (
        run_dir.RunDir(tmp_path) as run,
        pytest.raises(UserError, match='written by another version') as error,
    ):
        claim(run, monkeypatch)
    assert '\n' not in str(error.value) and 'resume it with that version' in str(error.value)
    assert identity.read_text() == before and not (tmp_path / 'config.gin').exists()


@pytest.mark.parametrize('name', ['progress.csv', 'curve.png', 'checkpoints/identity.json'])
def test_a_directory_where_a_file_should_be_is_named_at_once(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir(parents=True)
    with (
        run_dir.RunDir(tmp_path) as run,
        pytest.raises(UserError, match=f'{name} is a directory and should be a file: move it'),
    ):
        claim(run, monkeypatch)
    assert not (tmp_path / 'config.gin').exists()


@pytest.mark.parametrize('name', ['checkpoints', 'replay', 'tensorboard', 'policy', 'videos'])
def test_a_file_where_a_directory_should_be_is_named_at_once(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text('mine')
    with (
        run_dir.RunDir(tmp_path) as run,
        pytest.raises(UserError, match=f'{name} is a file and should be a directory: move it'),
    ):
        claim(run, monkeypatch)
    assert not (tmp_path / 'config.gin').exists()


SUMMARY = Summary(
    env_name='CartPole-v1', agent='dqn', seed=0, env_steps=9_999, length=10_000, wall_seconds=1.0,
    env_steps_per_second=1.0, eval_mean=1.0,
)  # fmt: skip


def finished(root, monkeypatch):
    """A finished run whose policy is one file, and one checkpoint that nobody reads."""
    checkpoint = root / 'checkpoints' / f'{9_999:012d}'
    checkpoint.mkdir(parents=True)
    with run_dir.RunDir(root) as run:
        assert claim(run, monkeypatch)
    (root / 'policy').mkdir()
    (root / 'policy' / 'a').write_text('weights')
    left = {'policy/a': files.checksum(root / 'policy' / 'a')}
    dataclasses.replace(SUMMARY, checksums=left).write(root / 'summary.json')
    return checkpoint


HARMS = {
    'gone': lambda root: (root / 'policy' / 'a').unlink(),
    'changed': lambda root: (root / 'policy' / 'a').write_text('other'),
    'the directory is gone': lambda root: shutil.rmtree(root / 'policy'),
    'an empty summary': lambda root: (root / 'summary.json').write_text(''),
    'a summary of another type': lambda root: (root / 'summary.json').write_text('[]'),
}


@pytest.mark.parametrize('harm', HARMS)
def test_what_a_finished_run_left_is_made_again_where_it_is_damaged(
    tmp_path, monkeypatch, capsys, harm
):
    checkpoint = finished(tmp_path, monkeypatch)
    with run_dir.RunDir(tmp_path) as run:
        assert not claim(run, monkeypatch)
        assert 'is finished' in capsys.readouterr().out
        HARMS[harm](tmp_path)
        assert claim(run, monkeypatch)
        said = capsys.readouterr().out
        assert 'what the finished run left is made again from its checkpoint' in said
        assert ('summary.json cannot be read' in said) == ('summary' in harm)
        checkpoint.rmdir()
        with pytest.raises(UserError, match='without a checkpoint it cannot be made again'):
            claim(run, monkeypatch)


def test_files_of_others_are_left_alone(tmp_path):
    others = ['thesis.tmp', 'notes.old', 'data.old', 'policy.tmp']
    for name in others:
        (tmp_path / name).write_text('mine')
    with run_dir.RunDir(tmp_path):
        pass
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints' / 'identity.json').write_text('{}')
    (tmp_path / 'checkpoints' / 'data.old').write_text('mine')
    with run_dir.RunDir(tmp_path):
        pass
    assert (tmp_path / 'checkpoints' / 'data.old').exists()
    left = {p.name for p in tmp_path.iterdir()}
    assert left >= {'thesis.tmp', 'notes.old', 'data.old'}


def test_a_fault_of_the_environment_leaves_its_traceback_until_the_next_start(
    tmp_path, monkeypatch
):
    path = tmp_path / 'environment_error.txt'
    with pytest.raises(EnvError) as told, run_dir.RunDir(tmp_path) as run:
        claim(run, monkeypatch)
        raise EnvError('it raised ValueError', 'the traceback')
    assert path.read_text() == 'the traceback'
    assert str(told.value) == (
        f'it raised ValueError; its traceback is in {path}; fix it and run the same command to '
        'resume'
    )
    assert told.value.traceback is None  # it is written
    with run_dir.RunDir(tmp_path) as run:
        claim(run, monkeypatch)
        assert not path.exists()


def test_a_fault_without_a_traceback_and_any_other_error_leave_no_file(tmp_path):
    with (
        pytest.raises(EnvError, match='^the reward is nan; fix it and run'),
        run_dir.RunDir(tmp_path),
    ):
        raise EnvError('the reward is nan')
    with pytest.raises(UserError, match='^another$'), run_dir.RunDir(tmp_path):
        raise UserError('another')
    assert not (tmp_path / 'environment_error.txt').exists()
    with run_dir.RunDir(tmp_path):  # the lock was released
        pass
