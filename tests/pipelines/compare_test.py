"""The driver: real runs of tiny size, killed and gone on with; bad input; reports alone."""

import json
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipelines import compare
from tests.pipelines.fake_runs import finished_run

SMALL = """
title = 'A small one'
program = 'train_ddqn'
bindings = [
    'train_ddqn.num_env_steps = {num_env_steps}',
    'train_ddqn.num_envs = 4',
    'train_ddqn.min_replay_transitions = 100',
    'train_ddqn.train_steps_per_env_step = 0.25',
    'train_ddqn.num_eval_episodes = 2',
    'train_ddqn.num_selection_episodes = 1',
    'train_ddqn.eval_interval_env_steps = 300',
    'train_ddqn.checkpoint_interval_env_steps = 200',
    'train_ddqn.log_interval_env_steps = 100',
    'mlp_torso.units = (8,)',
]
seeds = {seeds}
"""
MATRIX = """
[environments]
short = ["train_ddqn.env_name = 'CartPole-v0'"]
long = ["train_ddqn.env_name = 'CartPole-v1'"]
[agents]
plain = ['train_ddqn.dueling = False']
dueling = ['train_ddqn.dueling = True', 'make_q_network.stream_units = (8,)']
"""
ONE = """
[environments]
cartpole = []
[agents]
dueling = []
"""


def write(path, cells, num_env_steps=600, seeds=3):
    path.write_text(SMALL.format(num_env_steps=num_env_steps, seeds=seeds) + cells)
    return path


def flags(experiment, root_dir):
    return [f'--experiment={experiment}', f'--root_dir={root_dir}']


def start(experiment, root_dir):
    return subprocess.Popen(
        [sys.executable, '-m', 'pipelines.compare', *flags(experiment, root_dir)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(condition, process, seconds=400):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, 'waited in vain'
        time.sleep(0.05)


def summaries(root_dir):
    """When each finished run finished."""
    return {path: path.stat().st_mtime_ns for path in root_dir.glob('*/*/*/summary.json')}


def fails(capsys, *arguments):
    assert compare.main(['compare', *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert err.startswith('error: ') and err.count('\n') == 1, err
    return err


@pytest.mark.slow
def test_twelve_runs_killed_twice_are_each_finished_once(tmp_path, capsys):
    experiment, root_dir = write(tmp_path / 'small.toml', MATRIX), tmp_path / 'runs'
    finished = {}
    for enough in (3, 7):
        process = start(experiment, root_dir)
        wait_for(lambda enough=enough: len(summaries(root_dir)) >= enough, process)
        children = psutil.Process(process.pid).children()
        process.kill()
        process.communicate()
        assert children and not psutil.wait_procs(children, timeout=10)[1]
        now = summaries(root_dir)
        assert finished.items() <= now.items()
        finished = now
    assert len(finished) < 12

    assert compare.main(['compare', *flags(experiment, root_dir)]) == 0
    out = capsys.readouterr().out
    assert 'too few seeds for a claim: 3 in the smallest cell' in out
    assert 'checking the bindings' not in out  # the first start has done it
    assert f'{len(finished)} of 12 runs are finished' in out
    now = summaries(root_dir)
    assert len(now) == 12 and finished.items() <= now.items()
    assert len(re.findall(r'\[\d+/12\] ', out)) == 12 - len(finished)

    data = json.loads((root_dir / 'report.json').read_text())
    for environment, agents in data['environments'].items():
        assert set(agents['agents']) == {'plain', 'dueling'} and agents['curves']
        for agent, cell in agents['agents'].items():
            scores = [
                json.loads((root_dir / environment / agent / f'seed_{i}/summary.json').read_text())
                for i in range(3)
            ]
            assert cell['scores'] == [s['eval_mean'] for s in scores]
            # Three seeds: nothing is cut off.
            assert cell['iqm'][0] == pytest.approx(sum(cell['scores']) / 3)
    assert data['together']['scales'].keys() == {'short', 'long'}
    text = (root_dir / 'report.md').read_text()
    assert 'Too few seeds for a claim: 3 in the smallest cell' in text
    page = (root_dir / 'report.html').read_text()
    assert page.count('src="data:image/png;base64,') == 4 and 'src="http' not in page

    # Once more: nothing runs. Changed: refused.
    assert compare.main(['compare', *flags(experiment, root_dir)]) == 0
    assert '12 of 12 runs are finished' in capsys.readouterr().out
    assert summaries(root_dir) == now
    changed = write(tmp_path / 'small.toml', MATRIX, num_env_steps=700)
    assert 'holds a different experiment' in fails(capsys, *flags(changed, root_dir))
    assert summaries(root_dir) == now


@pytest.mark.slow
def test_a_failing_run_is_named_and_the_others_go_on(tmp_path, capsys):
    experiment, root_dir = write(tmp_path / 'small.toml', ONE, seeds=2), tmp_path / 'runs'
    identity = root_dir / 'cartpole' / 'dueling' / 'seed_0' / 'checkpoints' / 'identity.json'
    identity.parent.mkdir(parents=True)
    identity.write_text('{"--seed": "5"}')  # somebody else's run
    error = fails(capsys, *flags(experiment, root_dir))
    assert '1 of 2 runs failed; cartpole/dueling/seed_0: ' in error
    assert 'holds a different experiment: --seed was 5 and is now 0' in error
    data = json.loads((root_dir / 'report.json').read_text())
    assert data['environments']['cartpole']['agents']['dueling']['seeds'] == [1]
    assert 'Runs that failed' in (root_dir / 'report.md').read_text()


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_a_checkpoint_of_what_ran_and_says_how_to_go_on(tmp_path, number):
    experiment, root_dir = tmp_path / 'small.toml', tmp_path / 'runs'
    process = start(write(experiment, ONE, num_env_steps=500_000, seeds=3), root_dir)
    wait_for(lambda: len(list(root_dir.glob('*/*/*/progress.csv'))) == 2, process)
    time.sleep(1)
    children = psutil.Process(process.pid).children()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert 'the same command goes on' in out
    assert not psutil.wait_procs(children, timeout=0)[1]
    logs = sorted(root_dir.glob('*/*/seed_*.log'))
    assert len(logs) == 2  # the third was not begun
    assert all('stopped at' in log.read_text() for log in logs)
    assert not list(root_dir.rglob('summary.json')) and not (root_dir / 'report.md').exists()


@pytest.mark.slow
def test_a_bad_binding_of_any_cell_is_one_line_before_anything_runs(tmp_path, capsys):
    experiment, root_dir = tmp_path / 'small.toml', tmp_path / 'runs'
    for binding, message in (
        ('train_ddqn.gama = 0.9', "no parameter 'gama': did you mean gamma"),
        ('ExponentialSchedule.rate_per_step = 0.1', 'is used by nothing'),
    ):
        write(experiment, ONE + f"other = ['{binding}']")
        error = fails(capsys, *flags(experiment, root_dir))
        assert message in error and 'cartpole/other: ' in error
        assert not list(root_dir.rglob('progress.csv'))
        assert not (root_dir / 'experiment.json').exists()


def test_a_program_without_these_flags_is_one_clear_line(tmp_path, capsys):
    experiment = write(tmp_path / 'small.toml', ONE)
    text = experiment.read_text()
    assert "'train_ddqn'" in text
    experiment.write_text(text.replace("'train_ddqn'", "'os.path'"))
    assert 'cartpole/' in fails(capsys, *flags(experiment, tmp_path / 'runs'))


def test_bad_flags_are_one_clear_line(tmp_path, capsys):
    root = f'--root_dir={tmp_path / "runs"}'
    assert 'give --experiment or --run_dirs' in fails(capsys, root)
    assert 'and not both' in fails(capsys, root, '--experiment=a', '--run_dirs=b')
    assert '--root_dir is missing' in fails(capsys, '--experiment=a')
    assert '--processes=0' in fails(capsys, root, '--experiment=a', '--processes=0')
    assert "--experiment='a' does not exist" in fails(capsys, root, '--experiment=a')
    assert 'no summary.json' in fails(capsys, root, f'--run_dirs={tmp_path}')
    assert "--metric='x'" in fails(capsys, root, f'--run_dirs={tmp_path}', '--metric=x')
    experiment = write(tmp_path / 'small.toml', ONE)
    refused = fails(capsys, *flags(experiment, tmp_path / 'runs'), '--metric=eval_mean')
    assert 'is for --run_dirs' in refused
    assert not (tmp_path / 'runs').exists()


def test_runs_that_exist_are_reported_on_by_agent_and_environment(tmp_path, capsys):
    for seed in range(6):
        finished_run(tmp_path / f'dqn/{seed}', seed, 'dqn', score=100.0 + seed)
        finished_run(tmp_path / f'ddqn/{seed}', seed, 'ddqn', score=200.0 + seed, double=True)
    root_dir = tmp_path / 'report'
    run_dirs = f'--run_dirs={tmp_path / "dqn"},{tmp_path / "ddqn"}'
    assert compare.main(['compare', run_dirs, f'--root_dir={root_dir}']) == 0
    out = capsys.readouterr().out
    assert 'ddqn' in out and '202.5 [' in out and str(root_dir / 'report.html') in out
    first = (root_dir / 'report.json').read_text()
    data = json.loads(first)
    (pair,) = data['environments']['CartPole-v1']['pairs']
    assert pair['difference'][0] == 100.0 and pair['probability'] == [1.0, 1.0, 1.0]
    assert compare.main(['compare', run_dirs, f'--root_dir={root_dir}']) == 0
    assert (root_dir / 'report.json').read_text() == first  # the bootstrap is seeded
