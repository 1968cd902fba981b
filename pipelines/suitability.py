"""Whether a configuration can be what is wanted, before a minute is spent on it.

What would run to no end is refused, in one line that names the binding or the configuration to
use instead. What may be wanted, but hardly is, gets a line at the start of the run.
"""

from __future__ import annotations

from typing import Any

import gin
import numpy as np
from tf_agents.specs import tensor_spec

from agents import conv_torso
from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task
from pipelines import gin_config
from pipelines.errors import UserError
from pipelines.experience.blocks import Blocks
from pipelines.experience.replay import Replay
from pipelines.loops.turns import TrainRatio
from pipelines.settings import DdqnSettings, ReinforceSettings

_LARGE = 1_000  # numbers in a picture; smaller ones are a matter of taste


def check_task(
    settings: DdqnSettings | ReinforceSettings, task: Task, envs: GymnasiumEnv
) -> list[str]:
    """Whether the agent can learn the task as it is configured.

    Returns:
      Lines for the start of the run.

    Raises:
      UserError: it cannot.
    """
    name = f"{settings.name()}.env_name = '{settings.env_name}'"
    notes = []
    if isinstance(settings, DdqnSettings):
        torso = 'make_q_network.torso'
        _check_q_learning(name, settings, task, envs)
    else:
        torso = 'make_actor_critic_network.torso'
        if task.atari is not None:
            notes.append(
                'warning: policy gradients see single frames, so nothing of how things move: '
                'python -m pipelines.train_ddqn --gin_file=configs/ddqn_space_invaders.gin '
                'stacks them'
            )
    _check_torso(name, torso, envs)
    return notes + _of_large_pictures(settings, torso, envs)


def _check_q_learning(name: str, settings: DdqnSettings, task: Task, envs: GymnasiumEnv) -> None:
    if task.atari is not None and settings.frame_stack is None:
        raise UserError(
            f'{name} is an Atari game, and this configuration sees single frames: use '
            '--gin_file=configs/ddqn_space_invaders.gin, which plays any game, or set '
            'train_ddqn.frame_stack = 4'
        )
    if np.issubdtype(envs.action_spec().dtype, np.floating):
        raise UserError(
            f'{name} has continuous actions, and Q-learning needs discrete ones: use '
            'python -m pipelines.train_reinforce'
        )


def _torso(parameter: str) -> str:
    """The name of the torso that a line of the configuration asks for, or ''."""
    if not gin_config.is_bound(parameter):
        return ''
    return str(getattr(gin.query_parameter(parameter), 'selector', '')).rpartition('.')[2]


def _pictures(envs: GymnasiumEnv) -> list[Any]:
    """The specs of an observation's parts that are pictures."""
    observation = tensor_spec.from_spec(envs.observation_spec())
    parts = observation.values() if isinstance(observation, dict) else [observation]
    return [part for part in parts if conv_torso.is_picture(part)]


def _check_torso(name: str, parameter: str, envs: GymnasiumEnv) -> None:
    """Raises a UserError for a configuration for pictures where there are none."""
    spec = envs.observation_spec()
    if _torso(parameter) != 'conv_torso' or isinstance(spec, dict) or len(spec.shape) > 1:
        return
    config = 'ddqn_cartpole' if parameter.startswith('make_q') else 'reinforce_cartpole'
    raise UserError(
        f'{name} gives no pictures ({spec.dtype.name} {list(spec.shape)}), and {parameter} = '
        f'@conv_torso is for them: use --gin_file=configs/{config}.gin, or @mlp_torso'
    )


def _of_large_pictures(
    settings: DdqnSettings | ReinforceSettings, parameter: str, envs: GymnasiumEnv
) -> list[str]:
    large = [part for part in _pictures(envs) if part.shape.num_elements() >= _LARGE]
    if not large:
        return []
    shape = list(large[0].shape)
    if _torso(parameter) == 'mlp_torso':
        return [
            f'warning: {parameter} = @mlp_torso takes the pictures {shape} for '
            f'{large[0].shape.num_elements():,} separate numbers: @conv_torso is for them'
        ]
    if isinstance(settings, DdqnSettings) and settings.fuse_train_steps:
        return [
            'warning: train_ddqn.fuse_train_steps = True compiles the convolutions over the '
            f'pictures {shape} with XLA, which on CPUs takes twice as long: leave it out'
        ]
    return []


def of_switches(settings: DdqnSettings, task: Task) -> list[str]:
    """Lines for the start about switches that hardly go together."""
    lines = []
    clips = task.atari is not None and task.atari.clip_reward
    support = any(map(gin_config.is_bound, ('C51Network.v_min', 'C51Network.v_max')))
    if settings.distribution == 'categorical' and not clips and not support:
        lines.append(
            "warning: C51's support is -10 to 10, for clipped rewards of Atari games, because "
            'nothing says what returns to expect: set C51Network.v_min and C51Network.v_max, as '
            'configs/ddqn_cartpole_c51.gin does'
        )
    for name, has_effect, cure in (
        ('QLearningAgent.tau', settings.target == 'soft', "train_ddqn.target = 'soft'"),
        (
            'QLearningAgent.target_update_period_train_steps',
            settings.target == 'hard',
            "train_ddqn.target = 'hard'",
        ),
        ('make_q_network.stream_units', settings.dueling, 'train_ddqn.dueling = True'),
        ('make_q_network.plain_units', not settings.dueling, 'train_ddqn.dueling = False'),
        (
            'Replay.transitions_per_item',
            not settings.prioritised,
            'train_ddqn.prioritised = False',
        ),
    ):
        if not has_effect and gin_config.is_bound(name, by_the_user=True):
            lines.append(f'warning: {name} changes nothing without {cure}')
    return lines


def check_replay(settings: DdqnSettings, replay: Replay, ratio: TrainRatio) -> None:
    """Raises a UserError if training would never begin."""
    blocks, fewest = replay.blocks, settings.min_replay_transitions
    if fewest > blocks.max_starts:
        raise UserError(
            f'train_ddqn.min_replay_transitions = {fewest}: more than Replay.capacity_transitions '
            f'= {replay.capacity_transitions} gives room for, {blocks.max_starts} in whole items '
            f'of {replay.transitions_per_item}: lower the first or raise the second'
        )
    if settings.reuse_replay is not None:
        return  # it is full, or nearly
    vector_steps = settings.num_env_steps // settings.num_envs - _begins(blocks, ratio)
    if ratio.train_steps_due(max(0, vector_steps) * settings.num_envs, 0) < 1:
        raise UserError(
            f'train_ddqn.num_env_steps = {settings.num_env_steps}: training begins after up to '
            f'{_begins(blocks, ratio) * settings.num_envs} env steps, when replay holds '
            f'min_replay_transitions = {fewest}, so nothing would be trained: raise the first or '
            'lower the second'
        )


def when_training_begins(blocks: Blocks, ratio: TrainRatio) -> str:
    """A line for the start of a run that has not trained yet."""
    steps, num_envs = _begins(blocks, ratio), blocks.num_envs
    # LAST rows are no items there, so how long it takes depends on the lengths of episodes.
    after = 'after' if blocks.transitions_per_item > 1 else 'after at least'
    each = f'{steps:,} steps'
    if num_envs > 1:
        each += f' of each of the {num_envs} environments ({steps * num_envs:,} in all)'
    return f'training begins {after} {each}, with {blocks.wanted:,} transitions in replay'


def _begins(blocks: Blocks, ratio: TrainRatio) -> int:
    """The vector steps after which training begins, which it does between two turns."""
    return -(-blocks.start_vector_steps // ratio.vector_steps) * ratio.vector_steps
