"""Finished runs without the running: the files that a comparison reads."""

import json


def finished_run(path, seed=0, agent='dqn', env_name='CartPole-v1', score=100.0, curve=None,
                 atari_game=None, **config):  # fmt: skip
    """Writes summary.json, progress.csv and the policy's card; `config` differs by keyword."""
    (path / 'policy').mkdir(parents=True)
    summary = {
        'env_name': env_name, 'agent': agent, 'seed': seed, 'env_steps': 1_000,
        'wall_seconds': 2.0, 'env_steps_per_second': 500.0, 'eval_mean': score,
        'return_mean_100': score / 2,
    }  # fmt: skip
    (path / 'summary.json').write_text(json.dumps(summary))
    bindings = {'train_ddqn.gamma': '0.99'} | {
        f'train_ddqn.{name}': str(value) for name, value in config.items()
    }
    card = {'config': bindings, 'atari_game': atari_game}
    (path / 'policy' / 'policy_card.json').write_text(json.dumps(card))
    curve = curve or [(0, ''), (500, score / 4), (1_000, score / 2)]
    rows = '\n'.join(f'{env_steps},{value}' for env_steps, value in curve)
    (path / 'progress.csv').write_text(f'env_steps,return_mean_100\n{rows}\n')
    return path
