import os
import signal
import subprocess
import sys

import pytest

from tests import warm_python


def start(*arguments, **more):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, **more
    )


def test_a_warm_program_has_its_arguments_directory_environment_and_exit_code(tmp_path):
    (tmp_path / 'here').mkdir()
    directories = {'PYTHONPATH': os.getcwd(), **os.environ}
    done = start(
        '-m', 'pipelines.evaluate', '--policy_dir=here', cwd=tmp_path / 'here', env=directories
    )
    assert done.returncode == 2 and done.stdout == ''
    assert done.stderr.startswith("error: --policy_dir='here'") and done.stderr.count('\n') == 1
    assert start('-m', 'pipelines.evaluate', '--help').returncode == 0


def test_whatever_else_is_run_starts_cold():
    done = start(
        '-c', 'import sys; print(sys.executable, "tensorflow" in sys.modules); sys.exit(3)'
    )
    assert done.stdout == f'{warm_python.REAL} False\n' and done.returncode == 3


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_for_the_launcher_ends_the_program(tmp_path, number):
    arguments = ['-m', 'pipelines.train_ddqn', f'--root_dir={tmp_path}']
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True
    ) as launcher:
        program = warm_python.program_of(launcher.pid)
        assert 'CartPole-v1' in launcher.stdout.readline()
        launcher.send_signal(number)
        launcher.communicate(timeout=60)
    assert launcher.returncode in ((-number,) if number == signal.SIGKILL else (-number, 0, 75))
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(program, 0)
            signal.sigtimedwait([], 0.05)
