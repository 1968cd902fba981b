import contextlib
import fractions
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import assembly, gin_config
from pipelines.errors import UserError
from pipelines.loops.turns import MAX_TRAIN_STEPS_PER_TURN, TrainRatio, side_by_side
from pipelines.settings import DdqnSettings


@given(
    st.sampled_from([0.25, 0.5, 1.0, 2.0, 1 / 3, 0.1, 7.0]),
    st.integers(1, 16),
    st.lists(st.integers(0, 16), min_size=1, max_size=200),
)
def test_the_ratio_is_exact_after_every_turn(ratio, num_envs, resets):
    """However many steps of a turn only start episodes; a turn never exceeds its limit."""
    train_ratio = TrainRatio(ratio, num_envs)
    env_steps = train_steps = 0
    for starts in resets:
        env_steps += train_ratio.vector_steps * num_envs - min(starts, num_envs)
        due = train_ratio.train_steps_due(env_steps, train_steps)
        assert 0 <= due <= train_ratio.max_train_steps <= MAX_TRAIN_STEPS_PER_TURN
        train_steps += due
        exact = fractions.Fraction(ratio).limit_denominator(10**6) * env_steps
        assert train_steps == int(exact)


def test_turns_by_hand():
    ratio = TrainRatio(1.0, 16)
    assert (ratio.vector_steps, ratio.max_train_steps) == (8, 128)
    ratio = TrainRatio(0.25, 8)  # Atari: at most 256 env steps per turn
    assert (ratio.vector_steps, ratio.max_train_steps) == (32, 64)
    ratio = TrainRatio(1.0, 1, max_train_steps_per_turn=1)  # the tutorials'
    assert (ratio.vector_steps, ratio.max_train_steps) == (1, 1)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((0.0, 4), 'train_steps_per_env_step = 0.0'),
        ((-1.0, 4), 'train_steps_per_env_step = -1.0'),
        ((10.0, 16), 'owes 160 train steps'),
        ((1.0, 4, 200), 'max_train_steps_per_turn = 200'),
    ],
)
def test_impossible_turns_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        TrainRatio(*arguments)


def test_both_sides_have_ended_when_side_by_side_returns_or_raises():
    done = []

    def slow_collect():
        time.sleep(0.05)
        done.append('collected')

    metrics = {'loss': 1.0}
    assert side_by_side(slow_collect, lambda: metrics) is metrics
    assert done == ['collected']
    with pytest.raises(ZeroDivisionError):
        side_by_side(slow_collect, lambda: 1 / 0)
    assert done == ['collected'] * 2
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda: 1 / 0, lambda: metrics)


@contextlib.contextmanager
def training(tmp_path, *bindings, num_envs=4, overlap=False, ratio=0.25, per_turn=16):
    """Parts that train; by default a step per four env steps, in turns of 16 vector steps."""
    gin_config.parse(None, ['mlp_torso.units = (8,)', 'Replay.rows_per_chunk = 4', *bindings])
    settings = DdqnSettings(
        num_envs=num_envs, train_steps_per_env_step=ratio, max_train_steps_per_turn=per_turn,
        batch_size=8, dueling=False, min_replay_transitions=100, fuse_train_steps=False,
        overlap=overlap,
    )  # fmt: skip
    parts = assembly.assemble_ddqn(settings, 0, tmp_path)
    with parts.replay:
        parts.collector.reset(0)
        while parts.collect_and_train.learning_start_env_steps is None:
            parts.collect_and_train.run(10**6, until_env_steps=10**6)
        yield parts


@pytest.mark.slow
def test_turns_in_the_graph_keep_the_ratio_and_end_with_the_turn_that_reaches_the_limit(
    tmp_path, monkeypatch
):
    monkeypatch.setattr('pipelines.loops.turns._MAX_SECONDS_IN_GRAPH', 600.0)
    with training(tmp_path) as parts:
        env_steps, loop = parts.training.env_steps, parts.collect_and_train
        start = loop.learning_start_env_steps
        for limit in (500, 501, 900):
            before = int(env_steps)
            turns = loop.run(10**6, until_env_steps=limit)
            assert limit <= int(env_steps) < max(before, limit) + 4 * parts.ratio.vector_steps
            assert int(parts.agent.train_step_counter) == (int(env_steps) - start) // 4
            assert all(np.isfinite(turn.metrics['loss']) for turn in turns)
        before = int(env_steps)
        assert len(loop.run(parts.ratio.vector_steps + 3, until_env_steps=10**6)) == 2
        assert int(env_steps) > before + 4 * parts.ratio.vector_steps
        assert int(parts.agent.train_step_counter) == (int(env_steps) - start) // 4


@pytest.mark.slow
@pytest.mark.parametrize('overlap', [False, True])
def test_the_last_episode_ends_the_run_in_the_middle_of_a_turn(tmp_path, overlap):
    with training(tmp_path, num_envs=1, overlap=overlap) as parts:
        loop, statistics = parts.collect_and_train, parts.training.statistics
        before, turns = statistics.num_episodes, []
        while statistics.num_episodes < before + 9:
            left = before + 9 - statistics.num_episodes
            turns += loop.run(10**6, until_env_steps=10**6, end_after_episodes=left)
        assert statistics.num_episodes == before + 9
        ended, env_steps = statistics.take_ended(), int(parts.training.env_steps)
        assert ended[-1].env_steps == env_steps == statistics.env_steps == turns[-1].env_steps
        # What is due at the end has been trained, although the turn was cut short.
        learning_env_steps = env_steps - loop.learning_start_env_steps
        train_steps = int(parts.agent.train_step_counter)
        assert train_steps == learning_env_steps // 4 > 0
        assert train_steps == sum(turn.train_steps for turn in turns)


def test_a_pause_finishes_the_turn_in_which_the_episode_ended(tmp_path, monkeypatch):
    monkeypatch.setattr('pipelines.loops.turns._MAX_SECONDS_IN_GRAPH', 600.0)
    with training(tmp_path) as parts:
        loop, statistics = parts.collect_and_train, parts.training.statistics
        for count in (1, 1, 40):
            before, env_steps = statistics.num_episodes, int(parts.training.env_steps)
            turns = loop.run(10**6, until_env_steps=10**6, pause_after_episodes=count)
            assert statistics.num_episodes >= before + count
            ended = statistics.take_ended()[-(statistics.num_episodes - before) :]
            begins = turns[-2].env_steps if len(turns) > 1 else env_steps
            assert begins < ended[count - 1].env_steps <= turns[-1].env_steps
            assert int(parts.training.env_steps) == turns[-1].env_steps
            starts = sum(episode.env_steps <= turns[-1].env_steps for episode in ended)
            whole = len(turns) * parts.ratio.vector_steps * 4
            assert whole - starts - 4 <= turns[-1].env_steps - env_steps <= whole


@pytest.mark.slow
def test_the_order_of_a_textbook_has_one_train_step_after_each_env_step(tmp_path):
    items = ('Replay.transitions_per_item = 1', 'Replay.rows_per_chunk = 1')
    with training(tmp_path, *items, num_envs=1, ratio=1.0, per_turn=1) as parts:
        assert parts.ratio.vector_steps == 1
        env_steps, trained = parts.training.env_steps, parts.agent.train_step_counter
        start = parts.collect_and_train.learning_start_env_steps
        for vector_steps in (1, 1, 1, 300):
            env_before, trained_before = int(env_steps), int(trained)
            turns = parts.collect_and_train.run(vector_steps, until_env_steps=10**6)
            trained_in = sum(turn.train_steps for turn in turns)
            # A vector step that only starts an episode counts for nothing.
            assert int(trained) - trained_before == int(env_steps) - env_before == trained_in
            assert int(trained) == int(env_steps) - start
        assert len(turns) > 10


@pytest.mark.slow
def test_a_loss_that_is_not_finite_leaves_the_graph_as_it_is(tmp_path):
    with training(tmp_path, 'adam.learning_rate = 1e38', "QLearningAgent.loss = 'mse'") as parts:
        turns = parts.collect_and_train.run(200, until_env_steps=10**6)
    assert not np.isfinite(turns[-1].metrics['loss'])


@pytest.mark.slow
def test_what_an_environment_raises_in_the_graph_arrives_unwrapped(tmp_path):
    class Broken(Exception):
        pass

    def step(action):
        raise Broken('the simulator is gone')

    with training(tmp_path) as parts, pytest.raises(Broken, match='the simulator is gone'):
        parts.training.envs.step = step
        parts.collect_and_train.run(10, until_env_steps=10**6)
