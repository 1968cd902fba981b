"""Ends a run as soon as an evaluation is good enough; copy it to where you work:

train_ddqn.callbacks = [('early_stopping:EarlyStopping', {'at_return': 475.0})]
"""


class EarlyStopping:
    """Stops where the policy's mean return without exploration is at least `at_return`."""

    def __init__(self, at_return):
        self.at_return = at_return

    def after_evaluation(self, run):
        reached = run.metrics['eval_return_mean']
        if reached >= self.at_return:
            run.stop(f'an evaluation of {reached:g}, where {self.at_return:g} is enough')
