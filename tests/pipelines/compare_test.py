"""The program: real runs of tiny size, killed and resumed; bad input; reports alone."""

import json
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipelines import compare, json_files
from pipelines.comparison import experiment
from pipelines.runs import checkpoints
from tests import warm_python
from tests.pipelines.fake_runs import finished_run

SMALL = """
title = 'A small one'
program = 'train_ddqn'
bindings = [
    'train_ddqn.num_env_steps = {num_env_steps}',
    'train_ddqn.num_envs = 4',
    'train_ddqn.min_replay_transitions = 100',
    'train_ddqn.train_steps_per_env_step = 0.25',
    'train_ddqn.fuse_train_steps = False',
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
FIRST_CELL = """
[environments]
short = ["train_ddqn.env_name = 'CartPole-v0'"]
[agents]
plain = ['train_ddqn.dueling = False']
"""
ONE = """
[environments]
cartpole = []
[agents]
dueling = []
"""


def write(path, cells, num_env_steps=600, seeds=1):
    path.write_text(SMALL.format(num_env_steps=num_env_steps, seeds=seeds) + cells)
    return path


def write_checked(path, root_dir, cells, **more):
    """An experiment whose cells an earlier start in `root_dir` has checked."""
    write(path, cells, **more)
    root_dir.mkdir()
    experiment.keep(experiment.load(str(path)), root_dir)
    return path


def flags(experiment_file, root_dir):
    return [f'--experiment={experiment_file}', f'--root_dir={root_dir}']


def start(experiment_file, root_dir, *more):
    return subprocess.Popen(
        [sys.executable, '-m', 'pipelines.compare', *flags(experiment_file, root_dir), *more],
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


def with_checkpoints(root_dir):
    """The runs that have one."""
    return {path.parents[1] for path in root_dir.glob('*/*/*/checkpoints/*[0-9]')}


def rows(root_dir):
    """How many lines the progress.csv of each run has."""
    return {
        path.parent: len(path.read_text().split()) for path in root_dir.glob('*/*/*/progress.csv')
    }


def call(capsys, expected_exit_code, *arguments):
    assert compare.main(['compare', *map(str, arguments)]) == expected_exit_code
    return capsys.readouterr()


def fails(capsys, *arguments):
    error = call(capsys, 2, *arguments).err
    assert error.startswith('error: ') and error.count('\n') == 1, error
    return error


def evaluation(run):
    return json.loads((run / 'summary.json').read_text())['eval_mean']


def report(root_dir):
    return json.loads((root_dir / 'report.json').read_text())


@pytest.mark.slow
def test_runs_killed_twice_are_each_finished_once_and_one_that_fails_is_named(tmp_path, capsys):
    small, root_dir = tmp_path / 'small.toml', tmp_path / 'runs'
    write_checked(small, root_dir, MATRIX)

    # Killed in the middle of two runs, and when these have finished and others have begun.
    finished = {}
    for it_is_time in (
        lambda: len(with_checkpoints(root_dir)) == 2,
        lambda: len(summaries(root_dir)) >= 2,
    ):
        process = start(small, root_dir)
        wait_for(it_is_time, process)
        children = psutil.Process(warm_python.program_of(process.pid)).children()
        process.kill()
        process.communicate()
        assert children and not psutil.wait_procs(children, timeout=10)[1]
        now = summaries(root_dir)
        assert finished.items() <= now.items()
        finished = now
    assert 2 <= len(finished) < 4
    assert any('resuming from' in log.read_text() for log in root_dir.glob('short/*/seed_0.log'))

    out = call(capsys, 0, *flags(small, root_dir)).out
    assert 'too few seeds for a claim: 1 in the smallest cell' in out
    assert 'checking the bindings' not in out  # an earlier start has done it
    assert f'{len(finished)} of 4 runs are finished' in out
    now = summaries(root_dir)
    assert len(now) == 4 and finished.items() <= now.items()
    assert len(re.findall(r'\[\d/4\] ', out)) == 4 - len(finished)

    data = report(root_dir)
    assert data['environments'].keys() == {'short', 'long'}
    for environment, agents in data['environments'].items():
        assert set(agents['agents']) == {'plain', 'dueling'} and agents['curves']
        for agent, cell in agents['agents'].items():
            assert cell['scores'] == [evaluation(root_dir / environment / agent / 'seed_0')]
    assert data['together']['scales'].keys() == {'short', 'long'}
    text = (root_dir / 'report.md').read_text()
    assert 'Too few seeds for a claim: 1 in the smallest cell' in text
    page = (root_dir / 'report.html').read_text()
    assert page.count('src="data:image/png;base64,') == 4 and 'src="http' not in page

    # Once more: nothing runs. Changed: refused.
    by_episodes = call(capsys, 0, *flags(small, root_dir), '--x_axis=episodes').out
    assert '4 of 4 runs are finished' in by_episodes
    assert summaries(root_dir) == now
    for environment in report(root_dir)['environments'].values():
        assert all(curve['episodes'][0] == 1.0 for curve in environment['curves'].values())
    changed = write(tmp_path / 'changed.toml', MATRIX, num_env_steps=700)
    assert 'holds a different experiment' in fails(capsys, *flags(changed, root_dir))
    assert summaries(root_dir) == now

    # More seeds of one cell. Where the second would be kept is somebody else's run already.
    cell = root_dir / 'short' / 'plain'
    foreign = cell / 'seed_1' / 'checkpoints' / 'identity.json'
    foreign.parent.mkdir(parents=True)
    json_files.write(foreign, {'format': checkpoints.FORMAT, '--seed': '5'})
    error = fails(capsys, *flags(write(tmp_path / 'more.toml', FIRST_CELL, seeds=3), root_dir))
    assert '1 of 3 runs failed; short/plain/seed_1: ' in error
    assert 'holds a different experiment: --seed was 5 and is now 1' in error
    (environment,) = report(root_dir)['environments'].values()
    plain = environment['agents']['plain']
    scores = [evaluation(cell / f'seed_{seed}') for seed in (0, 2)]
    assert plain['seeds'] == [0, 2] and plain['scores'] == scores
    assert plain['iqm'][0] == pytest.approx(sum(scores) / 2)  # two seeds: nothing is cut off
    assert 'Runs that failed' in (root_dir / 'report.md').read_text()
    assert now.items() <= summaries(root_dir).items()


@pytest.mark.slow
def test_a_stop_leaves_a_checkpoint_of_what_ran_and_says_how_to_resume(tmp_path):
    """SIGINT stops two of three runs; the same command resumes one, and SIGTERM stops that."""
    small = write(tmp_path / 'small.toml', ONE, num_env_steps=500_000, seeds=3)
    root_dir = tmp_path / 'runs'
    first, second = (root_dir / 'cartpole' / 'dueling' / f'seed_{seed}' for seed in (0, 1))
    for number, running in ((signal.SIGINT, [first, second]), (signal.SIGTERM, [first])):
        before = rows(root_dir)
        process = start(small, root_dir, f'--processes={len(running)}')
        wait_for(
            lambda running=running, before=before: all(
                rows(root_dir).get(run, 0) > before.get(run, 1) for run in running
            ),
            process,
        )
        children = psutil.Process(warm_python.program_of(process.pid)).children()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 75, err
        assert ('checking 1 configuration\n' in out) == (not before)  # once
        assert 'run the same command to resume: finished runs are not repeated' in out
        assert len(children) == len(running) and not psutil.wait_procs(children, timeout=0)[1]
        assert set(root_dir.glob('*/*/seed_*.log')) == {
            first.with_suffix('.log'), second.with_suffix('.log'),  # the third was not begun
        }  # fmt: skip
        assert with_checkpoints(root_dir) == {first, second}
        assert not list(root_dir.rglob('summary.json')) and not (root_dir / 'report.md').exists()
    logs = [run.with_suffix('.log').read_text() for run in (first, second)]
    assert [log.count('stopped at') for log in logs] == [2, 1]
    assert [log.count('resuming from') for log in logs] == [1, 0]


@pytest.mark.slow
def test_a_bad_binding_of_any_cell_is_one_line_before_anything_runs(tmp_path, capsys):
    small, root_dir = tmp_path / 'small.toml', tmp_path / 'runs'
    unused = 'ExponentialSchedule.rate_per_step = 0.1'
    write(small, ONE + f"misspelt = ['train_ddqn.gama = 0.9']\nunused = ['{unused}']")
    error = fails(capsys, *flags(small, root_dir))
    assert 'cartpole/misspelt: ' in error and "no parameter 'gama': did you mean gamma" in error
    assert 'cartpole/unused' in error and 'cartpole/dueling' not in error
    assert 'is used by nothing' in (root_dir / 'cartpole/unused/check.log').read_text()
    assert not list(root_dir.rglob('progress.csv'))
    assert not (root_dir / 'experiment.json').exists()


def test_a_program_without_these_flags_is_one_clear_line(tmp_path, capsys):
    small = write(tmp_path / 'small.toml', ONE)
    text = small.read_text()
    assert "'train_ddqn'" in text
    small.write_text(text.replace("'train_ddqn'", "'json.tool'"))
    assert 'cartpole/' in fails(capsys, *flags(small, tmp_path / 'runs'))


def test_bad_flags_are_one_clear_line(tmp_path, capsys):
    root = f'--root_dir={tmp_path / "runs"}'
    assert 'give either --experiment or --run_dirs' in fails(capsys, root)
    assert 'and not both' in fails(capsys, root, '--experiment=a', '--run_dirs=b')
    assert '--root_dir is missing' in fails(capsys, '--experiment=a')
    assert '--processes=0' in fails(capsys, root, '--experiment=a', '--processes=0')
    assert "--experiment='a' does not exist" in fails(capsys, root, '--experiment=a')
    assert 'no summary.json' in fails(capsys, root, f'--run_dirs={tmp_path}')
    assert "--metric='x'" in fails(capsys, root, f'--run_dirs={tmp_path}', '--metric=x')
    assert "--x_axis='x': must be" in fails(capsys, root, '--experiment=a', '--x_axis=x')
    small = write(tmp_path / 'small.toml', ONE)
    refused = fails(capsys, *flags(small, tmp_path / 'runs'), '--metric=eval_mean')
    assert 'is for --run_dirs' in refused
    assert not (tmp_path / 'runs').exists()


@pytest.mark.slow
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

    by_episodes = (run_dirs, f'--root_dir={tmp_path / "episodes"}', '--x_axis=episodes')
    assert 'dqn/0/episodes.csv does not exist' in fails(capsys, *by_episodes)
    assert not (tmp_path / 'episodes').exists()
