"""What many runs say: agents x environments x seeds, compared with honest intervals.

experiment    an experiment file: which runs it asks for, and the command of each
processes     programs side by side, none of which outlives this one
scheduler     checks every cell of an experiment, then runs what is missing
results       finished runs, read back from their directories
statistics    interquartile means, bootstrap intervals, probability of improvement
compare_runs  from results to numbers: scores, differences, claims, learning curves
report        from numbers to sentences and tables
figures       from numbers to pictures
safe_text     names and words from files, made safe to stand in a report
html_page     the report as Markdown, as JSON, and as one HTML file that opens offline
"""
