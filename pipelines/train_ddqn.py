"""Trains DQN, Double DQN and their relatives on Gymnasium environments with discrete actions.

    python -m pipelines.train_ddqn --root_dir=runs/cartpole
    python -m pipelines.train_ddqn --root_dir=runs/acrobot \\
        --gin_bindings="train_ddqn.env_name='Acrobot-v1'"

Run the same command again to resume a run that was stopped. The most useful bindings:

    train_ddqn.env_name = 'CartPole-v1'         train_ddqn.double = True
    train_ddqn.num_env_steps = 50000            train_ddqn.dueling = True
    train_ddqn.num_envs = 16                    train_ddqn.target = 'none'|'soft'|'hard'
    train_ddqn.num_eval_episodes = 100          train_ddqn.n_step = 3
    train_ddqn.train_steps_per_env_step = 1.0   train_ddqn.prioritised = True
    mlp_torso.units = (64, 64)                  adam.learning_rate = 1e-3
    Replay.capacity_transitions = 50000         QLearningAgent.loss = 'huber'|'mse'

    train_ddqn.distribution = 'categorical'     C51; set C51Network.v_min and v_max to the
                                                range of the returns
    train_ddqn.munchausen = True                needs double = False and n_step = 1
    train_ddqn.noisy = True                     noisy layers; set QLearningAgent.epsilon = 0.0
    train_ddqn.warm_start = 'runs/a'            the weights of an old policy
    train_ddqn.reuse_replay = 'runs/a'          another run's replay
    train_ddqn.callbacks = ['module:Class']     told about the run; they may stop it

    train_ddqn.env_name = 'my_env:MyEnv'        a class in a module of your own, with
    task.env_kwargs = {'size': 5}               its constructor's arguments, and
    task.wrappers = ['FlattenObservation']      wrappers, in training and evaluation alike
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from pipelines import cli, gin_config
from pipelines.settings import DdqnSettings

_FLAGS = flags.FlagValues()
_RUN = cli.define_run_flags(_FLAGS, 'configs/ddqn_cartpole.gin')


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    return cli.run(_main, __doc__, _FLAGS, argv)


def _main() -> None:
    _RUN.check()
    gin_config.check_early(_RUN.gin_file.value, _RUN.gin_bindings.value, 'train_ddqn')
    _RUN.choose_network()
    # TensorFlow takes seconds to import: --help and what can be judged do not wait for it.
    from pipelines import assembly  # noqa: F401, registers everything that gin configures

    gin_config.parse(_RUN.gin_file.value, _RUN.gin_bindings.value, 'train_ddqn')
    with gin_config.values_come_from_gin():
        settings = DdqnSettings()
    train(settings, _RUN.seed.value, _RUN.root_dir.value, check_only=_RUN.check_only.value)


def train(settings: DdqnSettings, seed: int, root_dir: str, *, check_only: bool = False) -> None:
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
    from pipelines.experience import replay
    from pipelines.runs import identity, video
    from pipelines.runs.beginning import Beginning
    from pipelines.runs.callbacks import Callbacks
    from pipelines.runs.run_dir import Claim, RunDir
    from pipelines.runs.session import Session

    with gin_config.values_come_from_gin():
        replay_dir = pathlib.Path(root_dir).expanduser() / 'replay'
        kept = identity.remembered(root_dir, 'vectorization')
        parts = assembly.assemble_ddqn(settings, seed, replay_dir, vectorization=kept)
        if settings.video_interval_episodes is not None:
            video.check_draws(parts.training.task)
    gin_config.check_every_binding_used()
    callbacks = Callbacks.configured(settings.name(), settings.callbacks, parts.training)
    beginning = Beginning.configured(settings, parts.training, parts.replay)
    beginning.check_unless_resumed(root_dir, announce=check_only)
    if check_only:
        print(cli.CHECKED)
        return
    schedule = settings.schedule()
    may_change = [*settings.changeable(), *replay.MAY_CHANGE, *task.MAY_CHANGE]
    decided = {'vectorization': parts.training.task.vectorization}
    with RunDir(root_dir) as run, contextlib.closing(parts.training.envs):
        if not run.claim(
            Claim(seed, schedule, may_change, {**parts.resolved, **callbacks.identity}, decided)
        ):
            return
        with parts.replay:
            session = Session(run, seed, schedule, parts.training, callbacks, beginning)
            session.start()
            for note in parts.notes:
                print(note)
            if (
                parts.collect_and_train.learning_start_env_steps is None
                and not settings.reuse_replay
            ):
                print(parts.begins)
            # A resumed run must not draw the numbers of its beginning again.
            tf.random.set_seed(session.derived_seed('explore'))
            parts.collector.reset(session.derived_seed('collect'))
            with session.running():
                while vector_steps := session.left():
                    turns = parts.collect_and_train.run(
                        vector_steps,
                        session.next_event_env_steps,
                        end_after_episodes=session.extent.episodes_left,
                        pause_after_episodes=session.episodes_to_next_event,
                    )
                    session.record(turns)
            if session.is_complete:
                ratio = 0.0
                if int(parts.agent.train_step_counter) or not session.extent.stopped:
                    ratio = parts.collect_and_train.train_steps_per_env_step
                session.finish(
                    {
                        'train_steps_per_env_step': ratio,
                        'dtype_policy': parts.resolved['dtype policy'],
                    }
                )


if __name__ == '__main__':
    sys.exit(main())
