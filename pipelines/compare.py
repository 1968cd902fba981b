"""Runs every combination of agents, environments and seeds, and compares the agents.

    python -m pipelines.compare --experiment=configs/experiments/s2_noisy_cartpole.toml \\
        --root_dir=runs/s2
    python -m pipelines.compare --run_dirs=runs/seed_0,runs/seed_1,runs/other --root_dir=runs/report

The first command makes the missing runs, several at a time, and writes report.html,
report.md, report.json and pictures to --root_dir. If it is stopped or killed, run it again:
finished runs are not repeated, and the others resume from their checkpoints. The second
command only reports on finished runs, in or below the given directories. An experiment file:

    program = 'train_ddqn'               # or 'train_reinforce'
    seeds = 10                           # 0 to 9; or a list
    bindings = [                         # for every run, on top of the program's gin file
        'train_ddqn.num_env_steps = 20_000',
        'train_ddqn.dueling = False',
        'train_ddqn.n_step = 1',
    ]
    [environments]
    cartpole = ["train_ddqn.env_name = 'CartPole-v1'"]
    acrobot = ["train_ddqn.env_name = 'Acrobot-v1'"]
    [agents]
    dqn = ['train_ddqn.double = False']
    double_dqn = ['train_ddqn.double = True']
"""

from __future__ import annotations

import importlib.util
import pathlib
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from pipelines import cli
from pipelines.errors import UserError

if TYPE_CHECKING:
    from pipelines.comparison.experiment import Claim, Experiment
    from pipelines.comparison.results import Result

_FLAGS = flags.FlagValues()
_EXPERIMENT = flags.DEFINE_string(
    'experiment', None, 'An experiment file: a path, or a name below pipelines/.',
    flag_values=_FLAGS,
)  # fmt: skip
_RUN_DIRS = flags.DEFINE_list(
    'run_dirs', [], 'Instead of --experiment: directories of finished runs.', flag_values=_FLAGS
)
_ROOT_DIR = flags.DEFINE_string(
    'root_dir', None, 'Directory of the runs and the report.', flag_values=_FLAGS
)
_PROCESSES = flags.DEFINE_integer(
    'processes', 2, 'How many runs are made at the same time.', flag_values=_FLAGS
)
_METRIC = flags.DEFINE_string(
    'metric', None, "With --run_dirs: 'eval_mean' (the default) or 'return_mean_100'.",
    flag_values=_FLAGS,
)  # fmt: skip
_X_AXIS = flags.DEFINE_string(
    'x_axis', None, "The curves' x axis: 'env_steps' (the default) or 'episodes'; overrides the "
    "experiment file's.", flag_values=_FLAGS,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    return cli.run(_main, __doc__, _FLAGS, argv)


def _main() -> None:
    _check_flags()
    from pipelines import signals
    from pipelines.comparison import experiment, results
    from pipelines.runs import run_dir

    if _RUN_DIRS.value:
        found = results.read_all(_RUN_DIRS.value, _X_AXIS.value or 'env_steps')
        with run_dir.RunDir(str(_ROOT_DIR.value)) as root:
            _report(root.path, 'Comparison', '', _compare(found, _METRIC.value or 'eval_mean'))
        return
    plan = experiment.load(str(_EXPERIMENT.value))
    with run_dir.RunDir(str(_ROOT_DIR.value)) as root, signals.stop_on_signal() as stop_requested:
        _run_and_report(plan, root.path, stop_requested)


def _check_flags() -> None:
    if bool(_EXPERIMENT.value) == bool(_RUN_DIRS.value):
        raise UserError('give either --experiment or --run_dirs, and not both')
    if not _ROOT_DIR.value:
        raise UserError('--root_dir is missing: name a directory for the report')
    if not 1 <= _PROCESSES.value <= 1_000:
        raise UserError(f'--processes={_PROCESSES.value}: must be at least 1 and at most 1,000')
    if importlib.util.find_spec('rliable') is None:
        raise UserError("this needs rliable: pip install -c constraints.txt -e '.[compare]'")
    from pipelines.comparison.experiment import METRICS
    from pipelines.settings import X_AXES

    if _METRIC.value and _METRIC.value not in METRICS:
        raise UserError(f"--metric='{_METRIC.value}': must be one of {tuple(METRICS)}")
    if _METRIC.value and _EXPERIMENT.value:
        raise UserError(
            f"--metric='{_METRIC.value}' is for --run_dirs: an experiment file names its own metric"
        )
    if _X_AXIS.value and _X_AXIS.value not in X_AXES:
        raise UserError(f"--x_axis='{_X_AXIS.value}': must be one of {tuple(X_AXES)}")


def _run_and_report(
    plan: Experiment, root: pathlib.Path, stop_requested: Callable[[], bool]
) -> None:
    """Checks new cells, makes the missing runs, and reports on the finished ones.

    Raises:
      UserError: a cell cannot be run, or some runs failed (the report covers the others).
    """
    from pipelines.comparison import experiment, results, scheduler

    runs, cells = plan.runs(root), list(plan.definitions())
    unchecked = experiment.new_cells(plan, root)
    firsts = [run for run in runs[: len(cells)] if run.cell in unchecked]
    if not scheduler.check_bindings(
        firsts, root, _PROCESSES.value, stop_requested, checked=cli.CHECKED
    ):
        return
    experiment.keep(plan, root)
    failed = scheduler.run_missing(runs, _PROCESSES.value, stop_requested)
    if failed is None:
        return
    finished = [run for run in runs if run.is_finished]
    finished.sort(key=lambda run: cells.index(run.cell))  # in the file's order, then by seed
    if finished:
        x_axis = _X_AXIS.value or plan.x_axis
        found = [results.read(run.path, run.environment, run.agent, x_axis) for run in finished]
        data = _compare(found, plan.metric, plan.claims)
        commands = {run.name: shlex.join(('python', *run.arguments)) for run in runs}
        _report(root, plan.title, plan.text, data, commands, failed)
    if failed:
        name, words = next(iter(failed.items()))
        raise UserError(
            f'{len(failed)} of {len(runs)} runs failed; {name}: {words} (see its .log in {root}; '
            'run the same command to try failed runs again)'
        )


def _compare(found: Sequence[Result], metric: str, claims: Sequence[Claim] = ()) -> dict[str, Any]:
    from pipelines.comparison import compare_runs  # imports TensorFlow, which takes seconds

    return compare_runs.compare(found, metric, claims)


def _report(
    root: pathlib.Path,
    title: str,
    text: str,
    data: dict[str, Any],
    commands: Mapping[str, str] | None = None,
    failed: Mapping[str, str] | None = None,
) -> None:
    """Writes the report and prints a short form of it."""
    from pipelines.comparison import report

    given = [_FLAGS[name].serialize() for name in _FLAGS if _FLAGS[name].present]
    command = shlex.join(('python', '-m', 'pipelines.compare', *given))
    report.write(root, title, text, data, report.Provenance(command, commands or {}, failed or {}))
    print('\n' + '\n'.join(report.in_short(data)))
    print(f'the report is {root / "report.html"}')


if __name__ == '__main__':
    sys.exit(main())
