import numpy as np
import psutil
import pytest
import tensorflow as tf
from tf_agents.trajectories import trajectory

from pipelines.errors import UserError
from pipelines.experience import memory
from pipelines.experience.rows import RowCodec

SCALAR = tf.TensorSpec([], tf.float32)
SPEC = trajectory.Trajectory(
    step_type=tf.TensorSpec([], tf.int32),
    observation=tf.TensorSpec([100, 100], tf.uint8),
    action=tf.TensorSpec([], tf.int64),
    policy_info=(),
    next_step_type=tf.TensorSpec([], tf.int32),
    reward=SCALAR,
    discount=SCALAR,
)
ROW_BYTES = 10_024


def forecast(capacity=1_000, rows_per_sample=10):
    return memory.Forecast(RowCodec(SPEC), capacity, capacity // 10, 16, rows_per_sample)


def test_before_the_first_row_frames_are_expected_to_shrink_five_fold():
    overhead = 100 * 760 + 63 * 750  # items, and chunks of 16
    assert forecast().table_bytes == 1_000 * (24 + 2_000) + overhead
    assert forecast().sample_bytes == 7 * 10 * ROW_BYTES


def test_noise_does_not_shrink_and_still_frames_shrink_more(monkeypatch):
    rng = np.random.default_rng(0)
    for frames, low, high in (
        (lambda: rng.integers(0, 256, (2, ROW_BYTES), dtype=np.uint8), 1.0, 1.0),
        (lambda: np.full((2, ROW_BYTES), 7, np.uint8), 0.0, 0.05),
    ):
        expected = forecast()
        measured = [i for i in range(1, 400) if expected.measure(frames())]
        assert measured == [64 + 15, 4 * 79 + 15]
        share = (expected.table_bytes - 100 * 760 - 63 * 750) / (1_000 * ROW_BYTES)
        assert low <= share <= high


def test_what_is_not_free_is_said_before_and_once_it_is_measured(monkeypatch):
    expected = forecast()
    monkeypatch.setattr(memory, 'available_bytes', lambda: 3_000_000)
    expected.check()  # 2.1 MB, and 0.7 MB of samples
    monkeypatch.setattr(memory, 'available_bytes', lambda: 1_775_305)  # half the table, and samples
    with pytest.raises(UserError, match='0.0 GiB of it for samples.*at most 500 fit'):
        expected.check()
    monkeypatch.setattr(memory, 'available_bytes', lambda: 3_000_000)
    noise = np.random.default_rng(0).integers(0, 256, (79, 1, ROW_BYTES), dtype=np.uint8)
    assert [expected.measure(rows) for rows in noise][-1]
    with pytest.raises(UserError, match=r'shrink to 100%, and 0.0 GiB are free: at most \d+ fit'):
        expected.check(num_stored=79)
    expected.check(num_stored=900)  # little is still to come


def test_samples_that_are_most_of_what_is_needed_are_named(monkeypatch):
    monkeypatch.setattr(memory, 'available_bytes', lambda: 3_000_000)
    with pytest.raises(UserError, match='train_ddqn.batch_size: the samples of a turn need'):
        forecast(rows_per_sample=100).check()  # 4 MB


@pytest.mark.parametrize('version', [1, 2])
@pytest.mark.parametrize('in_container', [False, True])
def test_limits_of_cgroups_of_both_versions(tmp_path, monkeypatch, version, in_container):
    names = ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file')
    lines = '9:cpu:/\n4:memory,hugetlb:/job/run\n0::/other\n'
    mount = tmp_path / 'memory'
    if version == 2:
        names, lines, mount = (
            ('memory.max', 'memory.current', 'inactive_file'),
            '0::/job/run\n',
            tmp_path,
        )
    where = mount if in_container else mount / 'job'  # the limit of the one above holds too
    where.mkdir(parents=True, exist_ok=True)
    (tmp_path / 'cgroup').write_text(lines)
    (where / names[0]).write_text('1000\n')
    (where / names[1]).write_text('400\n')
    (where / 'memory.stat').write_text(f'anon 300\n{names[2]} 100\n')
    if not in_container:
        (mount / 'job' / 'run').mkdir()
        (mount / 'job' / 'run' / names[0]).write_text('max\n')
    assert list(memory._cgroup_limits(tmp_path, tmp_path)) == [(1000, 300)]
    monkeypatch.setattr(memory, '_cgroup_limits', lambda *_: iter([(1000, 300)]))
    assert memory.available_bytes() == 700
    monkeypatch.setattr(memory, '_cgroup_limits', lambda *_: iter([]))
    assert memory.available_bytes() == pytest.approx(psutil.virtual_memory().available, rel=0.5)
