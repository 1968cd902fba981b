"""The tutorials that this project was made from: found by title, run as published, shown.

catalogue       what configs/tutorials/*.toml says of each tutorial, and which one is meant
running         makes the runs of a tutorial's experiment, and says how far they are
provenance      when, where and from which commit they were made
cells           finished and unfinished runs, read back episode by episode
pictures        what all figures share
by_episode      figure and numbers of a tutorial with one curve over training episodes
double_q        of the agents with and without noise
biased_maximum  the example of a maximum that is too high, computed
space_invaders  of reward and loss in Space Invaders, and the films
bandit          of mu, sigma and reward by update
page            everything about one tutorial as one HTML file that opens offline
"""
