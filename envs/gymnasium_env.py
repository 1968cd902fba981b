"""A Gymnasium vector environment seen as a batched TF-Agents `PyEnvironment`.

TF-Agents marks the step that ends an episode as LAST; the step after it starts the next
episode and ignores the action. That is exactly Gymnasium's NEXT_STEP autoreset, so steps map
one to one, and the true last observation is never lost:

    vector step       t        t+1       t+2          t+3
    Gymnasium      running    done    (autoreset)   running
    step_type        MID      LAST      FIRST         MID
    observation      o_t      o_T     first of the    ...
                           (true last)   next episode
    reward           r_t      r_T         0           ...

Termination sets discount 0; truncation (a time limit) leaves it 1, because the future after a
time limit is out of sight, not worthless (Pardo et al. 2018, https://arxiv.org/abs/1712.00378).
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from envs import action_masks, errors

_FIRST, _MID, _LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


class _SeededReset(py_environment.PyEnvironment):
    """Adds `reset(seed=...)`, as Gymnasium has it.

    `PyEnvironment` refuses an object whose class itself defines `reset`; a base class may.
    """

    _seed: int | None = None

    def seed(self, seed: int) -> None:
        """Seeds the next `reset`."""
        self._seed = seed

    def reset(self, seed: int | None = None) -> ts.TimeStep:
        """Starts an episode in every copy.

        The same seed, number of copies and actions give the same episodes.
        """
        if seed is not None:
            self.seed(seed)
        return super().reset()


class GymnasiumEnv(_SeededReset):
    """`num_envs` copies of one Gymnasium environment, stepped together.

    Observation spaces: `Box` (float64 becomes float32), `Discrete` and `MultiBinary`. Action
    spaces: `Discrete`, `MultiDiscrete`, `MultiBinary` and `Box`; actions are the environment's own
    numbers, as the spec's bounds say. Rewards and discounts are float32 [num_envs].

    Where `info` has an 'action_mask', observations are dicts of 'observation' and 'action_mask';
    see `action_masks`.

    A wrapper of the vector environment may tell two things in its step's `info`, each an array
    [num_envs]: 'raw_reward', the reward before the wrapper changed it, and 'discount', which
    replaces 1 - terminated.

    Raises:
      EnvError: the spaces are of another kind, or the vector environment does not use NEXT_STEP
        autoreset.
    """

    def __init__(self, vector_env: gym.vector.VectorEnv, name: str | None = None):
        """Wraps `vector_env`.

        Args:
          vector_env: uses NEXT_STEP autoreset.
          name: the Gymnasium id; by default the one that `vector_env` was made from.
        """
        super().__init__(handle_auto_reset=False)
        mode = vector_env.metadata.get('autoreset_mode')
        if mode != gym.vector.AutoresetMode.NEXT_STEP:
            raise errors.EnvError(f'autoreset mode {mode} is not supported: use NEXT_STEP')
        self._env = vector_env
        made_from = vector_env.spec.id if vector_env.spec else type(vector_env).__name__
        self._name = name or made_from
        self._observation_spec = _observation_spec(vector_env.single_observation_space, self._name)
        self._action_spec = _action_spec(vector_env.single_action_space, self._name)
        self._masks = None
        if action_masks.in_info(vector_env):
            self._masks = action_masks.ActionMasks(
                vector_env.num_envs, vector_env.single_action_space, self._name
            )
            self._observation_spec = {
                action_masks.KEY: self._masks.spec, 'observation': self._observation_spec,
            }  # fmt: skip
        self._done = np.zeros(vector_env.num_envs, bool)
        self._raw_reward = np.zeros(vector_env.num_envs, np.float32)

    @property
    def batched(self) -> bool:
        return True

    @property
    def batch_size(self) -> int:
        return self._env.num_envs

    @property
    def name(self) -> str:
        """The Gymnasium id."""
        return self._name

    @property
    def raw_reward(self) -> np.ndarray:
        """float32 [num_envs]: the environment's own rewards in the last step, for reports.

        The agent learns from `TimeStep.reward` instead, which differs where a wrapper adds noise
        or clips. Zeros after `reset` and for copies whose step started an episode.
        """
        return self._raw_reward

    def observation_spec(self) -> array_spec.ArraySpec:
        return self._observation_spec

    def action_spec(self) -> array_spec.BoundedArraySpec:
        return self._action_spec

    def _reset(self) -> ts.TimeStep:
        observation, info = self._env.reset(seed=self._seed)
        self._seed = None
        n = self._env.num_envs
        self._done = np.zeros(n, bool)
        self._raw_reward = np.zeros(n, np.float32)
        return ts.TimeStep(
            step_type=np.full(n, _FIRST, np.int32),
            reward=np.zeros(n, np.float32),
            discount=np.ones(n, np.float32),
            observation=self._seen(observation, info, ~self._done, self._done),
        )

    def _step(self, action: np.ndarray) -> ts.TimeStep:
        observation, reward, terminated, truncated, info = self._env.step(action)
        starts = self._done  # these copies ignored the action and started an episode
        self._done = terminated | truncated
        reward = reward.astype(np.float32)
        self._raw_reward = np.asarray(info.get('raw_reward', reward), np.float32)
        # A lost life may end the learner's future while the episode continues.
        discount = info.get('discount', 1.0 - terminated)
        return ts.TimeStep(
            step_type=np.where(starts, _FIRST, np.where(self._done, _LAST, _MID)).astype(np.int32),
            reward=reward,
            discount=np.asarray(discount, np.float32),
            observation=self._seen(observation, info, starts, self._done),
        )

    def _seen(
        self, observation: np.ndarray, info: dict[str, Any], starts: np.ndarray, ends: np.ndarray
    ) -> Any:
        """The time step's observation; `starts` and `ends` bool [num_envs] say where it stands."""
        if self._masks is None:
            if action_masks.KEY in info and self._action_spec.dtype.kind in 'iu':
                raise errors.EnvError(
                    f"environment '{self._name}' gives info['{action_masks.KEY}'] in some states "
                    'and gave none in its first: give it from reset, and from each step'
                )
            return np.asarray(observation, self._observation_spec.dtype)
        mask = self._masks.checked(self._masks.from_info(info), starts, ends)
        dtype = self._observation_spec['observation'].dtype
        return {action_masks.KEY: mask, 'observation': np.asarray(observation, dtype)}

    def render(self, mode: str = 'rgb_array') -> tuple[Any, ...] | None:
        """The copies' pictures, uint8 [height, width, 3] each; see `Task.rendered_env`."""
        del mode  # only rgb_array is supported
        return self._env.render()

    def close(self) -> None:
        self._env.close()


def _observation_spec(space: gym.Space, env_name: str) -> array_spec.ArraySpec:
    if isinstance(space, gym.spaces.Box):
        dtype = np.float32 if space.dtype == np.float64 else space.dtype
        with np.errstate(over='ignore'):  # float64's bounds become float32 infinities
            low, high = space.low.astype(dtype), space.high.astype(dtype)
        return array_spec.BoundedArraySpec(space.shape, dtype, low, high, name='observation')
    if isinstance(space, gym.spaces.Discrete):
        first: Any = space.start  # a NumPy integer
        last = first + _num_values(space) - 1
        return array_spec.BoundedArraySpec((), space.dtype, first, last, name='observation')
    if isinstance(space, gym.spaces.MultiBinary):
        return array_spec.BoundedArraySpec(space.shape, space.dtype, 0, 1, name='observation')
    raise errors.EnvError(
        f"environment '{env_name}' has the observation space {space}: "
        'Box, Discrete and MultiBinary are supported'
    )


def _num_values(space: gym.spaces.Discrete) -> int:
    n: Any = space.n  # a NumPy integer
    return int(n)


def _action_spec(space: gym.Space, env_name: str) -> array_spec.BoundedArraySpec:
    if isinstance(space, gym.spaces.Discrete):
        first: Any = space.start  # a NumPy integer
        last = first + _num_values(space) - 1
        return array_spec.BoundedArraySpec((), space.dtype, first, last, name='action')
    if isinstance(space, gym.spaces.MultiDiscrete):
        last = space.start + space.nvec - 1
        return array_spec.BoundedArraySpec(
            space.shape, space.dtype, space.start, last, name='action'
        )
    if isinstance(space, gym.spaces.MultiBinary):
        return array_spec.BoundedArraySpec(space.shape, space.dtype, 0, 1, name='action')
    if isinstance(space, gym.spaces.Box):
        return array_spec.BoundedArraySpec(
            space.shape, space.dtype, space.low, space.high, name='action'
        )
    raise errors.EnvError(
        f"environment '{env_name}' has the action space {space}: Discrete, MultiDiscrete, "
        'MultiBinary and Box are supported'
    )
