"""How the streams of rows are cut into items, and from when on transitions can be sampled.

Each environment has one column: the stream of its rows (see `rows`), episode after episode:

    column env_0   F M M M M L F M M M M M M ...        F: FIRST  M: MID  L: LAST
    item      |lead|-- starts --|tail|
                           |lead|-- starts --|tail|

An item is a block: `transitions_per_item` rows that may start a transition, a lead of rows
before them for their frame stacks, and a tail of rows after them for their n-step returns.
Neighbouring blocks share their leads and tails instead of copying them. A block may contain the
end of an episode.

The first block of each column may be short. Rows that start nothing (copies of the first one,
see `replay_client`) fill it up, so the number of transitions that training waits for is complete
as early as it can be. With 4 starts per item and training from 5 transitions of one environment
on, for one-step returns:

    column     c c c F M M M M M M M ...        c: copies of the first row
    items     |-----1-|t                        t: tail, shared with the next block
                      |---4---|t
                              |---4---| ...
"""

from __future__ import annotations

import dataclasses

from pipelines.experience.minibatches import TransitionShape


@dataclasses.dataclass(frozen=True)
class Blocks:
    """The layout of a table's items: blocks of rows, of `num_envs` columns."""

    num_envs: int
    shape: TransitionShape
    transitions_per_item: int  # L: rows of a block that may start a transition
    max_items: int
    min_transitions: int | None = None  # that training waits for; None: a whole item of each

    @property
    def rows(self) -> int:
        """The rows of a block, lead and tail included."""
        return self.shape.lead_rows + self.transitions_per_item + self.shape.tail_rows

    @property
    def max_starts(self) -> int:
        """How many rows that may start a transition fit into the table."""
        return self.max_items * self.transitions_per_item

    @property
    def kept_vector_steps(self) -> int:
        """So many of the newest vector steps fill the table."""
        # With one transition per item, LAST rows (at most every second row) are not items.
        rows = self.max_starts * (2 if self.transitions_per_item == 1 else 1)
        return -(-rows // self.num_envs) + self.rows

    @property
    def wanted(self) -> int:
        """How many transitions training waits for."""
        return self.min_transitions or self.num_envs * self.transitions_per_item

    @property
    def _blocks_each(self) -> int:
        """How many blocks of each column hold `wanted` starts."""
        return -(-self.wanted // (self.num_envs * self.transitions_per_item))

    @property
    def first_starts(self) -> int:
        """How many starts the first block of each column has, from 1 to L."""
        if self._blocks_each * self.num_envs > self.max_items:
            return self.transitions_per_item  # short items would be in the way of whole ones
        each = -(-self.wanted // self.num_envs)
        return each - (self._blocks_each - 1) * self.transitions_per_item

    @property
    def filling_rows(self) -> int:
        """How many copies of its first row fill up the first block of a column."""
        return self.transitions_per_item - self.first_starts

    @property
    def start_vector_steps(self) -> int:
        """After how many vector steps the table holds `wanted` starts.

        LAST rows in blocks count as starts. Where each transition is an item, they do not, and it
        is a vector step later for every one among the rows.
        """
        whole_blocks = self._blocks_each - 1
        starts = self.first_starts + whole_blocks * self.transitions_per_item
        return starts + self.shape.tail_rows

    def num_starts(self, num_items: int, num_inserted: int, filled_rows: int) -> int:
        """How many rows in the table may start a transition.

        Args:
          num_items: in the table.
          num_inserted: items inserted since the table was empty; the oldest are gone.
          filled_rows: copies in the first block of each column.
        """
        short_items = min(self.num_envs, num_inserted) - (num_inserted - num_items)
        return num_items * self.transitions_per_item - max(0, short_items) * filled_rows
