"""Double DQN in the order of a textbook, in plain Keras; prints env steps per second.

    python keras_cartpole.py FORM NUM_THREADS

The work of textbook_speed.py: one environment; after each step one train step on 32 transitions
of a memory of 50 000, an MLP 30-30 (ReLU), Adam, mean squared error, a target network that moves
by 0.08 per train step. FORM is how it is written: 'eager' calls the network for each action and
compiles the train step (`tf.function`); 'graph' compiles both, and 'xla' lets XLA compile both.
TensorFlow gets NUM_THREADS threads within an operation and as many between operations.
Time is taken from env step 4 000, when training has long started, to the end.
"""

import random
import sys
import time
import warnings

import gymnasium as gym
import numpy as np
import tensorflow as tf

_WARM_UP_ENV_STEPS, _TOTAL_ENV_STEPS = 4_000, 12_000
_BATCH, _GAMMA, _TAU, _SIGMA = 32, 0.95, 0.08, 1.0


class Memory:
    """The newest transitions, in arrays that are written round and round."""

    def __init__(self, capacity: int):
        self._state = np.zeros((capacity, 4), np.float32)
        self._following = np.zeros((capacity, 4), np.float32)
        self._action = np.zeros(capacity, np.int64)
        self._reward = np.zeros(capacity, np.float32)
        self._continues = np.zeros(capacity, np.float32)
        self._rng = np.random.default_rng(0)
        self._capacity, self.added = capacity, 0

    def add(self, state, action, reward, following, terminated) -> None:
        """Stores one transition in the place of the oldest."""
        i = self.added % self._capacity
        self._state[i], self._action[i], self._reward[i] = state, action, reward
        self._following[i], self._continues[i] = following, not terminated
        self.added += 1

    def sample(self):
        """Draws a minibatch uniformly."""
        i = self._rng.integers(min(self.added, self._capacity), size=_BATCH)
        arrays: tuple[np.ndarray, ...] = (
            self._state,
            self._action,
            self._reward,
            self._following,
            self._continues,
        )
        return [array[i] for array in arrays]


def network() -> tf.keras.Model:
    """Makes the MLP."""
    layers = [tf.keras.layers.Dense(30, 'relu', kernel_initializer='he_normal') for _ in range(2)]
    model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(2)])
    model.build((None, 4))
    return model


class DoubleDqn:
    """Two networks and the train step."""

    def __init__(self, form: str):
        self._online, self._target = network(), network()
        self._target.set_weights(self._online.get_weights())
        self.optimizer = tf.keras.optimizers.legacy.Adam(1e-3)  # faster than the new one here
        compiled: dict = dict(autograph=False, jit_compile=form == 'xla')
        self._best = self._best_action if form == 'eager' else tf.function(
            self._best_action, **compiled
        )  # fmt: skip
        self.train = tf.function(self._train, **compiled)

    def act(self, state: np.ndarray, epsilon: float) -> int:
        """Epsilon-greedy; `state` is [4]."""
        if random.random() < epsilon:
            return random.randrange(2)
        return int(self._best(state[None]))

    def _best_action(self, states):
        return tf.argmax(self._online(states)[0])

    def _train(self, state, action, reward, following, continues):
        best = tf.argmax(self._online(following), axis=1)
        bootstrap = tf.gather(self._target(following), best, axis=1, batch_dims=1)
        target = reward + _GAMMA * continues * bootstrap
        with tf.GradientTape() as tape:
            taken = tf.gather(self._online(state), action, axis=1, batch_dims=1)
            loss = tf.reduce_mean(tf.square(target - taken))
        weights = self._online.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        for online, slow in zip(weights, self._target.trainable_variables, strict=True):
            slow.assign_add(_TAU * (online - slow))
        return loss


def main(form: str, num_threads: int) -> float:
    """Trains; returns env steps per second."""
    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(num_threads)
    random.seed(0)
    tf.keras.utils.set_random_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # "CartPole-v0 is out of date"
        env = gym.make('CartPole-v0')
    agent, memory, noise = DoubleDqn(form), Memory(50_000), np.random.default_rng(0)
    state, _ = env.reset(seed=0)
    losses = []
    began = time.perf_counter()
    for step in range(_TOTAL_ENV_STEPS):
        if step == _WARM_UP_ENV_STEPS:
            began = time.perf_counter()
        action = agent.act(state, 0.01 + 0.99 * np.exp(-5e-4 * step))
        following, _, terminated, truncated, _ = env.step(action)
        memory.add(state, action, noise.normal(1.0, _SIGMA), following, terminated)
        state = env.reset()[0] if terminated or truncated else following
        if memory.added > 3 * _BATCH:
            losses.append(agent.train(*memory.sample()))
    assert np.isfinite(losses).all()
    seconds = time.perf_counter() - began
    # The optimizer's count proves the work: one train step per env step after three batches.
    assert int(agent.optimizer.iterations) == len(losses) == _TOTAL_ENV_STEPS - 3 * _BATCH
    return (_TOTAL_ENV_STEPS - _WARM_UP_ENV_STEPS) / seconds


if __name__ == '__main__':
    print(main(sys.argv[1], int(sys.argv[2])))
