"""Trains DQN, Double DQN and their relatives on any discrete-action Gymnasium id.

    python -m pipelines.train_ddqn --root_dir=runs/cartpole
    python -m pipelines.train_ddqn --root_dir=runs/acrobot \\
        --gin_bindings="train_ddqn.env_name='Acrobot-v1'"

Run again on the same --root_dir, it goes on where it was. The most useful bindings:

    train_ddqn.env_name = 'CartPole-v1'         train_ddqn.double = True
    train_ddqn.num_env_steps = 50000            train_ddqn.dueling = True
    train_ddqn.num_envs = 16                    train_ddqn.target = 'none'|'soft'|'hard'
    train_ddqn.num_eval_episodes = 100          train_ddqn.n_step = 3
    train_ddqn.train_steps_per_env_step = 1.0   train_ddqn.prioritised = True
    mlp_torso.units = (64, 64)                  adam.learning_rate = 1e-3
    Replay.capacity_transitions = 50000         QLearningAgent.loss = 'huber'|'mse'

    train_ddqn.categorical = True               C51; the returns lie within
                                                C51Network.v_min and v_max
    train_ddqn.munchausen = True                with double = False and n_step = 1
    train_ddqn.noisy = True                     noisy layers explore; QLearningAgent.epsilon = 0.0
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import gin
from absl import flags

from pipelines import cli

_FLAGS = flags.FlagValues()
_ROOT_DIR, _GIN_FILE, _GIN_BINDINGS, _SEED = cli.define_run_flags(
    _FLAGS, 'configs/ddqn_cartpole.gin'
)
_CHECK_ONLY = cli.define_check_only(_FLAGS)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the driver; returns its exit code."""
    return cli.run(_main, __doc__, _FLAGS, argv)


def _main() -> None:
    if not _ROOT_DIR.value:
        raise cli.UserError('--root_dir is missing: where shall the run be kept?')
    # TensorFlow takes seconds to import: --help and a misspelt flag do not wait for it.
    from agents import prioritisation, q_variants, schedules, torsos  # noqa: F401, for gin
    from envs import suite  # noqa: F401
    from pipelines import replay, run_dir  # noqa: F401

    cli.parse_gin(_GIN_FILE.value, _GIN_BINDINGS.value)
    with run_dir.open_run(_ROOT_DIR.value, _CHECK_ONLY.value) as run:
        train_ddqn(run, _SEED.value)


@gin.configurable(denylist=['run', 'seed'])
def train_ddqn(
    run,
    seed: int,
    *,
    env_name: str = 'CartPole-v1',
    num_env_steps: int = 50_000,
    num_envs: int = 16,
    double: bool = True,
    dueling: bool = True,
    categorical: bool = False,
    munchausen: bool = False,
    noisy: bool = False,
    target: str = 'hard',
    n_step: int = 1,
    gamma: float = 0.99,
    prioritised: bool = False,
    batch_size: int = 64,
    train_steps_per_env_step: float = 1.0,
    max_train_steps_per_turn: int = 128,
    min_replay_transitions: int = 1_000,
    frame_stack: int | None = None,
    fuse_train_steps: bool = True,
    overlap: bool = False,
    eval_epsilon: float = 0.0,
    num_eval_episodes: int = 100,
    num_selection_episodes: int = 20,
    eval_interval_env_steps: int = 1_000,
    checkpoint_interval_env_steps: int = 10_000,
    log_interval_env_steps: int = 1_000,
    video_interval_episodes: int | None = None,
) -> None:
    """Trains, keeps the best policy, exports it, proves the export and evaluates it.

    Args:
      run: the `RunDir`.
      seed: of networks, environments and exploration.
      env_name: a Gymnasium id with discrete actions.
      num_env_steps: environment steps of the whole run (agent steps; a step that only
        starts an episode is none).
      num_envs: environments stepped together.
      double: choose the bootstrap action with the online network.
      dueling: value and advantage streams instead of one head.
      categorical: learn distributions over returns (C51); see `C51Network`.
      munchausen: add the log-policy to the reward, and bootstrap with a soft maximum.
      noisy: noise on the weights after the torso explores; it is off in every evaluation and
        in the exported policy. Usually with `QLearningAgent.epsilon = 0.0`.
      target: 'none', 'soft' or 'hard'.
      n_step: rewards summed before bootstrapping.
      gamma: discount factor per environment step.
      prioritised: sample transitions in proportion to their TD errors (see `Prioritisation`).
      batch_size: transitions per train step.
      train_steps_per_env_step: held exactly, counted from when training starts.
      max_train_steps_per_turn: collecting and training take turns of at most so many.
      min_replay_transitions: training starts when so many can be sampled.
      frame_stack: how many observations the network sees at once; None for the last alone.
      fuse_train_steps: XLA compiles the train loop (right for MLPs).
      overlap: collect and train at the same time, on two threads; the policy that acts is
        then up to one turn's train steps old, which progress.csv reports.
      eval_epsilon: share of random actions in every evaluation of the run.
      num_eval_episodes: of the final evaluation, on seeds never used before.
      num_selection_episodes: of each periodic evaluation, which choose the best policy.
      eval_interval_env_steps: between periodic evaluations; they are no env steps.
      checkpoint_interval_env_steps: what a kill may cost at most.
      log_interval_env_steps: between rows of progress.csv.
      video_interval_episodes: between GIFs of greedy play; None for none.
    """
    import tensorflow as tf

    from agents import prioritisation, q_variants
    from envs import suite
    from pipelines import loops, session, video
    from pipelines.replay import Replay

    with cli.values_come_from_gin():
        _check(num_env_steps, num_envs, n_step, gamma, batch_size, min_replay_transitions)
        variant = q_variants.Variant(double, dueling, target, categorical, munchausen, noisy)
        variant.check(n_step)
        plan = session.Plan(
            unit='env_steps',
            length=num_env_steps,
            eval_interval=eval_interval_env_steps,
            checkpoint_interval=checkpoint_interval_env_steps,
            log_interval=log_interval_env_steps,
            num_eval_episodes=num_eval_episodes,
            num_selection_episodes=num_selection_episodes,
            eval_epsilon=eval_epsilon,
            gamma=gamma,
            video_interval_episodes=video_interval_episodes,
        )
        tf.keras.utils.set_random_seed(seed)
        env = suite.load(env_name, num_envs)
        turns = loops.Turns(train_steps_per_env_step, num_envs, max_train_steps_per_turn)
        env_steps = tf.Variable(0, dtype=tf.int64, name='env_steps')
        agent, best_policy = variant.make_agent(
            env.time_step_spec(),
            env.action_spec(),
            env_steps,
            frame_stack=frame_stack,
            acts_on_a_copy=overlap,
        )
        priorities = prioritisation.Prioritisation(env_steps) if prioritised else None
        replay = Replay(
            agent.collect_data_spec,
            num_envs,
            lead_rows=(frame_stack or 1) - 1,
            tail_rows=n_step,
            transitions_per_sample=turns.max_train_steps * batch_size,
            log_dir=run.path / 'replay',
            priority_exponent=priorities.alpha if priorities else None,
        )
        if min_replay_transitions > replay.capacity_transitions:
            raise cli.UserError(
                f'train_ddqn.min_replay_transitions = {min_replay_transitions}: more than '
                f'Replay.capacity_transitions = {replay.capacity_transitions}'
            )
        if video_interval_episodes is not None:
            video.check_draws(env.name, env.options)
    cli.check_every_binding_used()
    dtype_policy = agent.q_network.dtype_policy_name
    if not run.claim(seed, plan.unit, plan.length, {'dtype policy': dtype_policy}):
        return
    with replay:
        training = session.Session(
            run,
            seed,
            plan,
            env,
            agent,
            variant.name(prioritised),
            {'policy': best_policy},
            replay,
            env_steps,
            metrics=('loss', 'mean_q', 'max_policy_lag_train_steps'),
            gauges={'epsilon': agent.epsilon, **({'beta': priorities.beta} if priorities else {})},
        )
        training.start()
        if categorical:
            low, *_, high = agent.q_network.support
            print(
                f'returns count as within [{low:g}, {high:g}]: C51Network.v_min, v_max; the loss '
                'is the cross-entropy, whatever QLearningAgent.loss says'
            )
        if dtype_policy != 'float32':
            print(f'products in bfloat16 ({dtype_policy}); the export is float32')
        tf.random.set_seed(training.derived_seed('explore'))  # not the first numbers again
        collector = loops.Collector(
            env, agent.collect_policy, replay, training.statistics, env_steps
        )
        collector.reset(training.derived_seed('collect'))
        learner = loops.Learner(
            agent,
            replay,
            n=n_step,
            gamma=gamma,
            batch_size=batch_size,
            max_train_steps=turns.max_train_steps,
            num_frames=frame_stack,
            fuse=fuse_train_steps,
            prioritisation=priorities,
        )
        turn = loops.TakingTurns(
            collector,
            learner,
            turns,
            agent,
            env_steps,
            enough=lambda: replay.num_transitions >= min_replay_transitions,
            notes=training.notes,
            overlap=overlap,
        )
        if not training.train(turn):
            return
        train_steps = int(agent.train_step_counter)
        if not train_steps:
            raise cli.UserError(
                f'training never started within {int(env_steps):,} env steps: lower '
                'min_replay_transitions or raise num_env_steps (a step can be sampled once a few '
                'more have followed it in its environment)'
            )
        learning_env_steps = int(env_steps) - training.notes['learning_start_env_steps']
        training.finish(
            {
                'train_steps_per_env_step': train_steps / learning_env_steps,
                'dtype_policy': dtype_policy,
            }
        )


def _check(num_env_steps, num_envs, n_step, gamma, batch_size, min_replay_transitions):
    """Raises a UserError for a value that no run can have."""
    for name, value in (
        ('num_env_steps', num_env_steps),
        ('num_envs', num_envs),
        ('n_step', n_step),
        ('batch_size', batch_size),
        ('min_replay_transitions', min_replay_transitions),
    ):
        cli.check_count(f'train_ddqn.{name}', value)
    if not 0.0 <= gamma <= 1.0:
        raise cli.UserError(f'train_ddqn.gamma = {gamma}: must be between 0 and 1')
    if min_replay_transitions >= num_env_steps:
        raise cli.UserError(
            f'train_ddqn.min_replay_transitions = {min_replay_transitions}: training would never '
            f'start within num_env_steps = {num_env_steps}'
        )


if __name__ == '__main__':
    sys.exit(main())
