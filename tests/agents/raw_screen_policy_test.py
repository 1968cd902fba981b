import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from agents import conv_torso, frame_stack_network, policies, q_network, raw_screen_policy
from envs import atari
from envs.task import Task

ACTION = tensor_spec.BoundedTensorSpec([], tf.int64, 0, 5)


def make(height=84, width=84, max_pool=True):
    frame = tensor_spec.BoundedTensorSpec([height, width], tf.uint8, 0, 255, 'observation')
    stack = frame_stack_network.stacked_spec(frame, 4)
    settings = q_network.NetworkSettings(conv_torso.conv_torso, hidden_units=(8,))
    network = q_network.DuelingQNetwork(stack, ACTION, settings)
    network.create_variables()
    stacking = frame_stack_network.FrameStackNetwork(frame, network)
    frame_policy = policies.GreedyQPolicy(ts.time_step_spec(frame), ACTION, stacking)
    to_frame = raw_screen_policy.ScreensToFrame((210, 160), (height, width), max_pool)
    return frame_policy, raw_screen_policy.RawScreenPolicy(frame_policy, to_frame), to_frame


def test_area_weights_by_hand():
    np.testing.assert_allclose(
        raw_screen_policy.area_weights(5, 2), [[0.4, 0.4, 0.2, 0, 0], [0, 0, 0.2, 0.4, 0.4]]
    )
    np.testing.assert_allclose(raw_screen_policy.area_weights(210, 84).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.slow
def test_frames_are_those_of_the_environment_within_one_grey_level():
    """500 steps of real play, with two protocols' preprocessing."""
    for protocol in ('machado', 'tutorial'):
        chosen = atari.options(protocol)
        task = Task('ALE/SpaceInvaders-v5', chosen)
        env, emulator = task.evaluation_envs(1), task.emulator()
        _, _, to_frame = make(chosen.frame_height, chosen.frame_width, chosen.max_pool)
        rng = np.random.default_rng(0)
        step, screens = env.reset(seed=3), emulator.reset(seed=3)
        pairs = [(step.observation[0], screens)]
        while len(pairs) < 500:
            action = rng.integers(6)
            if step.is_last()[0]:
                step, screens = env.step(np.array([action])), emulator.reset()
            else:
                step, (screens, _, _) = env.step(np.array([action])), emulator.step(action)
            if not step.is_last()[0]:  # no action is chosen there
                pairs.append((step.observation[0], screens))
        frames, screens = (np.stack(x) for x in zip(*pairs, strict=True))
        difference = np.abs(to_frame(tf.constant(screens)).numpy().astype(int) - frames)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3  # 2 in 10 000; none where the sizes are halved


def test_it_acts_as_the_frame_policy_does_on_its_own_frames():
    frame_policy, policy, to_frame = make()
    rng = np.random.default_rng(0)
    state = twin_state = tf.zeros([3, 3, 84, 84], tf.uint8)
    for t in range(5):
        screens = tf.constant(rng.integers(0, 256, [3, 2, 210, 160, 3], np.uint8))
        kind = tf.constant([0 if t in (0, i) else 1 for i in range(3)])
        step = ts.TimeStep(kind, tf.zeros(3), tf.ones(3), screens)
        outputs, state = policy.outputs(step, state)
        twin, twin_state = frame_policy.outputs(
            step._replace(observation=to_frame(screens)), twin_state
        )
        np.testing.assert_array_equal(outputs['q_values'], twin['q_values'])
        np.testing.assert_array_equal(state, twin_state)
        np.testing.assert_array_equal(outputs['action'], np.argmax(twin['q_values'], axis=1))
