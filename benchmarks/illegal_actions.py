"""Counts illegal actions in training, in evaluations and of exported policies: there are none.

    python -m benchmarks.illegal_actions --root_dir=runs/illegal

Each run takes 20 000 env steps in an environment with masks (see `guarded`), evaluations included;
its exported policy then plays with half of its actions drawn at random, and answers on 10 000
random masks. Exits with 1 if an illegal action was taken.
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import guarded
from benchmarks.guarded import Guarded
from pipelines import evaluate, train_ddqn, train_reinforce

_NUM_MASKS = 10_000
DDQN = {
    'double dqn': [],
    'dqn, no target network': ['train_ddqn.double = False', "train_ddqn.target = 'none'"],
    'c51': ["train_ddqn.distribution = 'categorical'", 'C51Network.v_max = 50.0'],
    'munchausen': [
        'train_ddqn.munchausen = True',
        'train_ddqn.double = False',
        'train_ddqn.n_step = 1',
    ],
    'noisy, prioritised': ['train_ddqn.noisy = True', 'train_ddqn.prioritised = True'],
    'frame stacks, overlap': ['train_ddqn.frame_stack = 3', 'train_ddqn.overlap = True'],
}
SEVERAL = {
    'branching': ['train_ddqn.n_step = 3'],
    'branching, prioritised': ['train_ddqn.dueling = False', 'train_ddqn.prioritised = True'],
}


def _bindings(name: str, num_steps: int) -> list[str]:
    """Those of the run with this name."""
    if name.startswith('reinforce'):
        word, several = 'train_reinforce', name.endswith('several')
        bindings = [f'train_reinforce.num_episodes = {num_steps // guarded.LENGTH}']
    else:
        word, several = 'train_ddqn', name in SEVERAL
        bindings = [f'train_ddqn.num_env_steps = {num_steps}', *(DDQN | SEVERAL)[name]]
    env_name = 'GuardedSeveral-v0' if several else 'Guarded-v0'
    here = "task.vectorization = 'sync'"  # the counter is this process's
    return [*bindings, f"{word}.env_name = '{env_name}'", here, 'mlp_torso.units = (32,)']


def _count(name: str, root_dir: str, num_steps: int) -> list[tuple[int, int]]:
    """(Actions, illegal ones) of a run, of an evaluation with random actions, and of `act`."""
    root = f'{root_dir}/{name.replace(", ", "_").replace(" ", "_")}'
    bindings = [f'--gin_bindings={binding}' for binding in _bindings(name, num_steps)]
    train = (train_reinforce if name.startswith('reinforce') else train_ddqn).main
    counts = []
    for main, given in (
        (train, ['driver', f'--root_dir={root}', *bindings]),
        (evaluate.main, ['driver', f'--policy_dir={root}/policy', '--epsilon=0.5']),
    ):
        Guarded.num_actions = Guarded.num_illegal = 0
        if code := main(given):
            sys.exit(code)
        counts.append((Guarded.num_actions, Guarded.num_illegal))
    return [*counts, _of_act(f'{root}/policy')]


def _of_act(policy_dir: str) -> tuple[int, int]:
    """(Rows, illegal answers) of an exported policy on random observations and masks."""
    act, rng = tf.saved_model.load(policy_dir).signatures['act'], np.random.default_rng(0)
    inputs = act.structured_input_signature[1]
    env = Guarded(several=inputs['action_mask'].shape[1] != 6)
    masks = [rng.random((_NUM_MASKS, size)) < 0.3 for size in env.sizes]
    for mask in masks:
        mask[np.arange(_NUM_MASKS), rng.integers(mask.shape[1], size=_NUM_MASKS)] = True
    given = {
        'observation': rng.uniform(-1, 1, (_NUM_MASKS, 3)).astype(np.float32),
        'action_mask': np.concatenate(masks, axis=1),
    }
    if 'state' in inputs:
        given['state'] = np.zeros((_NUM_MASKS, *inputs['state'].shape[1:]), np.float32)
        given['reset'] = np.ones(_NUM_MASKS, bool)
    action = act(**{name: tf.constant(x) for name, x in given.items()})['action'].numpy()
    index = action.reshape(_NUM_MASKS, -1) - env.first
    legal = [mask[np.arange(_NUM_MASKS), i] for mask, i in zip(masks, index.T, strict=True)]
    return _NUM_MASKS, int(np.sum(~np.all(legal, axis=0)))


def main(argv: list[str]) -> None:
    """Prints a line for each run."""
    del argv
    lines, illegal = [], 0
    for name in [*DDQN, *SEVERAL, 'reinforce', 'reinforce, several']:
        counts = _count(name, _ROOT_DIR.value, _NUM_STEPS.value)
        illegal += sum(n for _, n in counts)
        of_run, of_evaluation, of_act = (f'{n} of {actions:,}' for actions, n in counts)
        lines.append(f'{name:<24} {of_run:<14} {of_evaluation:<12} {of_act}')
    print(f'\n{"illegal actions of":<24} {"the run":<14} {"evaluate":<12} act')
    print('\n'.join(lines))
    sys.exit(int(illegal > 0))


if __name__ == '__main__':
    _ROOT_DIR = flags.DEFINE_string('root_dir', 'runs/illegal', 'Directory of the runs.')
    _NUM_STEPS = flags.DEFINE_integer('num_steps', 20_000, 'Env steps of each run.')
    app.run(main)
