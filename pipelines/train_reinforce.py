"""Trains REINFORCE, with one of four baselines, on any Gymnasium id.

    python -m pipelines.train_reinforce --root_dir=runs/reinforce
    python -m pipelines.train_reinforce --root_dir=runs/lqr --gin_file=configs/reinforce_lqr.gin

Run again on the same --root_dir, it goes on where it was. The most useful bindings:

    train_reinforce.env_name = 'CartPole-v1'    train_reinforce.baseline = 'none'|'episode'
    train_reinforce.num_episodes = 4000             |'batch'|'value'
    train_reinforce.num_envs = 16               train_reinforce.gamma = 0.99
    train_reinforce.num_eval_episodes = 100     PolicyGradientAgent.entropy_coefficient = 0.0
    mlp_torso.units = (64, 64)                  PolicyGradientAgent.value_coefficient = 0.5
    adam.learning_rate = 1e-3                   make_actor_critic_network.policy = 'auto'
                                                    |'categorical'|'gaussian'|'squashed_gaussian'
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import gin
from absl import flags

from pipelines import cli

_FLAGS = flags.FlagValues()
_ROOT_DIR, _GIN_FILE, _GIN_BINDINGS, _SEED = cli.define_run_flags(
    _FLAGS, 'configs/reinforce_cartpole.gin'
)
_CHECK_ONLY = cli.define_check_only(_FLAGS)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the driver; returns its exit code."""
    return cli.run(_main, __doc__, _FLAGS, argv)


def _main() -> None:
    if not _ROOT_DIR.value:
        raise cli.UserError('--root_dir is missing: where shall the run be kept?')
    # TensorFlow takes seconds to import: --help and a misspelt flag do not wait for it.
    from agents import actor_critic_network, reinforce, schedules  # noqa: F401, for gin
    from envs import suite  # noqa: F401
    from pipelines import run_dir

    cli.parse_gin(_GIN_FILE.value, _GIN_BINDINGS.value)
    with run_dir.open_run(_ROOT_DIR.value, _CHECK_ONLY.value) as run:
        train_reinforce(run, _SEED.value)


@gin.configurable(denylist=['run', 'seed'])
def train_reinforce(
    run,
    seed: int,
    *,
    env_name: str = 'CartPole-v1',
    num_episodes: int = 4_000,
    num_envs: int = 16,
    baseline: str = 'value',
    gamma: float = 0.99,
    num_eval_episodes: int = 100,
    num_selection_episodes: int = 20,
    eval_interval_episodes: int = 200,
    checkpoint_interval_episodes: int = 400,
    log_interval_episodes: int = 100,
    video_interval_episodes: int | None = None,
) -> None:
    """Trains, keeps the best policy, exports it, proves the export and evaluates it.

    Args:
      run: the `RunDir`.
      seed: of networks, environments and exploration.
      env_name: a Gymnasium id.
      num_episodes: training episodes of the whole run.
      num_envs: environments stepped together; an update is made from one episode of each.
      baseline: 'none', 'episode', 'batch' or 'value' (see `agents.reinforce`).
      gamma: discount factor per environment step.
      num_eval_episodes: of the final evaluation, on seeds never used before.
      num_selection_episodes: of each periodic evaluation, which choose the best policy.
      eval_interval_episodes: between periodic evaluations; they are no training episodes.
      checkpoint_interval_episodes: what a kill may cost at most.
      log_interval_episodes: between rows of progress.csv.
      video_interval_episodes: between GIFs of play; None for none.
    """
    import tensorflow as tf

    from envs import suite
    from pipelines import episode_loops, session, video
    from pipelines.episode_queue import EpisodeQueue

    with cli.values_come_from_gin():
        _check(num_episodes, num_envs, gamma)
        plan = session.Plan(
            unit='episodes',
            length=num_episodes,
            eval_interval=eval_interval_episodes,
            checkpoint_interval=checkpoint_interval_episodes,
            log_interval=log_interval_episodes,
            num_eval_episodes=num_eval_episodes,
            num_selection_episodes=num_selection_episodes,
            video_interval_episodes=video_interval_episodes,
        )
        tf.keras.utils.set_random_seed(seed)
        env = suite.load(env_name, num_envs)
        env_steps = tf.Variable(0, dtype=tf.int64, name='env_steps')
        agent, exports = make_agent(env, baseline, gamma)
        discrete = agent.action_spec.dtype.is_integer
        distribution_metrics = () if discrete else ('mu', 'sigma')
        queue = EpisodeQueue(agent.collect_data_spec, num_envs)
        if video_interval_episodes is not None:
            video.check_draws(env.name, env.options)
    cli.check_every_binding_used()
    if not run.claim(seed, plan.unit, plan.length):
        return
    with queue:
        training = session.Session(
            run,
            seed,
            plan,
            env,
            agent,
            f'reinforce, baseline {baseline}',
            exports,
            queue,
            env_steps,
            metrics=('loss', 'policy_loss', 'value_loss', 'entropy', *distribution_metrics),
        )
        training.start()
        tf.random.set_seed(training.derived_seed('explore'))  # not the first numbers again
        collector = episode_loops.EpisodeCollector(
            env, agent.collect_policy, queue, training.statistics, env_steps
        )
        env.seed(training.derived_seed('collect'))
        learner = episode_loops.EpisodeLearner(agent, queue)

        def turn(_) -> session.Metrics:
            collector.run()
            return learner.train()

        if training.train(turn):
            train_steps = int(agent.train_step_counter)
            training.finish(
                {'train_steps_per_episode': train_steps / training.statistics.num_episodes}
            )


def _check(num_episodes, num_envs, gamma):
    """Raises a UserError for a value that no run can have."""
    for name, value in (('num_episodes', num_episodes), ('num_envs', num_envs)):
        cli.check_count(f'train_reinforce.{name}', value)
    if not 0.0 <= gamma <= 1.0:
        raise cli.UserError(f'train_reinforce.gamma = {gamma}: must be between 0 and 1')
    if num_envs > num_episodes:
        raise cli.UserError(
            f'train_reinforce.num_envs = {num_envs}: an update needs an episode of each, and '
            f'num_episodes = {num_episodes}'
        )


def make_agent(env, baseline: str, gamma: float):
    """The agent, from the environment's specs alone, and policies to keep its best weights in."""
    from tf_agents.specs import tensor_spec

    from agents import actor_critic_network, policies, reinforce, schedules

    time_step_spec = tensor_spec.from_spec(env.time_step_spec())
    action_spec = tensor_spec.from_spec(env.action_spec())
    network, distribution = actor_critic_network.make_actor_critic_network(
        time_step_spec.observation, action_spec, baseline == 'value'
    )
    agent = reinforce.PolicyGradientAgent(
        time_step_spec,
        action_spec,
        network,
        distribution,
        schedules.adam(),
        baseline=baseline,
        gamma=gamma,
    )
    agent.initialize()
    best = network.copy(name='BestActorNetwork')
    best.create_variables()
    policy = (time_step_spec, action_spec, best, distribution)
    exports = {
        'policy': policies.ActorPolicy(*policy, stochastic=False),
        'policy_stochastic': policies.ActorPolicy(*policy, stochastic=True),
    }
    return agent, exports


if __name__ == '__main__':
    sys.exit(main())
