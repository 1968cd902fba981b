"""The dueling Double DQN of "Atari Space Invaders and Dueling Q RL in TensorFlow 2".

    python tutorial_space_invaders.py

As in the tutorial, one environment and one Python step at a time: grey and resize with
TensorFlow, float32 frames in a ring, a Keras call to act. Each step builds one minibatch of 32
stacks in NumPy, makes three Keras calls and a `train_on_batch`, and updates the target network
variable by variable. After 100 train steps, measures and prints env steps (and so train steps) per
second.
"""

import os
import random
import time

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import ale_py
import gymnasium as gym
import numpy as np
import tensorflow as tf

HEIGHT, WIDTH, STACK = 105, 80, 4
BATCH, GAMMA, TAU, EPSILON = 32, 0.99, 0.08, 0.5
MEMORY = 20_000  # frames; the tutorial's 500 000 would not fit, and would not be faster
_DELAY_STEPS, _WARM_UP, _TIMED = 1_000, 100, 500


class DuelingQ(tf.keras.Model):
    """Two convolutions, two streams of 256."""

    def __init__(self, num_actions):
        super().__init__()
        he, relu = tf.keras.initializers.he_normal(), 'relu'
        self.conv1 = tf.keras.layers.Conv2D(16, 8, 4, activation=relu)
        self.conv2 = tf.keras.layers.Conv2D(32, 4, 2, activation=relu)
        self.flatten = tf.keras.layers.Flatten()
        self.advantage1 = tf.keras.layers.Dense(256, activation=relu, kernel_initializer=he)
        self.advantage2 = tf.keras.layers.Dense(num_actions, kernel_initializer=he)
        self.value1 = tf.keras.layers.Dense(256, activation=relu, kernel_initializer=he)
        self.value2 = tf.keras.layers.Dense(1, kernel_initializer=he)

    def call(self, stacks):
        features = self.flatten(self.conv2(self.conv1(stacks)))
        advantage = self.advantage2(self.advantage1(features))
        value = self.value2(self.value1(features))
        return value + advantage - tf.reduce_mean(advantage, axis=1, keepdims=True)


class Memory:
    """A ring of single float32 frames."""

    def __init__(self):
        self.frames = np.zeros((MEMORY, HEIGHT, WIDTH), np.float32)
        self.actions = np.zeros(MEMORY, np.int32)
        self.rewards = np.zeros(MEMORY, np.float32)
        self.terminal = np.zeros(MEMORY, bool)
        self.written = 0

    def add(self, frame, action, reward, terminal):
        """Stores an action, and the frame, reward and end that it led to."""
        i = self.written % MEMORY
        self.frames[i], self.actions[i] = frame, action
        self.rewards[i], self.terminal[i] = reward, terminal
        self.written += 1

    def sample(self):
        """Samples BATCH actions, with the stacks before and after them."""
        last = min(self.written, MEMORY) - 1
        states = np.zeros((BATCH, HEIGHT, WIDTH, STACK), np.float32)
        next_states = np.zeros_like(states)
        picked = np.random.randint(STACK, last, BATCH)
        for row, i in enumerate(picked):
            states[row] = np.transpose(self.frames[i - STACK : i], (1, 2, 0))
            next_states[row] = np.transpose(self.frames[i - STACK + 1 : i + 1], (1, 2, 0))
        return (
            states,
            self.actions[picked],
            self.rewards[picked],
            next_states,
            self.terminal[picked],
        )


def preprocess(image):
    """Converts a screen to grey, 105x80, in [0, 1]."""
    grey = tf.image.rgb_to_grayscale(image)
    return (tf.image.resize(grey, (HEIGHT, WIDTH)) / 255.0).numpy()[:, :, 0]


def train(primary, target, memory):
    """Performs a train step on one minibatch, and a soft update of the target network."""
    states, actions, rewards, next_states, terminal = memory.sample()
    values = primary(states).numpy()
    best = np.argmax(primary(next_states).numpy(), axis=1)
    following = target(next_states).numpy()[np.arange(BATCH), best]
    values[np.arange(BATCH), actions] = rewards + GAMMA * following * ~terminal
    primary.train_on_batch(states, values)
    pairs = zip(target.trainable_variables, primary.trainable_variables, strict=True)
    for t, p in pairs:
        t.assign(t * (1 - TAU) + p * TAU)


def main() -> float:
    """Trains; returns env steps per second, with one train step each."""
    gym.register_envs(ale_py)
    env = gym.make('SpaceInvaders-v0')
    num_actions = 6
    primary, target = DuelingQ(num_actions), DuelingQ(num_actions)
    for network in (primary, target):
        network(np.zeros((1, HEIGHT, WIDTH, STACK), np.float32))
    primary.compile(optimizer=tf.keras.optimizers.Adam(), loss=tf.keras.losses.Huber())
    memory = Memory()
    image, _ = env.reset(seed=0)
    stack = np.repeat(preprocess(image)[:, :, np.newaxis], STACK, axis=2)
    for step in range(_DELAY_STEPS + _WARM_UP + _TIMED):
        if step == _DELAY_STEPS + _WARM_UP:
            began = time.perf_counter()
        if random.random() < EPSILON:
            action = random.randrange(num_actions)
        else:
            action = int(np.argmax(primary(stack[np.newaxis])))
        image, reward, terminated, truncated, _ = env.step(action)
        frame = preprocess(image)
        memory.add(frame, action, reward, terminated)
        stack = np.concatenate([stack[:, :, 1:], frame[:, :, np.newaxis]], axis=2)
        if step >= _DELAY_STEPS:
            train(primary, target, memory)
        if terminated or truncated:
            image, _ = env.reset()
            stack = np.repeat(preprocess(image)[:, :, np.newaxis], STACK, axis=2)
    return _TIMED / (time.perf_counter() - began)


if __name__ == '__main__':
    print(main())
