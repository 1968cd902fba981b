"""Exported weights without a policy around them."""

import json
import pathlib

import tensorflow as tf


def exported_weights(directory, arrays, card):
    """The files of an exported policy that hold its weights, as PolicySaver writes them."""
    root = tf.Module()
    root.model_variables = [tf.Variable(array) for array in arrays]
    tf.saved_model.save(root, str(directory))
    (pathlib.Path(directory) / 'policy_card.json').write_text(json.dumps(card))
    return directory
