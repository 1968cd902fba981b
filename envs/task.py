"""What a run plays: one value that makes every environment of the run and describes it."""

from __future__ import annotations

import copy
import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gin
import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from envs import checked, errors, faults, infos, registry
from envs import noisy_reward as noisy_reward  # gin files name NoisyReward
from envs.gymnasium_env import GymnasiumEnv

if registry.HAS_ALE_PY:  # gin has no `atari` without it
    from envs import atari
    from envs.atari import AtariOptions
    from envs.emulator import Emulator

TrainingWrapper = Callable[[gym.vector.VectorEnv], gym.vector.VectorEnv]

# For ids that set none: a policy may walk in circles, and its evaluation must end.
_DEFAULT_TIME_LIMIT_ENV_STEPS = 1_000

# One copy plays the same either way, and on arrays of one NumPy takes three times as long.
_NOT_NATIVE_ALONE = ('CartPole-v0', 'CartPole-v1')

_ACTION_MEANINGS = {  # from Gymnasium's documentation
    'CartPole': ('push left', 'push right'),
    'Acrobot': ('torque -1', 'no torque', 'torque +1'),
    'MountainCar': ('push left', 'no push', 'push right'),
    'Taxi': ('south', 'north', 'east', 'west', 'pick up', 'drop off'),
    'FrozenLake': ('left', 'down', 'right', 'up'),
}


@gin.configurable('load_environment', denylist=['vector_env'])
def _for_training(
    vector_env: gym.vector.VectorEnv, training_wrappers: Sequence[TrainingWrapper] = ()
) -> gym.vector.VectorEnv:
    """`vector_env` in `training_wrappers`, the first one innermost.

    They may change what the agent learns from; evaluations and films do without them. What is
    reported is the reward below them, unless one tells another (see `GymnasiumEnv`).
    """
    if training_wrappers:
        vector_env = infos.RewardBelow(vector_env)
    for wrap in training_wrappers:
        try:
            vector_env = wrap(vector_env)
        except (TypeError, ValueError):  # most likely about a value of gin's
            raise
        except faults.RAISED as e:
            name = getattr(wrap, '__name__', repr(wrap))
            raise faults.raised(e, f"training wrapper '{name}'") from e
    return vector_env


@dataclasses.dataclass(frozen=True)
class Task:
    """An environment and how it is played.

    Everything that a run steps, evaluates in or films comes from its task, and a policy's card
    keeps the task for whoever plays the policy later. An Atari id names the game alone; the
    options say how it is played, whatever the id's version. Any other id without a time limit
    gets one of 1 000 steps (truncation, not termination).

    Raises:
      EnvError: there is no such id (the nearest are named), it needs ale-py, or `atari` is given
        for another environment or missing for a game.
    """

    env_name: str  # a Gymnasium id, such as 'CartPole-v1'
    atari: AtariOptions | None = None  # None unless the id is an Atari game

    def __post_init__(self) -> None:
        if self.atari_game is not None and self.atari is None:
            raise errors.EnvError(
                f"environment '{self.env_name}' is an Atari game and needs AtariOptions: "
                'use Task.configured'
            )
        if self.atari_game is None and self.atari is not None:
            raise errors.EnvError(
                f"environment '{self.env_name}' is not an Atari game and takes no AtariOptions"
            )

    @classmethod
    def configured(cls, env_name: str) -> Task:
        """The task of an id; gin's `atari` says how a game is played. Raises what `Task` does."""
        if registry.atari_game(registry.look_up(env_name)) is None:
            return cls(env_name)
        return cls(env_name, atari.options())

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Task:
        """The task that a policy's card describes by 'env_name' and 'env_options'.

        Where 'env_name' has been replaced, options that the environment does not take are
        ignored, and options that a game lacks are those of `configured`.
        """
        env_name, options = card['env_name'], card.get('env_options')
        if options and registry.atari_game(registry.look_up(env_name)) is not None:
            return cls(env_name, AtariOptions(**options))
        return cls.configured(env_name)

    def card(self) -> dict[str, Any]:
        """What a policy's card says of its task, for JSON; `from_card` reads it."""
        return {
            'env_name': self.env_name,
            'env_options': dataclasses.asdict(self.atari) if self.atari else None,
            'atari_game': self.atari_game,
            'action_meanings': self.action_meanings,
        }

    @functools.cached_property
    def _spec(self) -> EnvSpec:
        return registry.look_up(self.env_name)

    @property
    def atari_game(self) -> str | None:
        """The ROM's name, such as 'space_invaders'; None unless the id is an Atari game."""
        return registry.atari_game(self._spec)

    @functools.cached_property
    def action_meanings(self) -> tuple[str, ...] | None:
        """What each action does, such as 'push left' or 'RIGHTFIRE'; None where it is unknown."""
        if self.atari is not None:
            return self.emulator().action_meanings
        return _ACTION_MEANINGS.get(self.env_name.split('-v')[0])

    @property
    def frames_per_env_step(self) -> int:
        """Emulated frames per environment step; 1 unless the id is an Atari game."""
        return self.atari.frame_skip if self.atari else 1

    @property
    def reward_threshold(self) -> float | None:
        """The mean return at which Gymnasium counts the environment as solved, if it says one."""
        return self._spec.reward_threshold

    def training_envs(self, num_envs: int) -> GymnasiumEnv:
        """`num_envs` (>= 1) copies to learn from, with gin's `load_environment.training_wrappers`.

        Raises:
          EnvError: an environment cannot be made, its spaces are not supported, or `num_envs`
            is not a whole number >= 1.
        """
        return GymnasiumEnv(_for_training(self._vector_env(num_envs)), self.env_name)

    def evaluation_envs(self, num_envs: int) -> GymnasiumEnv:
        """`num_envs` (>= 1) copies without training wrappers; raises what `training_envs` does."""
        return GymnasiumEnv(self._vector_env(num_envs), self.env_name)

    def rendered_env(self) -> GymnasiumEnv:
        """One copy without training wrappers whose `render` gives its picture.

        An Atari game has none: `emulator` shows its screen.

        Raises:
          EnvError: the environment cannot be made to draw.
        """
        assert self.atari is None, f'use emulator() for {self.env_name}'
        return GymnasiumEnv(self._vector_env(1, render_mode='rgb_array'), self.env_name)

    def emulator(self) -> Emulator:
        """The game with its screens in colour; Atari games only."""
        assert self.atari is not None and self.atari_game is not None, self.env_name
        return Emulator(self.atari_game, self.atari)

    def _vector_env(self, num_envs: int, render_mode: str | None = None) -> gym.vector.VectorEnv:
        """Natively vectorised where Gymnasium can, else `num_envs` environments in turn."""
        errors.check_whole_number('num_envs', num_envs, at_least=1)
        if self.atari is not None and self.atari_game is not None:
            return atari.make(self.atari_game, num_envs, self.atari)
        spec = copy.deepcopy(self._spec)
        spec.disable_env_checker = True
        # A native environment takes its time limit as an argument, the others get a wrapper.
        spec.max_episode_steps = spec.max_episode_steps or _DEFAULT_TIME_LIMIT_ENV_STEPS
        native = spec.vector_entry_point is not None and not spec.additional_wrappers
        native = native and not (num_envs == 1 and spec.id in _NOT_NATIVE_ALONE)
        mode = 'vector_entry_point' if native and render_mode is None else 'sync'
        # An environment that draws nothing need not know the argument.
        rendering: dict[str, Any] = {} if render_mode is None else {'render_mode': render_mode}
        checks = [checked.wrapper(self.env_name, num_envs)] if mode == 'sync' else []
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # "CartPole-v0 is out of date": the user's choice
            try:
                return gym.make_vec(
                    spec, num_envs, vectorization_mode=mode, wrappers=checks, **rendering
                )
            except faults.RAISED as e:
                raise faults.cannot_be_made(e, self.env_name) from e
