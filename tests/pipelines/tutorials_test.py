"""The program: its list, its one-line errors, a page on request, and one real short form."""

import json
import re
import subprocess
import sys
import time

import pytest

from pipelines import tutorials
from pipelines.posts import catalogue
from tests.pipelines.posts.fake_experiments import write_experiment

NOT_NEEDED = ('tensorflow', 'matplotlib', 'rliable', 'gymnasium', 'reverb', 'numpy')


def call(capsys, expected_exit_code, *arguments):
    assert tutorials.main(['tutorials', *map(str, arguments)]) == expected_exit_code
    return capsys.readouterr()


def fails(capsys, *arguments):
    error = call(capsys, 2, *arguments).err
    assert error.startswith('error: ') and error.count('\n') == 1, error
    return error


@pytest.mark.parametrize('arguments', [(), ('list',)])
def test_the_list_fits_80_columns_and_names_every_tutorial(capsys, arguments):
    out = call(capsys, 0, *arguments).out
    assert max(map(len, out.splitlines())) <= 80
    for one in catalogue.load_all():
        assert f'{one.number}  {one.title}' in out


def test_the_list_is_there_at_once_and_imports_nothing_large():
    program = (
        'import sys\nfrom pipelines import tutorials\ncode = tutorials.main(["tutorials"])\n'
        f'print([name for name in {NOT_NEEDED} if name in sys.modules])\nsys.exit(code)'
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith('[]\n'), done
    assert time.perf_counter() - began < 2.0


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('run', 'dueling'), "'dueling' fits 2 tutorials: 3 Atari Space Invaders"),
        (('run', 'pong'), "'pong' fits no tutorial: 1 Policy Gradient Reinforcement"),
        (('page', 'policy', 'gradient'), "'policy gradient' fits 2 tutorials: 1 Policy"),
        (('run',), 'name a tutorial by its number or its title: 1 Policy'),
        (('go', '1'), "'go': must be list, run or page"),
        (('double-q',), "'double-q': must be list, run or page, as in: run double-q"),
        (('list', '1'), "'1': list takes nothing"),
        (('run', '1', '--processes=0'), '--processes=0: must be at least 1'),
        (('run', '1', '--quik'), "Unknown command line flag 'quik'"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in fails(capsys, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_page_of_nothing_names_the_command_that_makes_the_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = fails(capsys, 'page', 'double-q', '--quick')
    assert "--root_dir='runs/tutorials/double_q_quick' holds no runs of this tutorial" in error
    assert 'python -m pipelines.tutorials run double-q --quick makes them' in error
    assert not list(tmp_path.iterdir())


def test_a_page_is_rewritten_from_what_has_finished(capsys, tmp_path):
    write_experiment('reinforce_cartpole', tmp_path, num_episodes=5)
    out = call(capsys, 0, 'page', 'policy', 'gradient', 'reinf', f'--root_dir={tmp_path}').out
    assert f'the page is {tmp_path / "index.html"}' in out
    data = json.loads((tmp_path / 'index.json').read_text())
    assert not data['quick'] and data['command'].endswith(f'--root_dir={tmp_path}')


def test_a_page_knows_the_shorter_form_by_its_runs(capsys, tmp_path):
    write_experiment('reinforce_cartpole', tmp_path, num_episodes=5, quick=True)
    call(capsys, 0, 'page', '1', f'--root_dir={tmp_path}')
    data = json.loads((tmp_path / 'index.json').read_text())
    assert data['quick'] and '--quick' in data['command']


@pytest.mark.slow
def test_the_shorter_form_runs_and_is_not_repeated(capfd, tmp_path):
    arguments = ('run', 'minimal-working', '--quick', f'--root_dir={tmp_path}')
    out = call(capfd, 0, *arguments).out
    assert len(re.findall(r'\[[12]/2\] bandit/gaussian/seed_[01]: ', out)) == 2
    page = (tmp_path / 'index.html').read_text()
    assert 'Not finished' not in page and page.count('src="data:image/png;base64,') == 1
    data = json.loads((tmp_path / 'index.json').read_text())
    assert 'mu ends between' in data['ours']['mu'] and len(data['found']['sigma']) == 2
    assert data['starts'][0]['commit'] in page
    finished = (tmp_path / 'bandit/gaussian/seed_0/summary.json').stat().st_mtime_ns
    assert '2 of 2 runs are finished' in call(capfd, 0, *arguments).out
    assert (tmp_path / 'bandit/gaussian/seed_0/summary.json').stat().st_mtime_ns == finished
