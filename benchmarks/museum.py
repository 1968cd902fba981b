"""The museum: `train_ddqn` with one of the tutorials' mistakes put back in.

    python -m pipelines.compare --experiment=benchmarks/museum.toml --root_dir=runs/museum
    python -m pipelines.compare --experiment=benchmarks/museum_reinforce.toml \\
        --root_dir=runs/museum_reinforce

The binding `museum.mistake` names the mistake; None is the right version. Flags and all other
bindings are the program's. The program itself can make only one mistake, a missing target network
(`train_ddqn.target = 'none'`), because a published comparison needs it. docs/museum.md says where
each mistake stands in the tutorials, how to notice it, and which test keeps it out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import gin
import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from agents import action_distribution, ddqn, q_network
from envs import gymnasium_env
from pipelines import gin_config, train_ddqn
from pipelines.errors import UserError
from pipelines.experience import replay_client
from pipelines.loops import learner
from pipelines.loops.collector import Collector


def _credit_without_the_action():
    """The loss ignores which action was taken and pushes all of them."""

    def log_prob(self, outputs, sample):
        del self, sample
        return tf.reduce_mean(tf.nn.log_softmax(outputs['logits']), axis=1)

    action_distribution.Categorical.log_prob = log_prob


def _mean_over_the_batch():
    """The advantages' mean is taken over the whole batch, so Q(s, .) depends on other states."""
    q_network.dueling_aggregation = lambda value, advantage: (
        value + advantage - tf.reduce_mean(advantage)
    )


def _next_state_is_the_state():
    """An off-by-one error in replay: the bootstrap state is the state itself."""
    choose_minibatches = learner.choose_minibatches

    def off_by_one(*args, **kwargs):
        indices = choose_minibatches(*args, **kwargs)
        return indices._replace(bootstrap_row=indices.row)

    learner.choose_minibatches = off_by_one


def _full_replay_begins_again():
    """The replay is emptied whenever it is full."""
    run = Collector.run

    def forget_and_run(self, num_vector_steps):
        if self._replay.num_starts >= self._replay.capacity_transitions:
            reverb.Client(self._replay.address).reset(replay_client.TABLE)
        run(self, num_vector_steps)

    Collector.run = forget_and_run


def _targets_of_all_with_all():
    """Targets [B, 1] minus values [B] are errors [B, B]; each row's priority is their mean."""

    def loss(self, experience, weights=None, training=False):
        info = right_loss(self, experience, weights, training)
        targets = self.targets(experience, training)
        q_values, _ = self._q_network(experience.time_step.observation, training=training)
        taken = tf.gather(q_values, experience.action_step.action, axis=1, batch_dims=1)
        errors = targets[:, tf.newaxis] - taken  # [B, B]
        losses = self._loss_fn_of_error(errors) * (1.0 if weights is None else weights)
        extra = info.extra._replace(td_error=tf.reduce_mean(tf.abs(errors), axis=1))
        return info._replace(loss=tf.reduce_mean(losses), extra=extra)

    right_loss = ddqn.QLearningAgent._loss
    ddqn.QLearningAgent._loss = loss


def _a_third_is_never_sampled():
    """A sum tree loses leaves, so 34.5 % of the memory is never sampled."""
    create, dice = replay_client.ReplayWriter._create_items, np.random.default_rng(0)

    def lossy(self, priority):
        create(self, priority if dice.random() >= 0.345 else 0.0)

    replay_client.ReplayWriter._create_items = lossy


def _a_time_limit_is_a_failure():
    """Targets do not bootstrap when a time limit ends an episode."""
    step = gymnasium_env.GymnasiumEnv._step

    def ended(self, action):
        after = step(self, action)
        alive = (after.step_type != ts.StepType.LAST).astype(np.float32)
        return after._replace(discount=after.discount * alive)

    gymnasium_env.GymnasiumEnv._step = ended


MISTAKES: dict[str, Callable[[], None]] = {
    'credit_without_the_action': _credit_without_the_action,
    'mean_over_the_batch': _mean_over_the_batch,
    'next_state_is_the_state': _next_state_is_the_state,
    'full_replay_begins_again': _full_replay_begins_again,
    'targets_of_all_with_all': _targets_of_all_with_all,
    'a_third_is_never_sampled': _a_third_is_never_sampled,
    'a_time_limit_is_a_failure': _a_time_limit_is_a_failure,
}


@gin.configurable
def museum(mistake: str | None = None) -> None:
    """Puts `mistake` in, for the rest of this process.

    Raises:
      UserError: there is no such mistake.
    """
    if mistake is None:
        return
    if mistake not in MISTAKES:
        raise UserError(f'museum.mistake = {mistake!r}: must be one of {tuple(MISTAKES)}')
    MISTAKES[mistake]()


def main(driver=train_ddqn) -> int:
    """Runs the program `driver`, with the mistake put in before anything is built."""
    parse_gin = gin_config.parse

    def parse_and_spoil(*args):
        parse_gin(*args)
        museum()

    gin_config.parse = parse_and_spoil
    return driver.main()


if __name__ == '__main__':
    sys.exit(main())
