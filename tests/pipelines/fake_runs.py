"""Finished runs without the running: the files that a comparison reads."""

import json

from envs.task import Task


def finished_run(path, seed=0, agent='dqn', env_name='CartPole-v1', score=100.0, curve=None,
                 returns=None, **config):  # fmt: skip
    """Writes summary.json, progress.csv and the policy's card; `config` differs by keyword.

    With `returns` of training episodes, there is an episodes.csv too.
    """
    (path / 'policy').mkdir(parents=True)
    summary = {
        'env_name': env_name, 'agent': agent, 'seed': seed, 'env_steps': 1_000,
        'num_env_steps': 1_000, 'frames_per_env_step': 1, 'train_steps': 500, 'episodes': 10,
        'return_mean_100': score / 2, 'wall_seconds': 2.0, 'env_steps_per_second': 500.0,
        'best': {'env_steps': 1_000, 'train_steps': 500, 'eval_mean': score},
        'eval_returns': [score], 'eval_mean': score, 'policy_dir': str(path / 'policy'),
    }  # fmt: skip
    (path / 'summary.json').write_text(json.dumps(summary))
    bindings = {'train_ddqn.gamma': '0.99'} | {
        f'train_ddqn.{name}': str(value) for name, value in config.items()
    }
    card = {**Task.configured(env_name).card(), 'config': bindings}
    (path / 'policy' / 'policy_card.json').write_text(json.dumps(card))
    curve = curve or [(0, ''), (500, score / 4), (1_000, score / 2)]
    rows = '\n'.join(f'{env_steps},{value}' for env_steps, value in curve)
    (path / 'progress.csv').write_text(f'env_steps,return_mean_100\n{rows}\n')
    if returns is not None:
        rows = ''.join(f'{i},{each}\n' for i, each in enumerate(returns, start=1))
        (path / 'episodes.csv').write_text(f'episode,return\n{rows}')
    return path
