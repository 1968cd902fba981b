"""What a policy network's outputs mean: how to sample, and how likely a sample was.

    Categorical        logits [..., A] or [..., D, A]   discrete actions, one or D at a time
    Gaussian           mu, sigma [..., D]               unbounded actions (or ones the
                                                        environment clips)
    SquashedGaussian   mu, sigma [..., D], before tanh  actions within bounds

A sample is kept as it was drawn, before it is squashed: the logarithm of the density at
tanh's flat ends is exact that way, and inverting tanh there is not (Haarnoja et al. 2018, "Soft
actor-critic", appendix C, https://arxiv.org/abs/1801.01290).
"""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from agents import errors, masks
from agents.action_specs import DiscreteActions

Outputs = dict[str, tf.Tensor]
_INFINITE = 1e30  # TF-Agents replaces an infinite bound by the largest float32
KINDS = ('auto', 'categorical', 'gaussian', 'squashed_gaussian')


class Categorical:
    """Discrete actions; several at a time are drawn independently, each from its own logits.

    A sample is an index from 0 for each action, [...] or [..., D]; see `action_specs`.
    """

    def __init__(self, action_spec: tf.TensorSpec):
        self.actions = DiscreteActions(action_spec)
        shape = [len(self.actions.sizes)] if self.actions.are_several else []
        self.sample_spec = tf.TensorSpec(shape, self.actions.index_dtype, 'sample')

    def legal(self, outputs: Outputs, mask: tf.Tensor | None) -> Outputs:
        """`outputs` by which no action is drawn where `mask`, bool like the logits, is False."""
        if mask is None:
            return outputs
        return outputs | {'logits': masks.legal_logits(outputs['logits'], mask)}

    def _of(self, outputs: Outputs) -> tfp.distributions.Categorical:
        return tfp.distributions.Categorical(logits=outputs['logits'], dtype=self.sample_spec.dtype)

    def _over_all(self, of_each: tf.Tensor) -> tf.Tensor:
        """The sum over actions that are taken at the same time: they are independent."""
        return tf.reduce_sum(of_each, axis=-1) if self.actions.are_several else of_each

    def sample(self, outputs: Outputs) -> tf.Tensor:
        """One draw for each row of outputs."""
        return self._of(outputs).sample()

    def mode(self, outputs: Outputs) -> tf.Tensor:
        """The likeliest sample, the first of equally likely ones."""
        return tf.argmax(outputs['logits'], axis=-1, output_type=self.sample_spec.dtype)

    def action(self, sample: tf.Tensor) -> tf.Tensor:
        """What the environment is given."""
        return self.actions.action(sample)

    def log_prob(self, outputs: Outputs, sample: tf.Tensor) -> tf.Tensor:
        """float32, of the action that `sample` stands for."""
        return self._over_all(self._of(outputs).log_prob(sample))

    def entropy(self, outputs: Outputs) -> tf.Tensor:
        """float32, in nats."""
        return self._over_all(self._of(outputs).entropy())

    def explain(self, outputs: Outputs) -> Outputs:
        """What a user of the policy is shown."""
        return {'probabilities': tf.nn.softmax(outputs['logits'])}

    def metrics(self, outputs: Outputs) -> Outputs:
        """Numbers to log along with the entropy, float32 []."""
        del outputs
        return {}


class Gaussian:
    """Independent normal actions, one per dimension."""

    actions = None  # no discrete ones

    def __init__(self, action_spec: tf.TensorSpec):
        self.num_dimensions = int(np.prod(action_spec.shape))
        self._shape = action_spec.shape
        self.sample_spec = tf.TensorSpec([self.num_dimensions], tf.float32, 'sample')

    def legal(self, outputs: Outputs, mask: None) -> Outputs:
        """`outputs`: continuous actions have no mask."""
        del mask
        return outputs

    def _of(self, outputs: Outputs) -> tfp.distributions.Distribution:
        return tfp.distributions.MultivariateNormalDiag(outputs['mu'], outputs['sigma'])

    def sample(self, outputs: Outputs) -> tf.Tensor:
        """One draw for each row of outputs."""
        return self._of(outputs).sample()

    def mode(self, outputs: Outputs) -> tf.Tensor:
        """The likeliest sample."""
        return outputs['mu']

    def action(self, sample: tf.Tensor) -> tf.Tensor:
        """What the environment is given."""
        return tf.reshape(sample, tf.concat([tf.shape(sample)[:-1], self._shape], axis=0))

    def log_prob(self, outputs: Outputs, sample: tf.Tensor) -> tf.Tensor:
        """float32, of the action that `sample` stands for."""
        return self._of(outputs).log_prob(sample)

    def entropy(self, outputs: Outputs) -> tf.Tensor:
        """float32, in nats."""
        return self._of(outputs).entropy()

    def explain(self, outputs: Outputs) -> Outputs:
        """What a user of the policy is shown."""
        return {'mu': outputs['mu'], 'sigma': outputs['sigma']}

    def metrics(self, outputs: Outputs) -> Outputs:
        """Numbers to log along with the entropy, float32 []: means over steps and dimensions."""
        return {name: tf.reduce_mean(outputs[name]) for name in ('mu', 'sigma')}


class SquashedGaussian(Gaussian):
    """A Gaussian through tanh, stretched to the action's bounds."""

    def __init__(self, action_spec: tf.TensorSpec):
        super().__init__(action_spec)
        low, high = (
            np.broadcast_to(bound, action_spec.shape).astype(np.float32).reshape(-1)
            for bound in (action_spec.minimum, action_spec.maximum)
        )
        self._middle, self._reach = (high + low) / 2, (high - low) / 2  # [D]

    def action(self, sample: tf.Tensor) -> tf.Tensor:
        """What the environment is given, within its bounds."""
        return super().action(self._middle + self._reach * tf.tanh(sample))

    def _log_slope(self, sample: tf.Tensor) -> tf.Tensor:
        """log of d action / d sample, summed over dimensions."""
        # log(1 - tanh(u)^2) without cancellation
        log_tanh_slope = 2.0 * (math.log(2.0) - sample - tf.nn.softplus(-2.0 * sample))
        return tf.reduce_sum(log_tanh_slope + np.log(self._reach), axis=-1)

    def log_prob(self, outputs: Outputs, sample: tf.Tensor) -> tf.Tensor:
        """float32, of the action that `sample` stands for (Haarnoja et al. 2018, appendix C)."""
        return super().log_prob(outputs, sample) - self._log_slope(sample)

    def entropy(self, outputs: Outputs) -> tf.Tensor:
        """An estimate from one reparameterised draw, float32: it has no closed form."""
        noise = tf.random.normal(tf.shape(outputs['mu']))
        return super().entropy(outputs) + self._log_slope(outputs['mu'] + outputs['sigma'] * noise)


Distribution = Categorical | Gaussian


def make(kind: str, action_spec: tf.TensorSpec) -> Distribution:
    """The distribution of `kind` over `action_spec`.

    Args:
      kind: one of `KINDS`; 'auto' is categorical for discrete actions, squashed for bounded
        ones, else Gaussian.
      action_spec: of the environment.

    Raises:
      ConfigError: there is no such kind, or it does not fit the actions.
    """

    def fail(reason: str) -> NoReturn:
        raise errors.ConfigError(f'make_actor_critic_network.policy = {kind!r}: {reason}')

    if kind not in KINDS:
        fail(f'must be one of {KINDS}')
    discrete = action_spec.dtype.is_integer
    bounded = tensor_spec.is_bounded(action_spec) and bool(
        np.all(np.abs([action_spec.minimum, action_spec.maximum]) < _INFINITE)
    )
    if kind == 'auto':
        kind = 'categorical' if discrete else 'squashed_gaussian' if bounded else 'gaussian'
    if discrete and kind != 'categorical':
        fail("the environment's actions are discrete: use 'categorical'")
    if not discrete and kind == 'categorical':
        fail("the environment's actions are continuous: use 'gaussian' or 'squashed_gaussian'")
    if kind == 'squashed_gaussian' and not bounded:
        fail("the environment's actions have no bounds to squash them to: use 'gaussian'")
    if kind == 'categorical':
        return Categorical(action_spec)
    return (Gaussian if kind == 'gaussian' else SquashedGaussian)(action_spec)
