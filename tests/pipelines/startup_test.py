"""Programs that are started in odd places; nothing here waits for TensorFlow."""

import os
import subprocess

import pytest

from tests import warm_python

HELP = [warm_python.REAL, '-m', 'pipelines.train_ddqn', '--help']


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


def test_closed_descriptors_are_none_of_the_programs_business():
    done = subprocess.run(['bash', '-c', '"$@" <&- >&- 2>&-', 'bash', *HELP])
    assert done.returncode == 0
    done = run('bash', '-c', '"$@" <&- 2>&-', 'bash', *HELP)
    assert done.returncode == 0 and '--root_dir' in done.stdout


def test_a_file_never_takes_the_place_of_a_closed_output(tmp_path):
    """What is printed would be written into it."""
    script = (
        'import sys; sys.argv = ["-m"]\n'
        'import pipelines\n'
        f'file = open({str(tmp_path / "file")!r}, "w")\n'
        'print("printed"); sys.stdout.flush()\n'
        'assert file.fileno() > 2\n'
    )
    command = [warm_python.REAL, '-c', script]
    done = subprocess.run(['bash', '-c', '"$@" <&- >&- 2>&-', 'bash', *command])
    assert done.returncode == 0 and (tmp_path / 'file').read_text() == ''


def test_a_working_directory_that_is_gone_is_named(tmp_path):
    gone = tmp_path / 'gone'
    gone.mkdir()
    script = f'cd {gone}; rmdir {gone}; exec "$@"'
    environment = os.environ | {'PYTHONPATH': os.getcwd()}
    done = run('bash', '-c', script, 'bash', *HELP, env=environment)
    assert done.returncode == 2 and done.stdout == ''
    assert done.stderr == ('error: the working directory does not exist any more: cd to another\n')


@pytest.mark.parametrize(
    'locale',
    [
        {'LC_ALL': 'C', 'PYTHONCOERCECLOCALE': '0', 'PYTHONUTF8': '0'},
        {'LC_ALL': 'POSIX'},
        {'PYTHONIOENCODING': 'ascii'},
    ],
)
def test_names_of_files_may_have_any_letters_in_any_locale(tmp_path, locale):
    environment = os.environ | locale
    command = [*HELP[:-1], f'--root_dir={tmp_path}/ünï'.encode(), 'größe'.encode()]
    done = run(*command, env=environment, encoding='utf-8')
    assert done.returncode == 2 and done.stderr.count('\n') == 1
    letters = r'gr\xf6\xdfe' if 'PYTHONIOENCODING' in locale else 'größe'
    assert f"unexpected argument '{letters}'" in done.stderr


def test_help_is_there_without_docstrings():
    done = run(warm_python.REAL, '-OO', *HELP[1:])
    assert done.returncode == 0 and done.stdout.startswith('Trains DQN')
    done = run(warm_python.REAL, '-OO', *HELP[1:-1], '--root_dir=x')
    assert done.returncode == 2 and 'python -OO drops docstrings' in done.stderr


def test_the_end_does_not_wait_for_pythons_tidying_up():
    script = (
        'import sys; sys.argv = ["-m"]\n'
        'import atexit, pipelines\n'
        'from absl import flags\n'
        'from pipelines import cli\n'
        'class Slow:\n'
        '    def __del__(self):\n'
        '        print("tidied up")\n'
        'kept = Slow()\n'
        'atexit.register(print, "asked to be called")\n'
        'sys.exit(cli.run(lambda: print("done"), "", flags.FlagValues(), ["x"]))\n'
    )
    done = run(warm_python.REAL, '-c', script)
    assert done.returncode == 0 and done.stdout == 'done\nasked to be called\n'
    left_alone = script.replace('sys.argv = ["-m"]', 'sys.argv = ["mine.py"]')
    assert 'tidied up' in run(warm_python.REAL, '-c', left_alone).stdout  # a user's own program
