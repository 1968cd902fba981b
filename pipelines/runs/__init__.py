"""A run's directory: what is kept while the run lasts, and what a finished run leaves.

run_dir        the directory: its lock, and which experiment it holds
identity       which experiment that is, in a file that is mended from checkpoints
training       what a session needs to know about an agent and its training
session        logging, evaluating, saving and stopping, around the turns of any algorithm
extent         how far a run is, and what is left of it
beginning      what a new run starts from:
warm_start     an old policy's weights     weights        what weights are called, in every export
callbacks      a user's own code that is told about the run
checkpoints    the states of a run's parts, verified before they are used
best_policy    evaluates while training, and keeps the best weights
records        opens and closes what grows while the run lasts:
progress       progress.csv, the live line      episode_log    episodes.csv, a line per episode
events         TensorBoard's event file         csv_log        a CSV file that a checkpoint can cut
curves         plots of progress.csv       published      published curves and scores
report         writes what a finished run leaves: policies, evaluation, pictures, summary
summary        summary.json                video          films of play
export         a policy as a SavedModel    export_proof   its proof in a clean process
known_policies  which of them this user has made or played
act            the signature of an exported policy: its inputs by name
"""
