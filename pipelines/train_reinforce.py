"""Trains REINFORCE, with one of four baselines, on Gymnasium environments.

    python -m pipelines.train_reinforce --root_dir=runs/reinforce
    python -m pipelines.train_reinforce --root_dir=runs/lqr --gin_file=configs/reinforce_lqr.gin

Run the same command again to resume a run that was stopped. The most useful bindings:

    train_reinforce.env_name = 'CartPole-v1'    train_reinforce.baseline = 'none'|'episode'
    train_reinforce.num_episodes = 4000             |'batch'|'value'
    train_reinforce.num_envs = 16               train_reinforce.gamma = 0.99
    train_reinforce.num_eval_episodes = 100     PolicyGradientAgent.entropy_coefficient = 0.0
    mlp_torso.units = (64, 64)                  PolicyGradientAgent.value_coefficient = 0.5
    adam.learning_rate = 1e-3                   make_actor_critic_network.policy = 'auto'
                                                    |'categorical'|'gaussian'|'squashed_gaussian'
    train_reinforce.warm_start = 'runs/a'       the weights of an old policy
    train_reinforce.callbacks = ['module:Class']    told about the run; they may stop it

    train_reinforce.env_name = 'my_env:MyEnv'   a class in a module of your own, with
    task.env_kwargs = {'size': 5}               its constructor's arguments, and
    task.wrappers = ['FlattenObservation']      wrappers, in training and evaluation alike
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from absl import flags

from pipelines import cli, gin_config
from pipelines.settings import ReinforceSettings

_FLAGS = flags.FlagValues()
_RUN = cli.define_run_flags(_FLAGS, 'configs/reinforce_cartpole.gin')


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    return cli.run(_main, __doc__, _FLAGS, argv)


def _main() -> None:
    _RUN.check()
    gin_config.check_early(_RUN.gin_file.value, _RUN.gin_bindings.value, 'train_reinforce')
    _RUN.choose_network()
    # TensorFlow takes seconds to import: --help and what can be judged do not wait for it.
    from pipelines import assembly  # noqa: F401, registers everything that gin configures

    gin_config.parse(_RUN.gin_file.value, _RUN.gin_bindings.value, 'train_reinforce')
    with gin_config.values_come_from_gin():
        settings = ReinforceSettings()
    train(settings, _RUN.seed.value, _RUN.root_dir.value, check_only=_RUN.check_only.value)


def train(
    settings: ReinforceSettings, seed: int, root_dir: str, *, check_only: bool = False
) -> None:
    """Trains, exports the best policy, proves the export and evaluates it.

    Args:
      settings: the run's settings.
      seed: seed of networks, environments and exploration.
      root_dir: the run's directory; a run that it holds is resumed.
      check_only: build everything and check every binding, but write nothing.

    Raises:
      UserError, ConfigError, EnvError: a value or the directory cannot be used.
    """
    import tensorflow as tf

    from envs import task
    from pipelines import assembly
    from pipelines.loops.episode_losses import Turn
    from pipelines.runs import identity, video
    from pipelines.runs.beginning import Beginning
    from pipelines.runs.callbacks import Callbacks
    from pipelines.runs.run_dir import Claim, RunDir
    from pipelines.runs.session import Session

    with gin_config.values_come_from_gin():
        kept = identity.remembered(root_dir, 'vectorization')
        parts = assembly.assemble_reinforce(settings, seed, vectorization=kept)
        if settings.video_interval_episodes is not None:
            video.check_draws(parts.training.task)
    gin_config.check_every_binding_used()
    callbacks = Callbacks.configured(settings.name(), settings.callbacks, parts.training)
    beginning = Beginning.configured(settings, parts.training)
    beginning.check_unless_resumed(root_dir, announce=check_only)
    if check_only:
        print(cli.CHECKED)
        return
    schedule, training = settings.schedule(), parts.training
    may_change = [*settings.changeable(), *task.MAY_CHANGE]
    decided = {'vectorization': training.task.vectorization}
    with RunDir(root_dir) as run, contextlib.closing(training.envs):
        if not run.claim(Claim(seed, schedule, may_change, callbacks.identity, decided)):
            return
        with parts.queue:
            session = Session(run, seed, schedule, training, callbacks, beginning)
            session.start()
            # A resumed run must not draw the numbers of its beginning again.
            tf.random.set_seed(session.derived_seed('explore'))
            parts.envs.seed(session.derived_seed('collect'))
            with session.running():
                while session.left():
                    parts.collector.run()
                    metrics = parts.learner.train()
                    session.record([Turn(int(training.env_steps), train_steps=1, metrics=metrics)])
            if session.is_complete:
                train_steps = int(training.agent.train_step_counter)
                episodes = training.statistics.num_episodes
                session.finish({'train_steps_per_episode': train_steps / max(1, episodes)})


if __name__ == '__main__':
    sys.exit(main())
