"""Atari 2600 games, by named protocols, on ale-py's C++ vector environment.

One environment step is one agent step of `frame_skip` emulated frames. An observation is
ONE grey frame, uint8 [height, width]; stacking is the network's work. What each protocol
fixes, and where it departs from its source:

    machado   Machado et al. 2018, as Dopamine runs it: sticky actions, the minimal action
              set, episodes end at game over, at most 27 000 agent steps
    nature    Mnih et al. 2015: no-op starts, a lost life terminates for training
    tutorial  SpaceInvaders-v0 of the tutorial: 105x80, its raw reward, no max-pooling
"""

from __future__ import annotations

import dataclasses
import os

import ale_py
import gin
import gymnasium as gym
import numpy as np
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv

from envs import errors


@dataclasses.dataclass(frozen=True)
class AtariOptions:
    """Everything that decides how a game is played and seen."""

    protocol: str
    repeat_action_probability: float  # sticky actions
    frame_skip: int  # emulated frames per agent step
    max_pool: bool  # over the last two emulated frames
    noop_max: int  # no-op frames at most before an episode
    fire_reset: bool  # press FIRE at an episode's start
    life_loss_terminates: bool  # for the learner: discount 0; the episode goes on
    clip_reward: bool  # to [-1, 1], for the learner; reports are raw always
    max_frames_per_episode: int
    full_action_space: bool
    frame_height: int
    frame_width: int

    def is_plainly(self, protocol: str) -> bool:
        """Whether these are the options of `protocol`, none of them changed."""
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
    protocol: str = 'machado',
    *,
    repeat_action_probability: float | None = None,
    frame_skip: int | None = None,
    max_pool: bool | None = None,
    noop_max: int | None = None,
    fire_reset: bool | None = None,
    life_loss_terminates: bool | None = None,
    clip_reward: bool | None = None,
    max_frames_per_episode: int | None = None,
    full_action_space: bool | None = None,
    frame_height: int | None = None,
    frame_width: int | None = None,
) -> AtariOptions:
    """A protocol's options, with what is given here in the place of its own.

    Args:
      protocol: 'machado', 'nature' or 'tutorial'.
      repeat_action_probability: with it the emulator repeats the action before, each frame.
      frame_skip: emulated frames per agent step.
      max_pool: whether a frame is the maximum of the last two emulated ones.
      noop_max: an episode starts with up to so many no-op frames.
      fire_reset: whether an episode starts with FIRE.
      life_loss_terminates: whether the learner sees discount 0 where a life is lost.
      clip_reward: whether the learner sees rewards clipped to [-1, 1].
      max_frames_per_episode: an episode is truncated there.
      full_action_space: 18 actions for every game.
      frame_height: of an observation, pixels.
      frame_width: of an observation, pixels.

    Raises:
      EnvError: no such protocol, or a value out of range.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    if protocol not in _PROTOCOLS:
        raise errors.EnvError(f'atari.protocol = {protocol!r}: must be one of {tuple(_PROTOCOLS)}')
    chosen = dataclasses.replace(_PROTOCOLS[protocol], **given)
    if not 0.0 <= chosen.repeat_action_probability <= 1.0:
        raise errors.EnvError(
            f'atari.repeat_action_probability = {repeat_action_probability}: must be between 0 '
            'and 1'
        )
    for name, least in (
        ('frame_skip', 1), ('noop_max', 0), ('max_frames_per_episode', chosen.frame_skip),
        ('frame_height', 1), ('frame_width', 1),
    ):  # fmt: skip
        value = getattr(chosen, name)
        if not isinstance(value, int) or value < least:
            raise errors.EnvError(
                f'atari.{name} = {value!r}: must be a whole number, at least {least}'
            )
    return chosen


def make(game: str, num_envs: int, chosen: AtariOptions) -> gym.vector.VectorEnv:
    """`num_envs` copies of `game`; copy i is seeded with the seed plus i."""
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
    """Drops the stack's axis, and makes the learner's reward and discount."""

    def __init__(self, env: AtariVectorEnv, chosen: AtariOptions):
        super().__init__(env)
        self._options = chosen
        shape = (chosen.frame_height, chosen.frame_width)
        self.single_observation_space = gym.spaces.Box(0, 255, shape, np.uint8)
        self.observation_space = gym.vector.utils.batch_space(
            self.single_observation_space, env.num_envs
        )

    def reset(self, *, seed=None, options=None):
        frames, info = self.env.reset(seed=seed, options=options)
        self._lives = info['lives']
        return frames[:, 0], info

    def step(self, actions):
        frames, raw_reward, terminated, truncated, info = self.env.step(actions)
        reward = np.clip(raw_reward, -1, 1) if self._options.clip_reward else raw_reward
        ends = terminated
        if self._options.life_loss_terminates:
            ends = terminated | (info['lives'] < self._lives)
        self._lives = info['lives']
        info = {**info, 'raw_reward': raw_reward, 'discount': 1.0 - ends}
        return frames[:, 0], reward, terminated, truncated, info


class Emulator:
    """One game as it is on the screen: what `make` shows before it is greyed and resized.

    Given the same seed, options and actions it goes through the same episodes as a copy of
    `make` with that seed, sticky actions included (no-op starts are drawn otherwise).
    """

    def __init__(self, game: str, chosen: AtariOptions):
        self._options = chosen
        rom = roms.get_rom_path(game)
        assert rom is not None, game
        self._rom = rom
        self._ale = ale_py.ALEInterface()
        self._ale.setFloat('repeat_action_probability', chosen.repeat_action_probability)
        self._ale.setInt('max_num_frames_per_episode', chosen.max_frames_per_episode)
        self._load(seed=0)

    def _load(self, seed: int):
        self._ale.setInt('random_seed', seed)
        self._ale.loadROM(self._rom)
        self._noops = np.random.default_rng(seed)
        full = self._options.full_action_space
        self._actions = self._ale.getLegalActionSet() if full else self._ale.getMinimalActionSet()

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Starts an episode; uint8 [2, screen height, screen width, 3], twice the same."""
        if seed is not None:
            self._load(seed)
        self._ale.reset_game()
        if self._options.noop_max:
            for _ in range(self._noops.integers(self._options.noop_max + 1)):
                self._ale.act(ale_py.Action.NOOP)
        if self._options.fire_reset and ale_py.Action.FIRE in self._actions:
            self._ale.act(ale_py.Action.FIRE)
        screen = self._ale.getScreenRGB()
        return np.stack([screen, screen])

    def step(self, action: int) -> tuple[np.ndarray, int, bool]:
        """One agent step.

        Returns:
          The screens of the last two emulated frames, uint8 [2, height, width, 3]; the raw
          reward; and whether the episode is over, terminated or truncated.
        """
        screens: list[np.ndarray] = []
        reward = 0
        for _ in range(self._options.frame_skip):
            reward += self._ale.act(self._actions[action])
            screens = [*screens[-1:], self._ale.getScreenRGB()]
            if self._ale.game_over():
                break
        return np.stack([screens[0], screens[-1]]), reward, self._ale.game_over()

    @property
    def screen_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._ale.getScreenDims()

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """What each action does, such as 'RIGHTFIRE'."""
        return tuple(action.name for action in self._actions)
