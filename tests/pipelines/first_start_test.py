"""What meets somebody who starts a program for the first time, from the wrong place."""

import pathlib
import shlex
import subprocess
import sys

import pytest

import pipelines
from pipelines.runs import report
from pipelines.runs.summary import Summary
from tests import warm_python

ROOT = pathlib.Path(pipelines.__file__).parent.parent


def start(directory, *flags):
    """Starts a program from `directory`, as if the project were installed."""
    code = f'import sys; sys.path.append({str(ROOT)!r}); import runpy; sys.argv = ["train"]; '
    code += 'runpy.run_module("pipelines.train_ddqn", run_name="__main__")'
    done = subprocess.run(
        [warm_python.REAL, *flags, '-c', code], cwd=directory, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stdout == ''
    assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1, done.stderr
    return done.stderr


def test_a_python_without_the_packages_is_told_which_to_use(tmp_path):
    error = start(tmp_path, '-S')  # without site-packages
    assert warm_python.REAL in error and 'source .venv/bin/activate' in error


@pytest.mark.parametrize('name', ['envs.py', 'agents/__init__.py'])
def test_a_file_that_hides_ours_is_named(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('')
    error = start(tmp_path)
    assert str(tmp_path / name) in error and 'rename it' in error


def test_the_printed_commands_can_be_typed_as_they_are(monkeypatch, tmp_path):
    """By the interpreter that runs, and from a directory with a space in its name."""
    monkeypatch.setattr(sys, 'executable', '/my pythons/python')
    root = tmp_path / "it's a run"
    summary = Summary(
        env_name='CartPole-v1', agent='dqn', seed=0, env_steps=1, wall_seconds=1.0,
        env_steps_per_second=1.0, eval_mean=1.0, policy_dir=str(root / 'policy'),
    )  # fmt: skip
    words = report._closing_words(summary, None, root, draws=True)
    evaluate, tensorboard = (shlex.split(line) for line in words.split('Next:\n')[1].split('\n'))
    assert evaluate == [
        '/my pythons/python', '-m', 'pipelines.evaluate', f'--policy_dir={root / "policy"}',
        '--video=play.gif',
    ]  # fmt: skip
    assert tensorboard[-1] == f'--logdir={root / "tensorboard"}'
