"""The REINFORCE of "Policy Gradient Reinforcement Learning in TensorFlow 2", repaired.

    python tutorial_reinforce.py SEED MAX_SECONDS

As in the tutorial, one environment of CartPole-v0, a Keras call to act, and one update per
episode with `train_on_batch`: MLP 30-30, Adam 1e-3, gamma 0.95, returns-to-go standardised within
the episode. The loss is repaired: it is the sparse cross-entropy of the actions taken, weighted by
the returns (the tutorial's cannot run, and its obvious repair never learns). Prints the seconds
until the mean of 100 consecutive episodes is 195 (inf if it never was), the number of episodes,
and last the env steps per second. Imports and tracing (the first ten episodes) are excluded.
"""

import os
import sys
import time

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import warnings

import gymnasium as gym
import numpy as np
import tensorflow as tf

GAMMA = 0.95
_SOLVED, _WINDOW, _TRACING_EPISODES = 195.0, 100, 10


def make_network() -> tf.keras.Model:
    """Makes two hidden layers of 30 units and a softmax."""
    he = tf.keras.initializers.he_normal()
    network = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(30, activation='relu', kernel_initializer=he),
            tf.keras.layers.Dense(30, activation='relu', kernel_initializer=he),
            tf.keras.layers.Dense(2, activation='softmax'),
        ]
    )
    network.compile(
        loss=tf.keras.losses.SparseCategoricalCrossentropy(),
        optimizer=tf.keras.optimizers.Adam(1e-3),
    )
    return network


def returns_to_go(rewards):
    """Computes discounted returns of an episode, standardised within it."""
    returns, following = np.zeros(len(rewards), np.float32), 0.0
    for t in reversed(range(len(rewards))):
        following = rewards[t] + GAMMA * following
        returns[t] = following
    returns -= returns.mean()
    return returns / (returns.std() + 1e-8)


def main(seed: int, max_seconds: float) -> None:
    """Trains until CartPole is solved or the time is over; prints the results."""
    warnings.simplefilter('ignore')
    tf.keras.utils.set_random_seed(seed)
    env = gym.make('CartPole-v0')
    network = make_network()
    lengths: list[int] = []
    began, steps = 0.0, 0
    while True:
        if len(lengths) == _TRACING_EPISODES:
            began, steps = time.perf_counter(), 0
        state, _ = env.reset(seed=seed if not lengths else None)
        states, actions, rewards, done = [], [], [], False
        while not done:
            probabilities = network(state.reshape(1, -1)).numpy()[0]
            action = np.random.choice(2, p=probabilities / probabilities.sum())
            following, reward, terminated, truncated, _ = env.step(action)
            states.append(state)
            actions.append(action)
            rewards.append(reward)
            state, done = following, terminated or truncated
        weights = returns_to_go(rewards)
        network.train_on_batch(np.array(states), np.array(actions), sample_weight=weights)
        lengths.append(len(rewards))
        steps += len(rewards)
        seconds = time.perf_counter() - began
        solved = len(lengths) >= _WINDOW and np.mean(lengths[-_WINDOW:]) >= _SOLVED
        if solved or (len(lengths) > _TRACING_EPISODES and seconds > max_seconds):
            break
    print(seconds if solved else float('inf'), len(lengths), steps / seconds)


if __name__ == '__main__':
    main(int(sys.argv[1]), float(sys.argv[2]))
