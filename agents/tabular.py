"""Q-learning and double Q-learning with tables, many independent runs at once, in NumPy.

Sources: Watkins and Dayan 1992, "Q-learning" (https://doi.org/10.1007/BF00992698); van Hasselt
2010, "Double Q-learning", algorithm 1
(https://papers.nips.cc/paper/2010/hash/091d584fced301b442654dd8c23b3fc9-Abstract.html). Not
here: step sizes that fall more slowly than 1/n, eligibility traces.
"""

from __future__ import annotations

import numpy as np

from agents import errors


class TabularQLearning:
    """R runs of Q-learning, or of double Q-learning, on S states and A actions.

    Q-learning moves one table towards

        r + discount * Q(s', a*),     a* = argmax_a Q(s', a)

    Double Q-learning has two. For each run and step a coin says which of them, Q, moves towards

        r + discount * Q'(s', a*),    a* = argmax_a Q(s', a),   Q' being the other one

    so the table that chooses a* and the table that values it have seen different rewards. Both
    methods act epsilon-greedily, double Q-learning on the sum of its tables. Among equally good
    actions they choose at random.
    """

    def __init__(
        self,
        num_runs: int,
        num_states: int,
        num_actions: int,
        *,
        double: bool,
        step_size: float | None,
        epsilon: float,
        seed: int,
        initial: np.ndarray | float = 0.0,
    ):
        """Makes the tables.

        Args:
          num_runs: R, independent of each other.
          num_states: S.
          num_actions: A.
          double: two tables and a coin.
          step_size: in (0, 1]; None for 1/n, n being how often a table's entry was updated.
          epsilon: in [0, 1], the share of random actions.
          seed: of exploration, coins, and the choice among equally good actions.
          initial: where every table starts, float [S, A].

        Raises:
          ConfigError: a value out of its range.
        """
        if step_size is not None and not 0.0 < step_size <= 1.0:
            raise errors.ConfigError(
                f'TabularQLearning.step_size = {step_size}: must be in (0, 1], or None for 1/n'
            )
        if not 0.0 <= epsilon <= 1.0:
            raise errors.ConfigError(
                f'TabularQLearning.epsilon = {epsilon}: must be between 0 and 1'
            )
        self._step_size, self._epsilon = step_size, epsilon
        self._tables = np.zeros((2 if double else 1, num_runs, num_states, num_actions))
        self._tables += initial
        self._updates = np.zeros(self._tables.shape, int)
        self._generator = np.random.default_rng(seed)

    @property
    def q_values(self) -> np.ndarray:
        """float64 [R, S, A]: the estimate; for double Q-learning the mean of the two tables."""
        return self._tables.mean(axis=0)

    def act(self, state: np.ndarray) -> np.ndarray:
        """Epsilon-greedy actions int [R] in the states int [R]."""
        runs = np.arange(len(state))
        greedy = self._argmax(self._tables[:, runs, state].sum(axis=0))  # [R]
        random = self._generator.integers(self._tables.shape[-1], size=len(state))
        return np.where(self._generator.random(len(state)) < self._epsilon, random, greedy)

    def update(
        self,
        state: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        discount: np.ndarray,
        next_state: np.ndarray,
        lived: np.ndarray,
    ) -> None:
        """Learns from one transition of each run.

        Args:
          state: int [R].
          action: int [R].
          reward: float [R].
          discount: float [R], gamma included; 0 where the transition terminates.
          next_state: int [R].
          lived: bool [R]; runs where it is False have no transition now and learn nothing.
        """
        runs = np.flatnonzero(lived)  # [L], and so is everything below
        choosing_table = self._generator.integers(len(self._tables), size=len(runs))
        valuing_table = len(self._tables) - 1 - choosing_table  # the other one, or the only one
        following = next_state[runs]
        best = self._argmax(self._tables[choosing_table, runs, following])
        bootstrap = self._tables[valuing_table, runs, following, best]
        entry = (choosing_table, runs, state[runs], action[runs])
        self._updates[entry] += 1
        step_size = 1.0 / self._updates[entry] if self._step_size is None else self._step_size
        target = reward[runs] + discount[runs] * bootstrap
        self._tables[entry] += step_size * (target - self._tables[entry])

    def _argmax(self, q_values: np.ndarray) -> np.ndarray:
        """int [N]: the best action of each row [N, A], at random among equally good ones."""
        best = q_values == q_values.max(axis=1, keepdims=True)  # [N, A]
        return np.argmax(best * self._generator.random(q_values.shape), axis=1)
