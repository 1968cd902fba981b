"""Atari 2600 games by named protocols, on ale-py's C++ vector environment.

One environment step is one agent step of `frame_skip` emulated frames. An observation is ONE grey
frame, uint8 [height, width]; the network stacks frames. The protocols:

    machado   Machado et al. 2018 (https://arxiv.org/abs/1709.06009) as Dopamine runs it
              (Castro et al. 2018, https://arxiv.org/abs/1812.06110): sticky actions, the minimal
              action set, episodes end at game over or after 27 000 agent steps
    nature    Mnih et al. 2015 (https://doi.org/10.1038/nature14236): no-op starts, a lost life
              terminates for training
    tutorial  SpaceInvaders-v0 as the tutorial "Atari Space Invaders and Dueling Q RL in
              TensorFlow 2" plays it: 105x80 pixels, raw reward, no maximum over two frames

Where a protocol departs from its source, `AtariOptions.deviations` says so.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Annotated, Any

import gin
import gymnasium as gym
import numpy as np
from ale_py.vector_env import AtariVectorEnv

from agents.ranges import OptionalShare, OptionalSwitch, count, one_of, or_none
from envs import errors, infos


@dataclasses.dataclass(frozen=True)
class AtariOptions:
    """Everything that decides how a game is played and seen.

    Raises:
      EnvError: a number is out of its range.
    """

    protocol: str  # whose options these are, apart from `deviations`
    repeat_action_probability: float  # sticky actions: per frame, [0, 1]
    frame_skip: int  # emulated frames per agent step, >= 1
    max_pool: bool  # a frame is the maximum of the last two emulated ones
    noop_max: int  # an episode starts with up to so many no-op frames, >= 0
    fire_reset: bool  # an episode starts with FIRE
    life_loss_terminates: bool  # discount 0 for the learner; the episode continues
    clip_reward: bool  # to [-1, 1] for the learner; reports always count the raw reward
    max_frames_per_episode: int  # emulated frames until an episode is truncated, >= frame_skip
    full_action_space: bool  # 18 actions in every game, instead of those that it uses
    frame_height: int  # pixels, >= 1
    frame_width: int  # pixels, >= 1

    def __post_init__(self) -> None:
        if not 0.0 <= self.repeat_action_probability <= 1.0:
            raise errors.EnvError(
                f'atari.repeat_action_probability = {self.repeat_action_probability}: must be '
                'between 0 and 1'
            )
        at_least = {
            'frame_skip': 1,
            'noop_max': 0,
            'max_frames_per_episode': self.frame_skip,
            'frame_height': 1,
            'frame_width': 1,
        }
        for name, least in at_least.items():
            errors.check_whole_number(f'atari.{name}', getattr(self, name), least)

    def is_plainly(self, protocol: str) -> bool:
        """Whether these are the options of `protocol` without a change."""
        return self == _PROTOCOLS[protocol]

    @property
    def deviations(self) -> list[str]:
        """How these options depart from their protocol, and the protocol from its source."""
        named = dataclasses.asdict(_PROTOCOLS[self.protocol])
        changed = [
            f'{name} = {value} instead of {named[name]}'
            for name, value in dataclasses.asdict(self).items()
            if value != named[name]
        ]
        return changed + list(_DEPARTURES[self.protocol])

    def __str__(self) -> str:
        parts = [
            f'sticky actions {self.repeat_action_probability:g}',
            f'{self.frame_skip} frames per agent step'
            + (' (maximum of the last two)' if self.max_pool else ''),
            f'{self.frame_height}x{self.frame_width} grey',
            'reward clipped for training' if self.clip_reward else 'raw reward',
            f'at most {self.max_frames_per_episode // self.frame_skip:,} agent steps per episode',
        ]
        parts += [f'up to {self.noop_max} no-op frames first'] if self.noop_max else []
        parts += ['FIRE first'] if self.fire_reset else []
        parts += ['a lost life terminates for training'] if self.life_loss_terminates else []
        parts += ['18 actions'] if self.full_action_space else ['minimal action set']
        return (
            f'protocol {self.protocol}: {", ".join(parts)}; '
            f'deviations: {"; ".join(self.deviations) or "none"}'
        )


_MACHADO = AtariOptions(
    protocol='machado',
    repeat_action_probability=0.25,
    frame_skip=4,
    max_pool=True,
    noop_max=0,
    fire_reset=False,
    life_loss_terminates=False,
    clip_reward=True,
    max_frames_per_episode=108_000,
    full_action_space=False,
    frame_height=84,
    frame_width=84,
)
_PROTOCOLS = {
    'machado': _MACHADO,
    'nature': dataclasses.replace(
        _MACHADO,
        protocol='nature',
        repeat_action_probability=0.0,
        noop_max=30,
        life_loss_terminates=True,
    ),
    'tutorial': dataclasses.replace(
        _MACHADO,
        protocol='tutorial',
        frame_skip=3,
        max_pool=False,
        clip_reward=False,
        frame_height=105,
        frame_width=80,
    ),
}
_DEPARTURES = {
    'machado': ('the minimal action set, as in Dopamine',),
    'nature': ('at most 30 minutes per episode, training and evaluation alike',),
    'tutorial': ('always 3 frames per step where the tutorial has 2 to 4 at random',),
}


@gin.configurable('atari')
def options(
    protocol: Annotated[str, one_of('machado', 'nature', 'tutorial')] = 'machado',
    *,
    repeat_action_probability: OptionalShare = None,
    frame_skip: Annotated[int | None, or_none(count(most=1_000))] = None,
    max_pool: OptionalSwitch = None,
    noop_max: Annotated[int | None, or_none(count(least=0, most=10_000))] = None,
    fire_reset: OptionalSwitch = None,
    life_loss_terminates: OptionalSwitch = None,
    clip_reward: OptionalSwitch = None,
    max_frames_per_episode: Annotated[int | None, or_none(count(most=2**31 - 1))] = None,
    full_action_space: OptionalSwitch = None,
    frame_height: Annotated[int | None, or_none(count(most=1_024))] = None,
    frame_width: Annotated[int | None, or_none(count(most=1_024))] = None,
) -> AtariOptions:
    """A protocol's options, some of them replaced.

    Args:
      protocol: 'machado', 'nature' or 'tutorial'.
      repeat_action_probability: this and the others replace the fields of their names in
        `AtariOptions`; None keeps what the protocol says.

    Raises:
      EnvError: there is no such protocol, or a number is out of its range.
    """
    if protocol not in _PROTOCOLS:
        raise errors.EnvError(f'atari.protocol = {protocol!r}: must be one of {tuple(_PROTOCOLS)}')
    changes: dict[str, Any] = {
        'repeat_action_probability': repeat_action_probability,
        'frame_skip': frame_skip,
        'max_pool': max_pool,
        'noop_max': noop_max,
        'fire_reset': fire_reset,
        'life_loss_terminates': life_loss_terminates,
        'clip_reward': clip_reward,
        'max_frames_per_episode': max_frames_per_episode,
        'full_action_space': full_action_space,
        'frame_height': frame_height,
        'frame_width': frame_width,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(_PROTOCOLS[protocol], **given)


def make(game: str, num_envs: int, chosen: AtariOptions) -> gym.vector.VectorEnv:
    """`num_envs` copies of `game`, a ROM's name; a seed s seeds copy i with s + i."""
    env = AtariVectorEnv(
        game,
        num_envs,
        batch_size=0,
        num_threads=min(num_envs, os.cpu_count() or 1),
        thread_affinity_offset=-1,
        max_num_frames_per_episode=chosen.max_frames_per_episode,
        repeat_action_probability=chosen.repeat_action_probability,
        full_action_space=chosen.full_action_space,
        continuous=False,
        autoreset_mode=gym.vector.AutoresetMode.NEXT_STEP,
        img_height=chosen.frame_height,
        img_width=chosen.frame_width,
        grayscale=True,
        stack_num=1,
        frameskip=chosen.frame_skip,
        maxpool=chosen.max_pool,
        noop_max=chosen.noop_max,
        episodic_life=False,
        life_loss_info=False,
        reward_clipping=False,
        use_fire_reset=chosen.fire_reset,
    )
    return _SingleFrames(env, chosen)


class _SingleFrames(gym.vector.VectorWrapper):
    """Drops the axis of ale-py's frame stack, and makes the learner's reward and discount."""

    def __init__(self, env: AtariVectorEnv, chosen: AtariOptions):
        super().__init__(env)
        self._options = chosen
        shape = (chosen.frame_height, chosen.frame_width)
        self.single_observation_space = gym.spaces.Box(0, 255, shape, np.uint8)
        self.observation_space = gym.vector.utils.batch_space(
            self.single_observation_space, env.num_envs
        )

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        frames, info = self.env.reset(seed=seed, options=options)
        self._lives = info['lives']
        return frames[:, 0], info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        frames, raw_reward, terminated, truncated, info = self.env.step(actions)
        reward = np.clip(raw_reward, -1, 1) if self._options.clip_reward else raw_reward
        ends = terminated
        if self._options.life_loss_terminates:
            ends = terminated | (info['lives'] < self._lives)
        self._lives = info['lives']
        info = {**info, infos.RAW_REWARD: raw_reward, infos.DISCOUNT: ~ends}
        return frames[:, 0], reward, terminated, truncated, info
