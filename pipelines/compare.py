"""Runs agents x environments x seeds, and says what can be claimed of them.

    python -m pipelines.compare --experiment=configs/experiments/s2_noisy_cartpole.toml \\
        --root_dir=runs/s2
    python -m pipelines.compare --run_dirs=runs/seed_0,runs/seed_1,runs/other --root_dir=runs/report

The first runs what is missing, some runs side by side, and writes report.html, report.md,
report.json and pictures to --root_dir. Stopped or killed, the same command goes on: no
finished run is repeated, and the others go on from their checkpoints. The second only
reports on runs that exist already, below any of the directories. An experiment file:

    program = 'train_ddqn'                             # or 'train_reinforce'
    bindings = ['train_ddqn.num_env_steps = 20_000']   # of every run
    seeds = 10                                         # or a list
    [environments]
    cartpole = ["train_ddqn.env_name = 'CartPole-v1'"]
    acrobot = ["train_ddqn.env_name = 'Acrobot-v1'"]
    [agents]
    dqn = ['train_ddqn.double = False']
    double_dqn = ['train_ddqn.double = True']
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import shlex
import sys
from collections.abc import Callable, Sequence

from absl import flags

from pipelines import cli

_FLAGS = flags.FlagValues()
_EXPERIMENT = flags.DEFINE_string(
    'experiment', None, 'An experiment file: a path, or a name below pipelines/.',
    flag_values=_FLAGS,
)  # fmt: skip
_RUN_DIRS = flags.DEFINE_list(
    'run_dirs', [], 'Instead: directories of finished runs, to report on.', flag_values=_FLAGS
)
_ROOT_DIR = flags.DEFINE_string(
    'root_dir', None, 'Where the runs and the report are kept.', flag_values=_FLAGS
)
_PROCESSES = flags.DEFINE_integer('processes', 2, 'Runs side by side.', flag_values=_FLAGS)
_METRIC = flags.DEFINE_string(
    'metric', None, "With --run_dirs: 'eval_mean' (the default) or 'return_mean_100'.",
    flag_values=_FLAGS,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the driver; returns its exit code."""
    return cli.run(_main, __doc__, _FLAGS, argv)


def _main() -> None:
    if bool(_EXPERIMENT.value) == bool(_RUN_DIRS.value):
        raise cli.UserError('give --experiment or --run_dirs: one of them, and not both')
    if not _ROOT_DIR.value:
        raise cli.UserError('--root_dir is missing: where shall the report be kept?')
    if _PROCESSES.value < 1:
        raise cli.UserError(f'--processes={_PROCESSES.value}: at least 1 is needed')
    if importlib.util.find_spec('rliable') is None:
        raise cli.UserError("this needs rliable: pip install -c constraints.txt -e '.[compare]'")

    from pipelines import experiment, run_dir

    metric = _METRIC.value or 'eval_mean'
    if metric not in experiment.METRICS:
        raise cli.UserError(f"--metric='{metric}': must be one of {tuple(experiment.METRICS)}")
    if _RUN_DIRS.value:
        from pipelines import run_results

        results = run_results.read_all(_RUN_DIRS.value)
        with run_dir.RunDir(_ROOT_DIR.value) as root:
            _report(root.path, 'Comparison', '', results, metric)
        return
    if _METRIC.value:
        raise cli.UserError(
            f"--metric='{metric}' is for --run_dirs: an experiment's is in its file"
        )
    plan = experiment.load(str(_EXPERIMENT.value))
    with run_dir.RunDir(_ROOT_DIR.value) as root, run_dir.stop_on_signal() as stop_requested:
        _run_experiment(plan, root.path, stop_requested)


def _run_experiment(plan, root: pathlib.Path, stop_requested: Callable[[], bool]):
    from pipelines import experiment, run_results

    runs = plan.runs(root)
    new = experiment.new_cells(plan, root)
    if not _check([run for run in runs[: len(plan.definitions())] if run.cell in new], root,
                  stop_requested):  # fmt: skip
        return
    experiment.keep(plan, root)
    failed = _run([run for run in runs if not run.is_finished], len(runs), stop_requested)
    if failed is None:
        return
    order = list(plan.definitions())  # of the file, whichever seeds are missing
    finished = sorted((r for r in runs if r.is_finished), key=lambda run: order.index(run.cell))
    if finished:
        results = [run_results.read(run.path, run.environment, run.agent) for run in finished]
        commands = {run.name: shlex.join(('python', *run.arguments)) for run in runs}
        _report(root, plan.title, plan.text, results, plan.metric, plan.claims, commands, failed)
    if failed:
        name, words = next(iter(failed.items()))
        raise cli.UserError(
            f'{len(failed)} of {len(runs)} runs failed; {name}: {words} (more is in its .log in '
            f'{root}; the same command tries them again)'
        )


def _check(firsts: Sequence, root: pathlib.Path, stop_requested: Callable[[], bool]) -> bool:
    """Lets each cell's first run check its bindings, before any minute is spent.

    Returns:
      False where it was stopped.

    Raises:
      UserError: a cell cannot be; every such cell is named, with what is wrong with the first.
    """
    from pipelines import processes, run_dir

    wrong = {}
    jobs = [
        processes.Job(
            run.cell,
            (sys.executable, *run.arguments, '--check_only'),
            root / run.cell / 'check.log',
        )
        for run in firsts
    ]

    def done(job: processes.Job, exit_code: int):
        checked = not exit_code and run_dir.CHECKED in job.log.read_text(errors='replace')
        if not checked and not stop_requested():
            wrong[job.name] = job.last_line().removeprefix('error: ')

    if jobs:
        print(f'checking the bindings of {len(jobs)} cells', flush=True)
    finished = processes.run_all(jobs, _PROCESSES.value, done, stop_requested)
    if wrong:
        name = next(job.name for job in jobs if job.name in wrong)
        others = [job.name for job in jobs if job.name in wrong and job.name != name]
        also = f' (wrong, too: {", ".join(others)})' if others else ''
        raise cli.UserError(f'{name}: {wrong[name]}{also}')
    if not finished:
        print('stopped before the first run')
    return finished


def _run(missing: Sequence, num_runs: int, stop_requested: Callable[[], bool]):
    """Runs what is missing, and says a line of each.

    Returns:
      What failed: names, and what each said last. None where it was stopped.
    """
    import tqdm

    from pipelines import processes

    runs = {run.name: run for run in missing}
    jobs = [
        processes.Job(name, (sys.executable, *run.arguments), run.path.with_suffix('.log'))
        for name, run in runs.items()
    ]
    failed: dict[str, str] = {}
    finished = num_runs - len(missing)
    print(f'{finished} of {num_runs} runs are finished', flush=True)
    bar = tqdm.tqdm(total=num_runs, initial=finished, unit=' runs', disable=not sys.stderr.isatty())

    def done(job: processes.Job, exit_code: int):
        nonlocal finished
        run = runs[job.name]
        if run.is_finished:
            words = _in_words(run)
            if exit_code:
                words += f' (and then ended with exit code {exit_code}: {job.last_line()})'
            finished += 1
            bar.update()
        elif stop_requested():
            words = 'stopped'
        else:
            killed = f'killed by signal {-exit_code}: ' if exit_code < 0 else ''
            failed[job.name] = killed + job.last_line().removeprefix('error: ')
            words = f'failed: {failed[job.name]}'
        with bar.external_write_mode():
            print(f'[{finished}/{num_runs}] {job.name}: {words}', flush=True)

    with bar:
        if processes.run_all(jobs, _PROCESSES.value, done, stop_requested):
            return failed
    print('stopped; the same command goes on: no finished run is repeated')
    return None


def _in_words(run) -> str:
    summary = json.loads((run.path / 'summary.json').read_text())
    return (
        f'{summary["env_steps"]:,} env steps in {summary["wall_seconds"]:.0f} s, training return '
        f'{summary["return_mean_100"]:.1f}, evaluation {summary["eval_mean"]:.1f}'
    )


def _report(root: pathlib.Path, title: str, text: str, results, metric: str, claims=(),
            commands=None, failed=None):  # fmt: skip
    from pipelines import comparison, comparison_report
    from pipelines.score_statistics import Estimate

    data = comparison.compare(results, metric, claims)
    flags_given = [_FLAGS[name].serialize() for name in _FLAGS if _FLAGS[name].present]
    provenance = {
        'command': shlex.join(('python', '-m', 'pipelines.compare', *flags_given)),
        'runs': commands or {},
        'failed': failed or {},
    }
    comparison_report.write(root, title, text, data, provenance)
    print(f'\nIQM of {metric} over the seeds, with its 95 % interval:')
    for name, environment in data['environments'].items():
        for agent, cell in environment['agents'].items():
            print(f'  {name:<16} {agent:<20} {Estimate(*cell["iqm"])}, {len(cell["seeds"])} seeds')
    if data['fewest_seeds'] < data['min_seeds_of_a_claim']:
        print(f'too few seeds for a claim: {data["fewest_seeds"]} in the smallest cell')
    print(f'the report is {root / "report.html"}')


if __name__ == '__main__':
    sys.exit(main())
