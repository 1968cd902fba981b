"""A Gymnasium vector environment seen as a batched TF-Agents `PyEnvironment`.

What TF-Agents calls LAST is the step that ends an episode; the step after it
starts the next one and ignores the action. That is exactly Gymnasium's NEXT_STEP
autoreset, so rows map one to one, and the true last observation is never lost:

    vector step       t        t+1       t+2          t+3
    Gymnasium      running    done    (autoreset)   running
    step_type        MID      LAST      FIRST         MID
    observation      o_t      o_T     first of the    ...
                           (true last)   next episode
    reward           r_t      r_T         0           ...

Termination sets discount 0; truncation (a time limit) leaves it 1, because the
future after a time limit is cut from view, not worth nothing (Pardo et al. 2018).
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from envs import errors

_FIRST, _MID, _LAST = (int(s) for s in (ts.StepType.FIRST, ts.StepType.MID, ts.StepType.LAST))


class _SeededReset(py_environment.PyEnvironment):
    """`reset(seed=...)`, as in Gymnasium.

    PyEnvironment forbids its direct subclasses' leaves to define `reset`, hence this class.
    """

    _seed: int | None = None

    def seed(self, seed: int) -> None:
        """Seeds the next `reset`."""
        self._seed = seed

    def reset(self, seed: int | None = None) -> ts.TimeStep:
        """Starts an episode in every copy.

        The same seed and the same number of copies give the same episodes for the
        same actions.
        """
        if seed is not None:
            self.seed(seed)
        return super().reset()


class GymnasiumEnv(_SeededReset):
    """`num_envs` copies of one Gymnasium environment, stepped together.

    Observations: `Box` (float64 becomes float32), `Discrete` and `MultiBinary`. Actions:
    `Discrete` (the spec counts from 0 whatever the space's `start`) and `Box`.
    Rewards and discounts are float32 [num_envs].

    Raises:
      EnvError: the spaces are of another kind, or the vector environment does not
        use NEXT_STEP autoreset.
    """

    def __init__(self, vector_env: gym.vector.VectorEnv, name: str | None = None, options=None):
        """Wraps `vector_env`.

        Args:
          vector_env: uses NEXT_STEP autoreset.
          name: the Gymnasium id; by default the one that `vector_env` was made by.
          options: an `AtariOptions` where the environment is an Atari game.
        """
        super().__init__(handle_auto_reset=False)
        self.options = options
        mode = vector_env.metadata.get('autoreset_mode')
        if mode != gym.vector.AutoresetMode.NEXT_STEP:
            raise errors.EnvError(f'autoreset mode {mode} is not supported: use NEXT_STEP')
        self._env = vector_env
        made_by = vector_env.spec.id if vector_env.spec else type(vector_env).__name__
        self._name = name or made_by
        self._observation_spec = _observation_spec(vector_env.single_observation_space, self._name)
        self._action_spec = _action_spec(vector_env.single_action_space, self._name)
        self._action_start = getattr(vector_env.single_action_space, 'start', 0)
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
        """float32 [num_envs]: the last step's reward as the task defines it.

        Reports use it. It differs from the time step's reward where a wrapper changes
        what the agent learns from (noise, clipping) and leaves the original in
        `info['raw_reward']`.
        """
        return self._raw_reward

    @property
    def frames_per_env_step(self) -> int:
        """Emulated frames per environment step; 1 where nothing is skipped."""
        return self.options.frame_skip if self.options else 1

    def observation_spec(self):
        return self._observation_spec

    def action_spec(self):
        return self._action_spec

    def _reset(self) -> ts.TimeStep:
        observation, _ = self._env.reset(seed=self._seed)
        self._seed = None
        n = self._env.num_envs
        self._done = np.zeros(n, bool)
        self._raw_reward = np.zeros(n, np.float32)
        return ts.TimeStep(
            step_type=np.full(n, _FIRST, np.int32),
            reward=np.zeros(n, np.float32),
            discount=np.ones(n, np.float32),
            observation=self._cast(observation),
        )

    def _step(self, action) -> ts.TimeStep:
        if self._action_start:
            action = action + self._action_start
        observation, reward, terminated, truncated, info = self._env.step(action)
        reset = self._done  # these copies have just started a new episode
        self._done = terminated | truncated
        reward = reward.astype(np.float32)
        self._raw_reward = np.asarray(info.get('raw_reward', reward), np.float32)
        return ts.TimeStep(
            step_type=np.where(reset, _FIRST, np.where(self._done, _LAST, _MID)).astype(np.int32),
            reward=reward,
            # A wrapper may end the learner's future where the episode goes on (a lost life).
            discount=np.asarray(info.get('discount', 1.0 - terminated), np.float32),
            observation=self._cast(observation),
        )

    def _cast(self, observation):
        return np.asarray(observation, self._observation_spec.dtype)

    def render(self, mode: str = 'rgb_array'):
        """uint8 frames, one per copy (the environment must have been loaded for it)."""
        del mode
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
        start: Any = space.start
        last = start + _num_values(space) - 1
        return array_spec.BoundedArraySpec((), space.dtype, start, last, name='observation')
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
        return array_spec.BoundedArraySpec(
            (), space.dtype, 0, _num_values(space) - 1, name='action'
        )
    if isinstance(space, gym.spaces.Box):
        return array_spec.BoundedArraySpec(
            space.shape, space.dtype, space.low, space.high, name='action'
        )
    raise errors.EnvError(
        f"environment '{env_name}' has the action space {space}: Discrete and Box are supported"
    )
