"""Env steps per second while training DQN on CartPole-v1, compared with Stable-Baselines3.

    python -m benchmarks.cartpole_speed --peer_python=.venv-bench/bin/python

Both sides do the same work: MLP 64-64 (ReLU), batch 64, replay 50 000, Huber loss, gradient
norm 10, one gradient step on one minibatch per environment step. The peer runs with 1 and 16
environments and with 1 and 2 threads; its fastest form counts. Exits with 1 below the goal.
"""

from __future__ import annotations

import statistics
import sys

from absl import app, flags

from benchmarks import speed

_PEER_PYTHON = flags.DEFINE_string(
    'peer_python', None, 'Python of an environment with benchmarks/requirements.txt.', required=True
)
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Number of interleaved rounds.')
_GOAL = flags.DEFINE_float('goal', 4.0, 'Smallest ratio of speeds that passes.')

_OURS = 'this project, 16 envs'
_WARM_UP_ENV_STEPS = 4_000


def main(_) -> None:
    """Measures, prints a table and exits with the verdict."""

    def peer(num_envs: int, num_threads: int):
        return lambda: speed.script(_PEER_PYTHON.value, 'sb3_cartpole.py', num_envs, num_threads)

    peers = {
        f'Stable-Baselines3, {envs} envs, {threads} threads': peer(envs, threads)
        for envs in (1, 16)
        for threads in (1, 2)
    }
    mine = {_OURS: lambda: speed.ours('cartpole_speed.gin', 1.0, _WARM_UP_ENV_STEPS)}
    speeds = speed.interleave(mine | peers, _ROUNDS.value)
    print(speed.table('CartPole-v1, DQN, MLP 64-64, batch 64', speeds))
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    fastest = max(medians[name] for name in peers)
    like_tutorials = max(medians[name] for name in peers if '3, 1 envs' in name)
    ratio = medians[_OURS] / fastest
    print(
        f'\n{ratio:.1f} times the fastest form of the peer, '
        f'{medians[_OURS] / like_tutorials:.1f} times the peer with one environment '
        f'(goal: {_GOAL.value:g} times)'
    )
    sys.exit(int(ratio < _GOAL.value))


if __name__ == '__main__':
    app.run(main)
