"""When the first transitions can be sampled, counted without a server."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.experience.blocks import Blocks
from pipelines.experience.minibatches import TransitionShape

counts = st.integers(1, 40)


def after(blocks, vector_steps):
    """(items of each environment, starts in the table) after so many vector steps."""
    rows = blocks.filling_rows + vector_steps - blocks.shape.tail_rows
    each = max(0, rows // blocks.transitions_per_item)
    inserted = each * blocks.num_envs
    items = min(inserted, blocks.max_items)
    return items, blocks.num_starts(items, inserted, blocks.filling_rows)


def test_the_example_of_the_module():
    """Training waits for 5 of one environment, 4 per item: the first item has 1 start."""
    blocks = Blocks(1, TransitionShape(1, 0.99), 4, 10, min_transitions=5)
    assert (blocks.first_starts, blocks.filling_rows, blocks.rows) == (1, 3, 5)
    assert [after(blocks, steps)[1] for steps in (1, 2, 5, 6, 9, 10)] == [0, 1, 1, 5, 5, 9]
    assert blocks.start_vector_steps == 6


def test_the_shipped_cartpole_configuration():
    """63 starts of each of 16 environments: three items of 16 and one of 15; then 3 rewards."""
    blocks = Blocks(16, TransitionShape(3, 0.98), 16, 3_125, min_transitions=1_000)
    assert (blocks.first_starts, blocks.start_vector_steps) == (15, 66)
    assert after(blocks, 66) == (64, 16 * 63)


@given(num_envs=counts, n=st.integers(1, 5), per_item=counts, wanted=counts, more=counts)
def test_training_can_begin_as_early_as_there_are_transitions(num_envs, n, per_item, wanted, more):
    """Where the table has room for one more item of each environment."""
    room = -(-wanted // per_item) + num_envs + more
    blocks = Blocks(num_envs, TransitionShape(n, 0.9), per_item, room, wanted)
    assert 1 <= blocks.first_starts <= per_item
    steps = blocks.start_vector_steps
    assert steps == -(-wanted // num_envs) + n
    assert after(blocks, steps)[1] >= wanted > after(blocks, steps - 1)[1]


@given(num_envs=counts, n=st.integers(1, 5), per_item=counts, items=counts, wanted=counts)
def test_a_small_table_holds_enough_too(num_envs, n, per_item, items, wanted):
    """What fits into the table is there in the end, and stays: short items leave it first."""
    blocks = Blocks(num_envs, TransitionShape(n, 0.9), per_item, items, wanted)
    if wanted > blocks.max_starts:
        return
    for steps in range(blocks.start_vector_steps, blocks.start_vector_steps + 5 * per_item):
        held, starts = after(blocks, steps)
        assert starts >= wanted and held <= items
    assert after(blocks, blocks.start_vector_steps - 1)[1] < wanted
