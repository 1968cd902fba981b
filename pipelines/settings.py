"""Settings as values: what gin's `train_ddqn.*` and `train_reinforce.*` configure.

Each field states its meaning, unit and range, and settings out of range cannot be created.
Nothing here imports TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import gin

from agents.ranges import (
    Classes,
    Count,
    Name,
    Names,
    OptionalCount,
    OptionalMaker,
    OptionalName,
    OptionalOptimizer,
    OptionalSwitch,
    Share,
    Switch,
    count,
    number,
    one_of,
    or_none,
)
from pipelines import errors
from pipelines.errors import UserError

X_AXES = {'env_steps': 'environment steps', 'episodes': 'training episodes'}  # and their labels
X_AXIS = one_of('env_steps', 'episodes')
Envs = Annotated[int, count(most=4_096)]
Episodes = Annotated[int, count(most=1_000_000)]


def check_x_axis(name: str, value: Any) -> None:
    """Raises a UserError that names the parameter if `value` is not one of `X_AXES`."""
    errors.check(name, value, X_AXIS)


def may_change(default: Any) -> Any:
    """A field whose value may change when a run is resumed."""
    return dataclasses.field(default=default, metadata={'may_change': True})


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSchedule:
    """The length of a run, its intervals, and how its policy is evaluated.

    All of it may change when a run is resumed.
    """

    unit: str  # of the next four: 'env_steps' or 'episodes'
    length: int
    eval_interval: int
    checkpoint_interval: int
    log_interval: int
    num_eval_episodes: int
    num_selection_episodes: int
    eval_epsilon: float = 0.0
    video_interval_episodes: int | None = None  # None: no films
    num_episodes: int | None = None  # if the unit is env steps: the run also ends after so many
    log_every_episode: bool = False
    x_axis: str = 'env_steps'  # of the run's pictures: one of `X_AXES`
    callbacks: Sequence[Any] = ()  # see `runs.callbacks`

    @property
    def unit_in_words(self) -> str:
        """'env steps' or 'episodes'."""
        return self.unit.replace('_', ' ')

    @property
    def ends(self) -> str:
        """All that can end the run; a callback's stop counts for as long as it is the same."""
        return f'{self.length} {self.unit}, {self.num_episodes} episodes, {list(self.callbacks)}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Settings:
    """What the settings of both programs share."""

    optimizer: OptionalOptimizer = None  # of your own, such as @my_optimizer; None: `adam`
    log_every_episode: Switch = may_change(False)  # print a line for each training episode
    x_axis: Annotated[str, X_AXIS] = may_change(
        'env_steps'
    )  # of curve.png and metrics.png: or 'episodes'
    warm_start: OptionalName = (
        None  # directory of a run or of a policy whose weights it starts from
    )
    warm_start_reinitialise: Names = ()  # weights that do not, by name, prefix or pattern
    callbacks: Classes = may_change(())  # told about the run (see `runs.callbacks`)

    def __post_init__(self) -> None:
        errors.check_fields(self.name(), self)
        if self.warm_start_reinitialise and self.warm_start is None:
            raise UserError(
                f'{self.name()}.warm_start_reinitialise = {list(self.warm_start_reinitialise)}: '
                f'there is nothing to leave out without {self.name()}.warm_start'
            )

    @classmethod
    def name(cls) -> str:
        """The name of the configurable, as in bindings."""
        raise NotImplementedError

    @classmethod
    def changeable(cls) -> list[str]:
        """The bindings that may change when a run is resumed."""
        fields = dataclasses.fields(cls)
        return [f'{cls.name()}.{f.name}' for f in fields if f.metadata.get('may_change')]


@gin.configurable('train_ddqn')
@dataclasses.dataclass(frozen=True, kw_only=True)
class DdqnSettings(_Settings):
    """Settings of Q-learning; a step is one action in one environment, frame skip included."""

    env_name: Name = 'CartPole-v1'  # an id, 'module:Id' or 'module:Class'; discrete actions
    num_env_steps: Count = may_change(50_000)  # in the whole run at most, not counting resets
    num_episodes: OptionalCount = may_change(None)  # or: the run also ends after so many
    num_envs: Envs = 16  # environments stepped together
    double: Switch = True  # choose the bootstrap action with the online network
    dueling: Switch = True  # value and advantage streams instead of one head
    distribution: OptionalName = None  # over returns: 'categorical' (C51); None: only the mean
    backup: Name = 'max'  # how targets are made: 'max' over actions, or 'munchausen'
    munchausen: Switch = False  # the same as backup = 'munchausen'
    noisy: Switch = False  # explore by noise on the weights; off in evaluations and exports
    network: OptionalMaker = None  # a whole Q-network of your own, such as @my_network
    target: Annotated[str, one_of('none', 'soft', 'hard')] = (
        'hard'  # target network: 'none', 'soft' or 'hard' (see `QLearningAgent`)
    )
    n_step: Annotated[int, count(most=1_000)] = 1  # rewards summed before bootstrapping
    gamma: Share = 0.99  # discount factor per step
    prioritised: Switch = False  # sample in proportion to TD errors (see `Prioritisation`)
    batch_size: Annotated[int, count(most=65_536)] = 64  # transitions per train step
    train_steps_per_env_step: Annotated[float, number(above=0.0, most=1_000.0)] = (
        1.0  # exact, from the start of training on
    )
    max_train_steps_per_turn: Annotated[int, count(most=128)] = 128  # before collecting continues
    min_replay_transitions: Count = 1_000  # in replay before training starts
    frame_stack: Annotated[int | None, or_none(count(most=64))] = (
        None  # observations per stack; None: no stacks
    )
    fuse_train_steps: OptionalSwitch = None  # with XLA; None: unless the network convolves
    overlap: Switch = False  # collect and train at once; the acting policy lags by a turn
    eval_epsilon: Share = may_change(0.0)  # share of random actions in every evaluation
    num_eval_episodes: Episodes = may_change(100)  # in the final evaluation, on fresh seeds
    num_selection_episodes: Episodes = may_change(20)  # in each periodic evaluation
    eval_interval_env_steps: Count = may_change(1_000)  # between periodic evaluations
    checkpoint_interval_env_steps: Count = may_change(10_000)  # the most that a kill can cost
    log_interval_env_steps: Count = may_change(1_000)  # between rows of progress.csv
    video_interval_episodes: OptionalCount = may_change(None)  # between films; None: no films
    reuse_replay: OptionalName = None  # directory of another run, whose replay fills this one's

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reuse_replay is None and self.min_replay_transitions >= self.num_env_steps:
            raise UserError(
                f'train_ddqn.min_replay_transitions = {self.min_replay_transitions}: training '
                f'would never start within num_env_steps = {self.num_env_steps}'
            )

    @classmethod
    def name(cls) -> str:
        return 'train_ddqn'

    def schedule(self) -> RunSchedule:
        """The run's length and intervals in env steps, and its evaluations."""
        return RunSchedule(
            unit='env_steps',
            length=self.num_env_steps,
            eval_interval=self.eval_interval_env_steps,
            checkpoint_interval=self.checkpoint_interval_env_steps,
            log_interval=self.log_interval_env_steps,
            num_eval_episodes=self.num_eval_episodes,
            num_selection_episodes=self.num_selection_episodes,
            eval_epsilon=self.eval_epsilon,
            video_interval_episodes=self.video_interval_episodes,
            num_episodes=self.num_episodes,
            log_every_episode=self.log_every_episode,
            x_axis=self.x_axis,
            callbacks=self.callbacks,
        )


@gin.configurable('train_reinforce')
@dataclasses.dataclass(frozen=True, kw_only=True)
class ReinforceSettings(_Settings):
    """Settings of policy gradients; an update uses one episode of each environment."""

    env_name: Name = 'CartPole-v1'  # an id, 'module:Id' or 'module:Class'
    num_episodes: Count = may_change(4_000)  # training episodes in the whole run
    num_envs: Envs = 16  # environments stepped together
    baseline: Annotated[str, one_of('none', 'episode', 'batch', 'value')] = (
        'value'  # 'none', 'episode', 'batch' or 'value' (see `agents.reinforce`)
    )
    gamma: Share = 0.99  # discount factor per env step
    num_eval_episodes: Episodes = may_change(100)  # in the final evaluation, on fresh seeds
    num_selection_episodes: Episodes = may_change(20)  # in each periodic evaluation
    eval_interval_episodes: Count = may_change(200)  # between periodic evaluations
    checkpoint_interval_episodes: Count = may_change(400)  # the most that a kill can cost
    log_interval_episodes: Count = may_change(100)  # between rows of progress.csv
    video_interval_episodes: OptionalCount = may_change(None)  # between films; None: no films

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_envs > self.num_episodes:
            raise UserError(
                f'train_reinforce.num_envs = {self.num_envs}: an update needs one episode of each '
                f'environment, but num_episodes = {self.num_episodes}'
            )

    @classmethod
    def name(cls) -> str:
        return 'train_reinforce'

    def schedule(self) -> RunSchedule:
        """The run's length and intervals in episodes, and its evaluations."""
        return RunSchedule(
            unit='episodes',
            length=self.num_episodes,
            eval_interval=self.eval_interval_episodes,
            checkpoint_interval=self.checkpoint_interval_episodes,
            log_interval=self.log_interval_episodes,
            num_eval_episodes=self.num_eval_episodes,
            num_selection_episodes=self.num_selection_episodes,
            video_interval_episodes=self.video_interval_episodes,
            log_every_episode=self.log_every_episode,
            x_axis=self.x_axis,
            callbacks=self.callbacks,
        )
