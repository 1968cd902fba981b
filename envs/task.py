"""What a run plays: one value that makes every environment of the run and describes it."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import gin
import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from agents.ranges import List, OptionalArguments, count, one_of, or_none
from envs import errors, literals, modules, registry, training_wrappers, vectorization, wrapping
from envs.gymnasium_env import GymnasiumEnv
from envs.recipe import Recipe

if registry.HAS_ALE_PY:  # gin has no `atari` without it
    from envs import atari
    from envs.atari import AtariOptions
    from envs.emulator import Emulator

# For environments that set none: a policy may walk in circles, and its evaluation must end.
DEFAULT_TIME_LIMIT_ENV_STEPS = 1_000

MAY_CHANGE = ('task.vectorization',)  # the bindings that may change when a run is resumed

_MAX_EVALUATION_PROCESSES = 16  # a process takes half a second to start, and 50 MB

_ACTION_MEANINGS = {  # from Gymnasium's documentation
    'CartPole': ('push left', 'push right'),
    'Acrobot': ('torque -1', 'no torque', 'torque +1'),
    'MountainCar': ('push left', 'no push', 'push right'),
    'Taxi': ('south', 'north', 'east', 'west', 'pick up', 'drop off'),
    'FrozenLake': ('left', 'down', 'right', 'up'),
}


@gin.configurable('task')
def _options(
    env_kwargs: OptionalArguments = None,
    wrappers: List = (),
    vectorization: Annotated[str, one_of('auto', 'native', 'sync', 'async')] = 'auto',
    max_episode_steps: Annotated[int | None, or_none(count(most=2**31 - 1))] = None,
) -> dict[str, Any]:
    """The fields of `Task` that gin configures."""
    return {
        'env_kwargs': {} if env_kwargs is None else env_kwargs,
        'wrappers': wrappers,
        'vectorization': vectorization,
        'max_episode_steps': max_episode_steps,
    }


@dataclasses.dataclass(frozen=True)
class Task:
    """An environment and how it is played.

    Everything that a run steps, evaluates in or films comes from its task, and a policy's card
    keeps the task for whoever plays the policy later. An Atari id names the game alone; the
    options say how it is played, whatever the id's version. Any other environment without a time
    limit gets one of 1 000 steps (truncation, not termination).

    Raises:
      EnvError: there is no such environment (the nearest are named), its module or a wrapper's
        cannot be imported, it needs ale-py or Box2D, a value does not fit, or `atari` is given
        for another environment or missing for a game.
    """

    env_name: str  # a Gymnasium id, such as 'CartPole-v1'; 'module:Id' or 'module:Class'
    atari: AtariOptions | None = None  # None unless the id is an Atari game
    env_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of the constructor
    wrappers: Sequence[Any] = ()  # around each copy: 'module:Wrapper', or with its arguments
    vectorization: str = 'auto'  # or 'native', 'sync', 'async' (see `envs.vectorization`)
    max_episode_steps: int | None = None  # the time limit; None: the environment's own

    def __post_init__(self) -> None:
        object.__setattr__(self, 'wrappers', wrapping.parsed(self.wrappers))
        self._check_options()
        if self.atari_game is not None and self.atari is None:
            raise errors.EnvError(
                f"environment '{self.env_name}' is an Atari game and needs AtariOptions: "
                'use Task.configured'
            )
        if self.atari_game is None and self.atari is not None:
            raise errors.EnvError(
                f"environment '{self.env_name}' is not an Atari game and takes no AtariOptions"
            )
        for each in self.wrappers:
            each.wrapper()

    def _check_options(self) -> None:
        literals.check_arguments('task.env_kwargs', self.env_kwargs)
        vectorization.check_mode(self.vectorization)
        if self.max_episode_steps is not None:
            errors.check_whole_number('task.max_episode_steps', self.max_episode_steps, at_least=1)
        if self.atari_game is None:
            return
        for name in ('env_kwargs', 'wrappers', 'max_episode_steps'):
            if given := getattr(self, name):
                raise errors.EnvError(
                    f"task.{name} = {given!r}: '{self.env_name}' is an Atari game, which is played "
                    'as its `atari.` options say'
                )

    def __hash__(self) -> int:
        return hash((self.env_name, self.atari))

    @classmethod
    def configured(cls, env_name: str) -> Task:
        """The task of an environment, as gin's `task` and, for a game, `atari` say.

        Raises what `Task` does.
        """
        options = _options()
        if registry.atari_game(registry.look_up(env_name)) is None:
            return cls(env_name, **options)
        return cls(env_name, atari.options(), **options)

    @classmethod
    def from_card(cls, card: Mapping[str, Any], env_name: str | None = None) -> Task:
        """The task that a policy's card describes, as `card` wrote it.

        Args:
          card: the policy's; keys that earlier versions did not write may be missing.
          env_name: another environment, or None. It is wrapped as the card says, for the policy
            knows no other observations, but gets no constructor arguments and no time limit of
            the card's. Atari options that it does not take are ignored, and options that a game
            lacks are those of `configured`.

        Raises what `Task` does.
        """
        own, replaced = card['env_name'], env_name is not None and env_name != card['env_name']
        name = env_name if env_name is not None else own
        if not replaced and ':' not in name and name not in gym.registry and card.get('env_module'):
            modules.imported(card['env_module'], f"environment '{name}'")  # registers it
        if registry.atari_game(registry.look_up(name)) is not None:
            options = card.get('env_options')
            return cls(name, AtariOptions(**options) if options else atari.options())
        kept: dict[str, Any] = {'wrappers': card.get('wrappers') or ()}
        if not replaced:
            kept |= {key: card[key] for key in ('env_kwargs', 'max_episode_steps') if key in card}
            kept['vectorization'] = card.get('vectorization', 'auto')
        return cls(name, **literals.from_json(kept))

    def card(self) -> dict[str, Any]:
        """What a policy's card says of its task, for JSON; `from_card` reads it."""
        module = registry.module_to_import(self.env_name, self._spec)
        wrappers = [list(each) for each in self.wrappers]
        return {
            'env_name': self.env_name,
            'env_options': dataclasses.asdict(self.atari) if self.atari else None,
            'env_module': module,
            'env_package': modules.package_version(module),
            'env_kwargs': literals.to_json('task.env_kwargs', self.env_kwargs),
            'wrappers': literals.to_json('task.wrappers', wrappers),
            'vectorization': self.vectorization,
            'max_episode_steps': self.max_episode_steps,
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
        return None if self.wrappers else _ACTION_MEANINGS.get(self._spec.id.split('-v')[0])

    @property
    def frames_per_env_step(self) -> int:
        """Emulated frames per environment step; 1 unless the id is an Atari game."""
        return self.atari.frame_skip if self.atari else 1

    @property
    def reward_threshold(self) -> float | None:
        """The mean return at which Gymnasium counts the environment as solved, if it says one."""
        return self._spec.reward_threshold

    def for_run(self, num_envs: int, kept: str | None = None) -> tuple[Task, list[str]]:
        """Decides what `vectorization` leaves open, once for a run and all that it leaves.

        Args:
          num_envs: copies to train in.
          kept: what was decided when the run began; None if it begins now.

        Returns:
          The task with its vectorization, and lines about it for the user.

        Raises:
          EnvError: the environment cannot be made.
        """
        if self.atari is not None:
            return self, [str(self.atari)]
        notes: list[str] = []
        if self._time_limit is None:
            notes.append(
                f"'{self.env_name}' registers no time limit: episodes are cut after "
                f'{DEFAULT_TIME_LIMIT_ENV_STEPS:,} steps (task.max_episode_steps says otherwise)'
            )
        if kept not in vectorization.TIMED:  # or it was of another environment
            kept = None
        choice = vectorization.Choice(self._mode or kept or 'auto')
        if choice.mode == 'auto':
            choice = vectorization.choose(self._recipe, num_envs)
        elif choice.mode == 'async' and self.vectorization == 'auto':
            choice = choice._replace(why='the environments step in processes, as they did before')
        notes += [choice.why] if choice.why else []
        return dataclasses.replace(self, vectorization=choice.mode), notes

    @property
    def _mode(self) -> str | None:
        """How copies are stepped; None if a timing has to say."""
        if self.vectorization != 'auto':
            return self.vectorization
        native = vectorization.is_native(self._recipe, bool(self.env_kwargs))
        return 'native' if native else None

    @property
    def _time_limit(self) -> int | None:
        return self.max_episode_steps or self._spec.max_episode_steps

    @functools.cached_property
    def _recipe(self) -> Recipe:
        spec = copy.deepcopy(self._spec)
        spec.kwargs = {**spec.kwargs, **self.env_kwargs}
        spec.max_episode_steps = self._time_limit or DEFAULT_TIME_LIMIT_ENV_STEPS
        return Recipe(self.env_name, spec, tuple(self.wrappers))

    def training_envs(self, num_envs: int) -> GymnasiumEnv:
        """`num_envs` (>= 1) copies to learn from, with gin's `load_environment.training_wrappers`.

        Raises:
          EnvError: an environment cannot be made, its spaces are not supported, a training
            wrapper changes more than rewards, or `num_envs` is not a whole number >= 1.
        """
        return GymnasiumEnv(training_wrappers.wrap(self._vector_env(num_envs)), self.env_name)

    def evaluation_envs(self, num_envs: int) -> GymnasiumEnv:
        """Copies without training wrappers; raises what `training_envs` does.

        Args:
          num_envs: how many, >= 1. In processes there are at most 16: they reset side by side,
            and more would take longer to start than they save.
        """
        return GymnasiumEnv(self._vector_env(num_envs, _MAX_EVALUATION_PROCESSES), self.env_name)

    def rendered_env(self) -> GymnasiumEnv:
        """One copy without training wrappers whose `render` gives its picture.

        An Atari game has none: `emulator` shows its screen.

        Raises:
          EnvError: the environment cannot be made to draw.
        """
        env = self.single_env(render_mode='rgb_array')
        return GymnasiumEnv(gym.vector.SyncVectorEnv([lambda: env]), self.env_name)

    def single_env(self, render_mode: str | None = None) -> gym.Env:
        """One copy as Gymnasium has it, wrapped as the task says; not for Atari games.

        Raises:
          EnvError: the environment cannot be made.
        """
        assert self.atari is None, f'use emulator() for {self.env_name}'
        return self._recipe.make(render_mode)

    def emulator(self) -> Emulator:
        """The game with its screens in colour; Atari games only."""
        assert self.atari is not None and self.atari_game is not None, self.env_name
        return Emulator(self.atari_game, self.atari)

    def _vector_env(self, num_envs: int, max_processes: int | None = None) -> gym.vector.VectorEnv:
        errors.check_whole_number('num_envs', num_envs, at_least=1)
        if self.atari is not None and self.atari_game is not None:
            return atari.make(self.atari_game, num_envs, self.atari)
        mode = self._mode or vectorization.choose(self._recipe, num_envs).mode
        if mode == 'async' and max_processes is not None:
            num_envs = min(num_envs, max_processes)
        return vectorization.make(self._recipe, num_envs, mode)
