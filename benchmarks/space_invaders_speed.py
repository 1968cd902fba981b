"""Agent steps per second while training on Space Invaders, compared with two peers.

    python -m benchmarks.space_invaders_speed --peer_python=.venv-bench/bin/python

Stable-Baselines3 does the same work: DQN, the network of Mnih et al. 2015
(https://doi.org/10.1038/nature14236), batch 32, gradient norm 10, one train step on one minibatch
per 4 agent steps, sticky actions, skip 4. Ours runs in bfloat16 and in float32. The peer runs in
float32 with 1 environment, or with 8 in one process or in several; its fastest form counts. The
tutorial's code has dueling Double DQN with its own network, 105x80x4, and one train step per agent
step. Exits with 1 below a goal.
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
_SB3_GOAL = flags.DEFINE_float('sb3_goal', 2.0, 'Smallest ratio to Stable-Baselines3 that passes.')
_TUTORIAL_GOAL = flags.DEFINE_float('tutorial_goal', 6.0, 'The same for the tutorial.')

_WARM_UP_ENV_STEPS = 6_000
_TUTORIAL_WARM_UP_ENV_STEPS = 4_000


def _nature(compute_dtype: str) -> float:
    return speed.ours(
        'space_invaders_nature_speed.gin',
        0.25,
        _WARM_UP_ENV_STEPS,
        [f"make_q_network.compute_dtype='{compute_dtype}'"],
    )


def _tutorial(compute_dtype: str) -> float:
    return speed.ours(
        'space_invaders_tutorial_speed.gin',
        1.0,
        _TUTORIAL_WARM_UP_ENV_STEPS,
        [f"make_q_network.compute_dtype='{compute_dtype}'"],
    )


def main(_) -> None:
    """Measures, prints two tables and exits with the verdict."""

    def sb3(*form):
        return lambda: speed.script(_PEER_PYTHON.value, 'sb3_space_invaders.py', *form)

    sb3_forms = {
        'Stable-Baselines3, 1 env, 2 threads': sb3(1, 2),
        'Stable-Baselines3, 8 envs, 2 threads': sb3(8, 2),
        'Stable-Baselines3, 8 envs in processes, 2 threads': sb3(8, 2, 'subproc'),
    }

    nature = {
        'this project': lambda: _nature('auto'),
        'this project, float32': lambda: _nature('float32'),
        **sb3_forms,
    }
    tutorial = {
        "this project, the tutorial's network": lambda: _tutorial('auto'),
        "this project, the tutorial's network, float32": lambda: _tutorial('float32'),
        "the tutorial's code": lambda: speed.script(sys.executable, 'tutorial_space_invaders.py'),
    }
    speeds = speed.interleave(nature | tutorial, _ROUNDS.value)
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    print(
        speed.table(
            'Space Invaders, DQN, Nature network, batch 32, 1 train step per 4 agent steps',
            {name: speeds[name] for name in nature},
        )
    )
    peer = max(medians[name] for name in sb3_forms)
    to_sb3 = medians['this project'] / peer
    print(
        f'\n{to_sb3:.1f} times the fastest form of the peer, '
        f'{medians["this project, float32"] / peer:.1f} times in float32 '
        f'(goal: {_SB3_GOAL.value:g} times)\n'
    )
    print(
        speed.table(
            "Space Invaders, the tutorial's network, batch 32, 1 train step per agent step",
            {name: speeds[name] for name in tutorial},
        )
    )
    mine, mine_in_float32, its = (medians[name] for name in tutorial)
    print(
        f"\n{mine / its:.1f} times the tutorial's code, {mine_in_float32 / its:.1f} times in "
        f'float32 (goal: {_TUTORIAL_GOAL.value:g} times)'
    )
    sys.exit(int(to_sb3 < _SB3_GOAL.value or mine / its < _TUTORIAL_GOAL.value))


if __name__ == '__main__':
    app.run(main)
