"""Builds a run from its settings: environments, agent, experience and loops.

The programs, the benchmarks and the learning tests all use `assemble_ddqn` and
`assemble_reinforce`. gin configures the rest: `QLearningAgent`, `Replay`, torsos, `adam`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import tensorflow as tf
from tf_agents.specs import tensor_spec

from agents import actor_critic_network, conv_torso, masks, optimizers, policies, reinforce
from agents.ddqn import QLearningAgent
from agents.errors import ConfigError
from agents.prioritisation import Prioritisation
from agents.q_variants import Variant
from envs.gymnasium_env import GymnasiumEnv
from envs.task import Task
from pipelines import suitability
from pipelines.errors import UserError
from pipelines.experience.episode_queue import EpisodeQueue
from pipelines.experience.minibatches import TransitionShape
from pipelines.experience.replay import Replay
from pipelines.loops.collector import Collector
from pipelines.loops.episodes import EpisodeCollector, EpisodeLearner
from pipelines.loops.learner import Learner
from pipelines.loops.rollout import EpisodeStatistics
from pipelines.loops.turns import CollectAndTrain, TrainRatio
from pipelines.protocols import StepListener
from pipelines.runs import act
from pipelines.runs.training import Training
from pipelines.settings import DdqnSettings, ReinforceSettings


@dataclasses.dataclass(frozen=True)
class DdqnParts:
    """The parts of a Q-learning run; enter `replay` before collecting or training."""

    training: Training
    agent: QLearningAgent
    replay: Replay
    collector: Collector
    learner: Learner
    ratio: TrainRatio
    collect_and_train: CollectAndTrain
    notes: Sequence[str]  # lines about the agent, printed at the start
    begins: str  # a line for the start of a run that has not trained yet
    resolved: Mapping[str, str]  # values that depend on this machine


def assemble_ddqn(
    settings: DdqnSettings,
    seed: int,
    replay_dir: pathlib.Path,
    *,
    listener: StepListener | None = None,
    optimizer: tf.keras.optimizers.Optimizer | None = None,
    vectorization: str | None = None,
) -> DdqnParts:
    """Builds all parts of a Q-learning run.

    Args:
      settings: the run's settings.
      seed: seed of the initial weights.
      replay_dir: directory of the replay's log; nothing is written before `replay` is entered.
      listener: receives every training step, instead of the episode statistics.
      optimizer: replaces the one that the settings ask for.
      vectorization: how the run stepped its environments before; None for a new run.

    Raises:
      UserError, ConfigError, EnvError: a value is invalid; the message names it.
    """
    variant = _variant(settings)
    tf.keras.utils.set_random_seed(seed)
    task, envs, notes = _make_envs(settings, vectorization)
    ratio = TrainRatio(
        settings.train_steps_per_env_step, settings.num_envs, settings.max_train_steps_per_turn
    )
    env_steps = tf.Variable(0, dtype=tf.int64, name='env_steps')
    with _naming(settings):
        agent, best_policy = variant.make_agent(
            envs.time_step_spec(),
            envs.action_spec(),
            env_steps,
            frame_stack=settings.frame_stack,
            acts_on_a_copy=settings.overlap,
            optimizer=optimizer or settings.optimizer,
        )
    act.check_names(agent.time_step_spec.observation, best_policy.policy_state_spec)
    replay = _make_replay(settings, agent, env_steps, ratio, replay_dir)
    statistics = EpisodeStatistics(settings.num_envs)
    collector = Collector(envs, agent.collect_policy, replay, listener or statistics, env_steps)
    learner = Learner(
        agent,
        replay,
        batch_size=settings.batch_size,
        max_train_steps=ratio.max_train_steps,
        fuse=_is_fused(settings, agent),
    )
    collect_and_train = CollectAndTrain(
        collector,
        learner,
        ratio,
        agent,
        replay,
        env_steps,
        min_replay_transitions=settings.min_replay_transitions,
        overlap=settings.overlap,
    )
    training = Training(
        task=task,
        envs=envs,
        agent=agent,
        agent_name=variant.name(settings.prioritised, envs.action_spec()),
        gamma=settings.gamma,
        exports={'policy': best_policy},
        experience=replay,
        env_steps=env_steps,
        statistics=statistics,
        metrics=('loss', 'mean_q', 'max_policy_lag_train_steps'),
        gauges=_gauges(agent, replay),
        parts={'collect_and_train': collect_and_train},
        notes=notes,
    )
    return DdqnParts(
        training, agent, replay, collector, learner, ratio, collect_and_train,
        notes=[*variant.notes(agent), *suitability.of_switches(settings, task)],
        begins=suitability.when_training_begins(replay.blocks, ratio),
        resolved={'dtype policy': agent.q_network.dtype_policy_name},
    )  # fmt: skip


def _make_envs(
    settings: DdqnSettings | ReinforceSettings, vectorization: str | None
) -> tuple[Task, GymnasiumEnv, list[str]]:
    """The task, its training environments, and lines about them."""
    task, notes = Task.configured(settings.env_name).for_run(settings.num_envs, vectorization)
    envs = task.training_envs(settings.num_envs)
    notes = [*notes, *suitability.check_task(settings, task, envs)]
    envs.try_out()
    return task, envs, notes


def _gauges(agent: QLearningAgent, replay: Replay) -> dict[str, Callable[[], tf.Tensor]]:
    gauges = {'epsilon': agent.epsilon}
    if replay.prioritisation is not None:
        gauges['beta'] = replay.prioritisation.beta
    return gauges


def _variant(settings: DdqnSettings) -> Variant:
    variant = Variant(
        double=settings.double,
        dueling=settings.dueling,
        target=settings.target,
        distribution=settings.distribution,
        backup='munchausen' if settings.munchausen else settings.backup,
        noisy=settings.noisy,
        network=settings.network,
    )
    with _naming(settings):
        variant.check(settings.n_step)
    return variant


@contextlib.contextmanager
def _naming(settings: DdqnSettings | ReinforceSettings) -> Iterator[None]:
    """Prefixes an agent's error, which names a bare switch, with the program's name."""
    try:
        yield
    except ConfigError as e:
        if not re.match(r'\w+ = ', str(e)):
            raise
        raise UserError(f'{settings.name()}.{e}') from e


def _is_fused(settings: DdqnSettings, agent: QLearningAgent) -> bool:
    """Whether XLA compiles the train loop, which makes convolutions on CPUs slower."""
    if settings.fuse_train_steps is not None:
        return settings.fuse_train_steps
    return not conv_torso.convolves(agent.q_network)


def _make_replay(
    settings: DdqnSettings,
    agent: QLearningAgent,
    env_steps: tf.Variable,
    ratio: TrainRatio,
    replay_dir: pathlib.Path,
) -> Replay:
    replay = Replay(
        agent.collect_data_spec,
        settings.num_envs,
        TransitionShape(settings.n_step, settings.gamma, settings.frame_stack),
        ratio.max_train_steps * settings.batch_size,
        replay_dir,
        Prioritisation(env_steps) if settings.prioritised else None,
        settings.min_replay_transitions,
    )
    suitability.check_replay(settings, replay, ratio)
    return replay


@dataclasses.dataclass(frozen=True)
class ReinforceParts:
    """The parts of a policy-gradient run; enter `queue` before collecting or training."""

    training: Training
    agent: reinforce.PolicyGradientAgent
    envs: GymnasiumEnv
    queue: EpisodeQueue
    collector: EpisodeCollector
    learner: EpisodeLearner


def assemble_reinforce(
    settings: ReinforceSettings, seed: int, vectorization: str | None = None
) -> ReinforceParts:
    """Builds all parts of a policy-gradient run.

    Args:
      settings: the run's settings.
      seed: seed of the initial weights.
      vectorization: how the run stepped its environments before; None for a new run.

    Raises:
      UserError, ConfigError, EnvError: a value is invalid; the message names it.
    """
    tf.keras.utils.set_random_seed(seed)
    task, envs, notes = _make_envs(settings, vectorization)
    env_steps = tf.Variable(0, dtype=tf.int64, name='env_steps')
    with _naming(settings):
        agent, exports = _make_policy_gradient_agent(envs, settings)
    queue = EpisodeQueue(agent.collect_data_spec, settings.num_envs)
    statistics = EpisodeStatistics(settings.num_envs)
    discrete = agent.action_spec.dtype.is_integer
    training = Training(
        task=task,
        envs=envs,
        agent=agent,
        agent_name=f'reinforce, baseline {settings.baseline}',
        gamma=settings.gamma,
        exports=exports,
        experience=queue,
        env_steps=env_steps,
        statistics=statistics,
        metrics=(
            'loss', 'policy_loss', 'value_loss', 'entropy', *(() if discrete else ('mu', 'sigma')),
        ),
        notes=notes,
    )  # fmt: skip
    collector = EpisodeCollector(envs, agent.collect_policy, queue, statistics, env_steps)
    return ReinforceParts(training, agent, envs, queue, collector, EpisodeLearner(agent, queue))


def _make_policy_gradient_agent(
    envs: GymnasiumEnv, settings: ReinforceSettings
) -> tuple[reinforce.PolicyGradientAgent, dict[str, policies.ActorPolicy]]:
    """Returns the agent, and the policies to export, which hold its best weights."""
    time_step_spec = tensor_spec.from_spec(envs.time_step_spec())
    act.check_names(time_step_spec.observation, ())
    action_spec = tensor_spec.from_spec(envs.action_spec())
    network, distribution = actor_critic_network.make_actor_critic_network(
        masks.seen_spec(time_step_spec.observation, action_spec),
        action_spec,
        settings.baseline == 'value',
    )
    agent = reinforce.PolicyGradientAgent(
        time_step_spec,
        action_spec,
        network,
        distribution,
        optimizers.made(settings.optimizer),
        baseline=settings.baseline,
        gamma=settings.gamma,
    )
    agent.initialize()
    best = network.copy(name='BestActorNetwork')
    best.create_variables()
    policy = (time_step_spec, action_spec, best, distribution)
    return agent, {
        'policy': policies.ActorPolicy(*policy, stochastic=False),
        'policy_stochastic': policies.ActorPolicy(*policy, stochastic=True),
    }
