"""Both stores in one file, made while the service runs, and put back.

The vectors and the history of a backup are of one moment, in which no write is half done:

- embedded: writers wait (door.py) while the folder of the vectors is copied; the points are read
  from the copy, in this process, and nobody waits for that;
- on a Qdrant server: the points are read while everybody writes, then those that the history says
  were changed meanwhile once more; writers of all processes wait for the last of these alone.

The history is copied by SQLite's own online backup, from a snapshot of that moment. What was
deleted before it is not in the file, also not as room that was not given back.
"""
