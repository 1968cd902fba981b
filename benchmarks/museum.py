"""The museum: `train_ddqn` with one mistake of the tutorials put back in.

    python -m pipelines.compare --experiment=benchmarks/museum.toml --root_dir=runs/museum
    python -m pipelines.compare --experiment=benchmarks/museum_reinforce.toml \\
        --root_dir=runs/museum_reinforce

`museum.mistake` names it, None is the right version; flags and all other bindings are the
driver's. The product has none of these switches, but for number 7 (`train_ddqn.target =
'none'`), which a published comparison needs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import gin
import numpy as np
import reverb
import tensorflow as tf
from tf_agents.trajectories import time_step as ts

from agents import action_distribution, ddqn, n_step, q_network
from envs import gymnasium_env
from pipelines import cli, loops, replay_client, train_ddqn


def _credit_without_the_action():
    """1: the loss pushes all actions alike."""

    def log_prob(self, outputs, sample):
        del self, sample
        return tf.reduce_mean(tf.nn.log_softmax(outputs['logits']), axis=1)

    action_distribution.Categorical.log_prob = log_prob


def _mean_over_the_batch():
    """2: A's mean is taken over the whole batch, so that Q(s, .) depends on its neighbours."""
    q_network.dueling_aggregation = lambda value, advantage: (
        value + advantage - tf.reduce_mean(advantage)
    )


def _next_state_is_the_state():
    """3: an off-by-one in replay."""
    plan_minibatches = n_step.plan_minibatches

    def off_by_one(*args, **kwargs):
        plan = plan_minibatches(*args, **kwargs)
        return plan._replace(bootstrap_row=plan.row)

    n_step.plan_minibatches = off_by_one


def _full_replay_begins_again():
    """4: once full, only what has come since can be sampled."""
    run = loops.Collector.run

    def forget_and_run(self, num_vector_steps):
        if self._replay.num_transitions >= self._replay.capacity_transitions:
            reverb.Client(self._replay.address).reset(replay_client.TABLE)
        run(self, num_vector_steps)

    loops.Collector.run = forget_and_run


def _targets_of_all_with_all():
    """10: targets [B, 1] less values [B] are errors [B, B]; each row's priority is their mean."""

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
    """10: a sum tree that drops leaves: 34.5 % of the memory is never sampled."""
    flush, dice = replay_client.ReplayWriter.flush, np.random.default_rng(0)

    def lossy(self, priority=1.0):
        flush(self, priority if dice.random() >= 0.345 else 0.0)

    replay_client.ReplayWriter.flush = lossy


def _a_time_limit_is_a_failure():
    """11: no bootstrap where the clock, not the pole, ended the episode."""
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
      UserError: there is no such exhibit.
    """
    if mistake is None:
        return
    if mistake not in MISTAKES:
        raise cli.UserError(f'museum.mistake = {mistake!r}: must be one of {tuple(MISTAKES)}')
    MISTAKES[mistake]()


def main(driver=train_ddqn) -> int:
    """Runs the driver; the mistake is in before anything is made."""
    parse_gin = cli.parse_gin

    def parse_and_spoil(*args):
        parse_gin(*args)
        museum()

    cli.parse_gin = parse_and_spoil
    return driver.main()


if __name__ == '__main__':
    sys.exit(main())
