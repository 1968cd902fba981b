"""Experiments of the tutorials without the running: the files that real runs leave."""

import json

import numpy as np

from pipelines.comparison import experiment
from pipelines.posts import catalogue

TUTORIALS = catalogue.load_all()


def tutorial(name):
    return next(each for each in TUTORIALS if each.name == name)


def rising(run, num_episodes):
    """Lengths that rise to 190; each seed a little apart."""
    episodes = np.arange(1, num_episodes + 1)
    return np.minimum(190, 10 + episodes + run.seed).astype(float)


def write_run(run, lengths, *, finished=True, losses=None, progress=None):
    """The files of a run whose training episodes had these lengths, which are their returns."""
    run.path.mkdir(parents=True)
    losses = [''] * len(lengths) if losses is None else losses
    rows = zip(np.arange(1, len(lengths) + 1), np.cumsum(lengths), lengths, lengths, losses)
    lines = ['episode,env_steps,return,length,avg_loss']
    lines += [f'{n},{int(steps)},{r:g},{int(length)},{loss}' for n, steps, r, length, loss in rows]
    (run.path / 'episodes.csv').write_text('\n'.join(lines) + '\n')
    names = ['env_steps', *(progress or {})]
    columns = [range(1, 1 + len(next(iter((progress or {'': []}).values())))),
               *(progress or {}).values()]  # fmt: skip
    lines = [','.join(names), *(','.join(map(str, row)) for row in zip(*columns))]
    (run.path / 'progress.csv').write_text('\n'.join(lines) + '\n')
    if finished:
        summary = {
            'env_name': 'CartPole-v0', 'agent': run.agent, 'seed': run.seed,
            'env_steps': int(np.sum(lengths)), 'wall_seconds': 36.0,
            'env_steps_per_second': 1_000.0, 'eval_mean': 150.0 + run.seed,
        }  # fmt: skip
        (run.path / 'summary.json').write_text(json.dumps(summary))


def write_experiment(name, root, lengths=rising, num_episodes=1_000, *, quick=False, **more):
    """Every run of a tutorial's experiment; returns the tutorial and its plan."""
    chosen = tutorial(name)
    plan = chosen.plan(quick)
    root.mkdir(parents=True, exist_ok=True)
    experiment.keep(plan, root)
    for run in plan.runs(root):
        write_run(run, lengths(run, num_episodes), **more)
    return chosen, plan
