"""Training on replay: one sample from Reverb becomes many train steps in one compiled loop.

A sample's transitions are shuffled into minibatches inside the graph. The loop over the
minibatches can be compiled by XLA, which is faster for MLPs but not for convolutions on CPUs.
It does not hold the global interpreter lock, so collecting can run at the same time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from pipelines.experience.minibatches import MinibatchIndices, choose_minibatches, minibatch
from pipelines.experience.replay import Replay
from pipelines.native_noise import quiet_native_stderr
from pipelines.protocols import LearningAgent


class Learner:
    """Samples the replay and trains, up to `max_train_steps` per call."""

    def __init__(
        self,
        agent: LearningAgent,
        replay: Replay,
        *,
        batch_size: int,
        max_train_steps: int,
        fuse: bool,
    ):
        """Prepares the loop; nothing is sampled or traced yet.

        Args:
          agent: trained on `Transition`s of [batch_size, ...].
          replay: source of samples; if it is prioritised, samples are weighted, and their
            priorities are updated after the last train step of a call.
          batch_size: transitions per train step.
          max_train_steps: number of minibatches made from one sample.
          fuse: whether XLA compiles the loop over the minibatches.
        """
        self._agent, self._replay = agent, replay
        self._batch_size, self._max_train_steps = batch_size, max_train_steps
        self._samples: Iterator | None = None
        self._train = tf.function(self.advance, autograph=False)
        self.train_on = tf.function(self._train_on, autograph=False, jit_compile=fuse)

    def train(self, num_train_steps: int) -> dict[str, float]:
        """Performs exactly `num_train_steps` train steps, at most `max_train_steps`.

        Returns:
          `loss` and `mean_q`, averaged over the train steps.

        Raises:
          ReplayStalledError: nothing can be sampled.
        """
        with self.explained_stalls():
            loss, mean_q = self._train(tf.constant(num_train_steps))
        return {'loss': float(loss), 'mean_q': float(mean_q)}

    @contextlib.contextmanager
    def explained_stalls(self) -> Iterator[None]:
        """Within it, a graph may call `advance`; that nothing can be sampled is explained."""
        first_time = self._samples is None
        if first_time:
            self._samples = self._replay.samples()
        try:
            # XLA announces its first compilation on file descriptor 2.
            with quiet_native_stderr() if first_time else contextlib.nullcontext():
                yield
        except tf.errors.OutOfRangeError as e:
            raise self._replay.stalled('sampling') from e

    def choose(self, rows: tf.Tensor) -> MinibatchIndices:
        """Deals a sample's rows into minibatches [max_train_steps, batch_size].

        Args:
          rows: uint8 [I, T, row_bytes], blocks of consecutive rows.
        """
        return choose_minibatches(
            self._replay.codec.decode(rows),
            self._replay.shape,
            num_minibatches=self._max_train_steps,
            batch_size=self._batch_size,
        )

    def advance(self, num_train_steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`train` for the inside of a graph: mean loss and mean Q, float32 []."""
        assert self._samples is not None
        sample = next(self._samples)
        prioritisation = self._replay.prioritisation
        # A shuffle stays outside of XLA, whose random operations ignore the seed.
        in_xla = prioritisation is None and self._replay.transitions_per_item == 1
        indices = None if in_xla else self.choose(sample.data)
        if prioritisation is None:
            loss, mean_q, _ = self.train_on(sample.data, indices, num_train_steps)
            return loss, mean_q
        assert indices is not None
        keys, probabilities, num_items = (
            tf.gather(of_item, indices.block)  # [U, B]
            for of_item in (sample.info.key, sample.info.probability, sample.info.table_size)
        )
        weights = prioritisation.weights(probabilities, num_items)
        loss, mean_q, td_errors = self.train_on(sample.data, indices, num_train_steps, weights)
        highest = self._replay.update_priorities(
            tf.reshape(keys[:num_train_steps], [-1]),
            tf.reshape(prioritisation.priorities(td_errors[:num_train_steps]), [-1]),
        )
        tf.numpy_function(self._replay.note_priority, [highest], [], stateful=True)
        return loss, mean_q

    def _train_on(
        self,
        rows: tf.Tensor,
        indices: MinibatchIndices | None,
        num_train_steps: tf.Tensor,
        weights: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | tuple]:
        """Performs the train steps; decoding inside it, XLA makes one kernel of it all.

        Args:
          rows: uint8 [I, T, row_bytes].
          indices: of the minibatches; None to choose them here, where nothing is shuffled.
          num_train_steps: at most `max_train_steps`.
          weights: float32 [U, B], of each transition's loss.

        Returns:
          (mean loss [], mean Q [], TD errors [U, B] if there are weights).
        """
        blocks = self._replay.codec.decode(rows)
        if indices is None:
            indices = self.choose(rows)
        frame_stack = self._replay.shape.frame_stack

        def body(i, loss, mean_q, td_errors):  # type: ignore[no-untyped-def]
            this = tf.nest.map_structure(lambda t: t[i], indices)
            batch = minibatch(blocks, this, frame_stack)
            if weights is None:
                info = self._agent.train(batch)
            else:
                info = self._agent.train(batch, weights[i])
                td_errors = td_errors.write(i, info.extra.td_error)
            return i + 1, loss + info.loss, mean_q + info.extra.mean_q, td_errors

        td_errors = tf.TensorArray(tf.float32, self._max_train_steps, element_shape=[None])
        _, loss, mean_q, td_errors = tf.while_loop(
            lambda i, *_: i < num_train_steps,
            body,
            (tf.constant(0), tf.constant(0.0), tf.constant(0.0), td_errors),
            parallel_iterations=1,
        )
        count = tf.cast(num_train_steps, tf.float32)
        return loss / count, mean_q / count, () if weights is None else td_errors.stack()
