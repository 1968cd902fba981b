"""Whether a configuration can be what is wanted: what would run to no end is refused.

Each check names the binding, or the configuration, to use instead.
"""

from __future__ import annotations

import numpy as np

from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task
from pipelines.errors import UserError
from pipelines.experience.replay import Replay
from pipelines.loops.turns import TrainRatio
from pipelines.settings import DdqnSettings


def check_task(settings: DdqnSettings, task: Task, envs: GymnasiumEnv) -> None:
    """Raises a UserError if Q-learning with these settings cannot learn the task."""
    name = f"train_ddqn.env_name = '{settings.env_name}'"
    if task.atari is not None and settings.frame_stack is None:
        raise UserError(
            f'{name} is an Atari game, and this configuration sees single frames: use '
            '--gin_file=configs/ddqn_space_invaders.gin, which plays any game, or set '
            'train_ddqn.frame_stack = 4 and make_q_network.torso = @conv_torso'
        )
    if np.issubdtype(envs.action_spec().dtype, np.floating):
        raise UserError(
            f'{name} has continuous actions, and Q-learning needs discrete ones: use '
            'python -m pipelines.train_reinforce'
        )


def check_replay(settings: DdqnSettings, replay: Replay, ratio: TrainRatio) -> None:
    """Raises a UserError if training would never begin."""
    fewest, per_item = settings.min_replay_transitions, replay.transitions_per_item
    most = replay.capacity_transitions // per_item * per_item
    if fewest > most:
        raise UserError(
            f'train_ddqn.min_replay_transitions = {fewest}: more than Replay.capacity_transitions '
            f'= {replay.capacity_transitions} gives room for, {most} in whole items of {per_item}: '
            'lower the first or raise the second'
        )
    if (begins := training_begins(settings, replay, ratio)) >= settings.num_env_steps:
        raise UserError(
            f'train_ddqn.num_env_steps = {settings.num_env_steps}: training begins after up to '
            f'{begins} env steps, when replay holds min_replay_transitions = {fewest} (it gets '
            f'{per_item} of an environment at a time): raise the first, or lower the second or '
            'Replay.transitions_per_item'
        )


def when_training_begins(settings: DdqnSettings, replay: Replay, ratio: TrainRatio) -> str:
    """A line for the start of a run."""
    return f'training begins after at most {training_begins(settings, replay, ratio):,} env steps'


def training_begins(settings: DdqnSettings, replay: Replay, ratio: TrainRatio) -> int:
    """The env steps after which training begins, at most.

    An item can be sampled when the rows that its last returns need have been appended, and
    training begins between two turns. The end of an episode adds a row that is not an env step.
    """
    items = -(-settings.min_replay_transitions // replay.transitions_per_item)
    items_per_env = -(-items // replay.num_envs)
    vector_steps = items_per_env * replay.transitions_per_item + replay.shape.tail_rows
    turns = -(-vector_steps // ratio.vector_steps)
    return turns * ratio.vector_steps * replay.num_envs
