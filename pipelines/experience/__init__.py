"""What agents are trained on: the replay, and the queue of whole episodes.

replay          the replay of a run: Reverb's table and server, and a log on disk
replay_client   clients of that server: writer, dataset, priorities
guard           notices that a table makes no progress, or that another program changed it
rows            one time step as one row of bytes
log             the rows on disk, each written once
reuse           another run's rows fill a new replay
memory          how much memory a replay takes
minibatches     sampled rows become n-step transitions on stacked frames, inside the graph
episode_queue   whole episodes, each used once
"""
