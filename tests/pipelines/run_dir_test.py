import errno
import pathlib

import pytest

from pipelines import run_dir
from pipelines.cli import UserError


def save(run, env_steps, text='weights'):
    return run.save_checkpoint(
        env_steps,
        {'env_steps': env_steps},
        lambda prefix: pathlib.Path(prefix + '.data').write_text(text),
    )


def test_the_newest_two_checkpoints_are_kept(tmp_path):
    with run_dir.RunDir(tmp_path) as run:
        for env_steps in (9, 10, 100):
            kept = save(run, env_steps)
        assert [state['env_steps'] for state in kept] == [10, 100]
        prefix, state = run.newest_checkpoint(say=print)
        assert state == {'env_steps': 100}
        assert pathlib.Path(prefix + '.data').read_text() == 'weights'


@pytest.mark.parametrize('harm', ['truncate', 'remove', 'no manifest', 'flip'])
def test_a_damaged_newest_checkpoint_costs_one_interval_and_says_so(tmp_path, harm):
    with run_dir.RunDir(tmp_path) as run:
        save(run, 10)
        save(run, 20)
        newest = tmp_path / 'checkpoints' / f'{20:012d}'
        data = newest / 'variables.data'
        if harm == 'truncate':
            data.write_text('weig')
        elif harm == 'flip':
            data.write_text('weightz')
        elif harm == 'remove':
            data.unlink()
        else:
            (newest / 'manifest.json').unlink()
        said = []
        _, state = run.newest_checkpoint(said.append)
        assert state['env_steps'] == 10
        assert len(said) == 1 and 'damaged' in said[0]


def test_a_failing_disk_leaves_the_checkpoint_before_untouched(tmp_path):
    def full(prefix):
        pathlib.Path(prefix + '.data').write_text('half')
        raise OSError(errno.ENOSPC, 'No space left on device')

    with run_dir.RunDir(tmp_path) as run:
        save(run, 10)
        with pytest.raises(UserError, match='No space left on device.*goes on from'):
            run.save_checkpoint(20, {}, full)
        assert run.newest_checkpoint(print)[1]['env_steps'] == 10
        assert not list((tmp_path / 'checkpoints').glob('*.tmp'))


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
    run_dir.replace_dir(tmp, final)
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


def test_only_length_cadence_and_judging_may_change(tmp_path, monkeypatch):
    base = {'train_ddqn.gamma': '0.9', 'train_ddqn.num_env_steps': '100'}

    def claim(seed=0, **changes):
        bindings = base | {k.replace('__', '.'): v for k, v in changes.items()}
        monkeypatch.setattr(run_dir.cli, 'operative_bindings', lambda: bindings)
        return run.claim(seed, 'env_steps', 100)

    with run_dir.RunDir(tmp_path) as run:
        assert claim()
        assert claim(train_ddqn__num_env_steps='200')
        with pytest.raises(UserError, match='train_ddqn.gamma was 0.9 and is now 0.5'):
            claim(train_ddqn__gamma='0.5')
        with pytest.raises(UserError, match='--seed was 0 and is now 1'):
            claim(seed=1)
        with pytest.raises(UserError, match='adam.epsilon was not set and is now 1'):
            claim(adam__epsilon='1')


def test_files_of_others_are_left_alone(tmp_path):
    others = ['thesis.tmp', 'notes.old', 'data.old', 'policy.tmp']
    for name in others:
        (tmp_path / name).write_text('mine')
    with run_dir.RunDir(tmp_path):
        pass
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints' / 'identity.json').write_text('{}')
    with run_dir.RunDir(tmp_path):
        pass
    left = {p.name for p in tmp_path.iterdir()}
    assert left >= {'thesis.tmp', 'notes.old', 'data.old'}


def test_a_check_makes_no_directory_and_claims_nothing(tmp_path):
    with run_dir.open_run(str(tmp_path / 'run'), check_only=True) as run:
        temporary = run.path
        assert temporary.exists() and not run.claim(0, 'env_steps', 100)
    assert not temporary.exists() and not (tmp_path / 'run').exists()
