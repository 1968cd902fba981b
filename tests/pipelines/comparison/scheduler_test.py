"""Checks and runs that are tiny Python programs; compare_test has the real ones."""

import pytest

from pipelines.comparison import scheduler
from pipelines.comparison.experiment import Run
from pipelines.errors import UserError
from tests.pipelines.fake_runs import finished_run

CHECKED = 'all is well'
CHECKS = f'print({CHECKED!r})'


def run_of(tmp_path, agent, code, seed=0):
    path = tmp_path / 'cartpole' / agent / f'seed_{seed}'
    return Run('cartpole', agent, seed, path, ('-c', code.replace('PATH', repr(str(path)))))


def never():
    return False


def test_every_cell_that_cannot_be_is_named_with_the_first_ones_error(tmp_path):
    cells = [
        run_of(tmp_path, 'right', CHECKS),
        run_of(tmp_path, 'crash', 'import sys; sys.exit("error: no such thing")'),
        run_of(tmp_path, 'other_program', 'print("hello")'),  # succeeds, but has not checked
    ]
    with pytest.raises(UserError) as error:
        scheduler.check_bindings(cells, tmp_path, 2, never, checked=CHECKED)
    assert str(error.value) == 'cartpole/crash: no such thing (wrong, too: cartpole/other_program)'


def test_cells_that_can_be_are_checked_once_each_by_the_flag(tmp_path, capsys):
    cells = [
        run_of(tmp_path, agent, f'import sys; {CHECKS}; print(sys.argv[1:])') for agent in 'ab'
    ]
    assert scheduler.check_bindings(cells, tmp_path, 2, never, checked=CHECKED)
    assert 'checking 2 configurations\n' in capsys.readouterr().out
    for agent in 'ab':
        log = (tmp_path / 'cartpole' / agent / 'check.log').read_text()
        assert log.count(CHECKED) == 1 and "['--check_only']" in log


def test_a_stop_during_the_checks_is_not_an_error(tmp_path, capsys):
    cells = [run_of(tmp_path, 'a', CHECKS)]
    assert not scheduler.check_bindings(cells, tmp_path, 1, lambda: True, checked=CHECKED)
    assert 'stopped before the first run' in capsys.readouterr().out


def finishing(tmp_path, agent, exit_code=0):
    """A run that leaves what a finished run leaves, and then ends with `exit_code`."""
    example = tmp_path / 'example'
    if not example.exists():
        finished_run(example)
    code = f'import shutil, sys; shutil.copytree({str(example)!r}, PATH); sys.exit({exit_code})'
    return run_of(tmp_path, agent, code)


@pytest.mark.slow
def test_only_what_is_missing_runs_and_each_end_is_told_in_a_line(tmp_path, capsys):
    done = finishing(tmp_path, 'done')
    finished_run(done.path, score=1.0)
    runs = [
        done,
        finishing(tmp_path, 'new'),
        finishing(tmp_path, 'late_failure', exit_code=3),
        run_of(tmp_path, 'failing', 'import sys; sys.exit("error: no such thing")'),
        run_of(tmp_path, 'killed', 'import os; os.kill(os.getpid(), 9)'),
    ]
    failed = scheduler.run_missing(runs, 1, never)
    assert failed == {
        'cartpole/failing/seed_0': 'no such thing',
        'cartpole/killed/seed_0': 'killed by signal 9: no output',
    }
    result = '1,000 env steps in 2 s, training return 50.0, evaluation 100.0'
    assert capsys.readouterr().out.splitlines() == [
        '1 of 5 runs are finished',
        f'[2/5] cartpole/new/seed_0: {result}',
        f'[3/5] cartpole/late_failure/seed_0: {result} '
        '(and then ended with exit code 3: no output)',
        '[3/5] cartpole/failing/seed_0: failed: no such thing',
        '[3/5] cartpole/killed/seed_0: failed: killed by signal 9: no output',
    ]
    assert not done.path.with_suffix('.log').exists()


def test_a_stop_says_how_to_resume(tmp_path, capsys):
    assert scheduler.run_missing([finishing(tmp_path, 'new')], 1, lambda: True) is None
    assert capsys.readouterr().out.splitlines() == [
        '0 of 1 runs are finished',
        'stopped; run the same command to resume: finished runs are not repeated',
    ]
