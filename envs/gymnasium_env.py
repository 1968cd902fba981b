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

from envs import action_masks, faults, infos
from envs.actions import Actions
from envs.errors import EnvError
from envs.fitting import Misfit
from envs.observations import Observations, Spec
from envs.spaces import in_short

_FIRST, _MID = np.int32(ts.StepType.FIRST), np.int32(ts.StepType.MID)


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

    Observations are one array, or a flat dict of arrays where the space is a `Dict` or a `Tuple`
    (see `spaces`; `observations` says what becomes of each dtype). Action spaces: `Discrete`,
    `MultiDiscrete`, `MultiBinary` and `Box` (float64 becomes float32); actions are the
    environment's own numbers, as the spec's bounds say. Rewards and discounts are float32
    [num_envs].

    Where an observation or `info` has an 'action_mask', observations are dicts with this part;
    see `action_masks`.

    The border: what the environment or a wrapper gives is copied once, and what it is given is a
    copy too, so both sides may write into their arrays later. Actions outside their `Box` are
    clipped before the environment gets them, which a note says once; whoever chose them keeps
    them as they were. It is an `EnvError` if the environment raises, if an observation does not
    fit its space, or if a number is not finite. Numbers outside the bounds of their `Box` are
    common: a note says so once.

    A vector wrapper that changes rewards may tell what they were, in a step's `info`, under the
    name `infos.RAW_REWARD`: an array [num_envs]. Where it does not, the raw reward is the one
    below the training wrappers (`infos.RewardBelow`), or the environment's own if there are none.
    Under `infos.DISCOUNT` a wrapper may tell what replaces 1 - terminated. Nothing else is read.

    Raises:
      EnvError: in the constructor: the spaces are of another kind, or the vector environment does
        not use NEXT_STEP autoreset. In `reset`, `step` and `render`: a fault of the environment.
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
            raise EnvError(f'autoreset mode {mode} is not supported: use NEXT_STEP')
        self._env = vector_env
        if isinstance(vector_env, gym.vector.SyncVectorEnv | gym.vector.AsyncVectorEnv):
            vector_env.copy = False  # it would be the second copy, and by a slow deepcopy
        made_from = vector_env.spec.id if vector_env.spec else type(vector_env).__name__
        self._name, self._num_envs = name or made_from, vector_env.num_envs
        observation_space = vector_env.single_observation_space
        self._observations = Observations(observation_space, self._num_envs, self._name)
        action_space = vector_env.single_action_space
        self._actions = Actions(action_space, self._name)
        self._spec, self._masks = self._observations.spec, None
        in_observation = isinstance(self._spec, dict) and action_masks.KEY in self._spec
        self._mask_in_info = not in_observation and action_masks.in_info(vector_env)
        if in_observation or self._mask_in_info:
            self._masks = action_masks.ActionMasks(self._num_envs, action_space, self._name)
            parts = self._spec if isinstance(self._spec, dict) else {'observation': self._spec}
            self._spec = dict(sorted({**parts, action_masks.KEY: self._masks.spec}.items()))
        self._reward_below = infos.reward_below(vector_env)
        self._done = np.zeros(self._num_envs, bool)
        self._raw_reward = np.zeros(self._num_envs, np.float32)
        self._moments = faults.Moments(self._name, self._num_envs)

    @property
    def batched(self) -> bool:
        return True

    @property
    def batch_size(self) -> int:
        return self._num_envs

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

    def observation_spec(self) -> Spec:
        return self._spec

    def action_spec(self) -> array_spec.BoundedArraySpec:
        return self._actions.spec

    def try_out(self) -> None:
        """Resets the copies and steps them once: what is wrong at once is found before a run.

        Raises:
          EnvError: a fault of the environment.
        """
        observation = self.reset(seed=0).observation
        spec, shape = self.action_spec(), (self._num_envs, *self.action_spec().shape)
        action = np.zeros(shape, spec.dtype)
        if spec.dtype.kind != 'f':
            action += spec.minimum
        if self._masks is not None:
            legal = self._masks.first_legal(observation[action_masks.KEY])
            action += legal.reshape(shape).astype(spec.dtype)
        self.step(action)

    def _reset(self) -> ts.TimeStep:
        n, seed, self._seed = self._num_envs, self._seed, None
        self._moments.reset(anew=seed is not None)
        self._done = np.zeros(n, bool)
        self._raw_reward = np.zeros(n, np.float32)
        try:
            observation, info = self._env.reset(seed=seed)
            return ts.TimeStep(
                step_type=np.full(n, _FIRST, np.int32),
                reward=np.zeros(n, np.float32),
                discount=np.ones(n, np.float32),
                observation=self._seen(observation, info, ~self._done),
            )
        except faults.RAISED as e:
            raise self._fault(e) from e

    def _step(self, action: np.ndarray) -> ts.TimeStep:
        starts = self._done  # these copies ignore the action and start an episode
        self._moments.step(starts)
        try:
            return self._time_step(starts, self._env.step(self._actions.copied(action)))
        except faults.RAISED as e:
            raise self._fault(e) from e

    def _time_step(self, starts: np.ndarray, result: tuple) -> ts.TimeStep:
        if not isinstance(result, tuple) or len(result) != 5 or not isinstance(result[4], dict):
            raise Misfit(
                'step must return observation, reward, terminated, truncated, info (a dict)'
            )
        observation, reward, terminated, truncated, info = result
        self._done = np.logical_or(terminated, truncated)
        goes_on = np.logical_not(terminated)
        for flags in (self._done, goes_on):
            if flags.dtype != bool or flags.shape != (self._num_envs,):
                raise Misfit('terminated and truncated must be bool [num_envs]')
        observation = self._seen(observation, info, starts)
        below = reward if self._reward_below is None else self._reward_below.reward
        raw_reward = infos.told(info, infos.RAW_REWARD, below)
        self._raw_reward = self._numbers(raw_reward, 'the reward')
        if raw_reward is reward:
            reward = self._raw_reward
        else:
            reward = self._numbers(reward, "the training wrappers' reward")
        # A lost life may end the learner's future while the episode continues.
        discount = infos.told(info, infos.DISCOUNT, goes_on)
        if discount is goes_on:
            discount = goes_on.astype(np.float32)
        else:
            discount = self._numbers(discount, 'the discount')
        step_type = self._done + _MID  # LAST follows MID
        if np.count_nonzero(starts):
            step_type[starts] = _FIRST
        return ts.TimeStep(
            step_type=step_type,
            reward=reward,
            discount=discount,
            observation=observation,
        )

    def _seen(self, given: Any, info: dict[str, Any], starts: np.ndarray) -> Any:
        """The arrays of an observation, as they are in the spec; raises a Misfit.

        Copies that `starts`, bool [num_envs], marks are in the first state of an episode.
        """
        arrays = self._observations.copied(given)
        note = self._observations.check(arrays)
        if note is not None:
            faults.say_once(f"environment '{self._name}': {note}, and is used as it is")
        if self._masks is None:
            if action_masks.KEY in info and self.action_spec().dtype.kind in 'iu':
                raise EnvError(
                    f"environment '{self._name}' gives info['{action_masks.KEY}'] in some states "
                    'and gave none in its first: give it from reset, and from each step'
                )
            return arrays
        parts = arrays if isinstance(arrays, dict) else {'observation': arrays}
        mask = self._masks.from_info(info) if self._mask_in_info else parts[action_masks.KEY]
        return {**parts, action_masks.KEY: self._masks.checked(mask, starts, self._done)}

    def _numbers(self, given: Any, what: str) -> np.ndarray:
        """A copy of a number for each copy of the environment, float32 [num_envs].

        Raises:
          Misfit: they are of another form, or not finite.
        """
        try:
            array = np.array(given, np.float32)
        except (TypeError, ValueError):
            raise Misfit(f'{what} is {in_short(given)}') from None
        if array.shape != (self._num_envs,):
            raise Misfit(f'{what} has the shape {array.shape}, not {(self._num_envs,)}')
        finite = np.isfinite(array)
        if np.count_nonzero(finite) < self._num_envs:
            copy = int(np.argmin(finite))
            raise Misfit(f'{what} is {array[copy]}', copy)
        return array

    def _fault(self, error: BaseException) -> EnvError:
        """The error for what `reset` or `step` has raised."""
        where = self._moments.now(error.copy if isinstance(error, Misfit) else None)
        if isinstance(error, Misfit):
            return EnvError(f'{where}: {error}')
        return faults.raised(error, where)

    def render(self, mode: str = 'rgb_array') -> tuple[Any, ...] | None:
        """The copies' pictures, uint8 [height, width, 3] each; see `Task.rendered_env`."""
        del mode  # only rgb_array is supported
        try:
            return self._env.render()
        except faults.RAISED as e:
            raise faults.raised(e, f"environment '{self._name}', in `render`") from e

    def close(self) -> None:
        self._env.close()
