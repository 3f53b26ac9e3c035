"""Backup and restore: both stores in one file, which is made while the service runs.

The vectors and the history in a backup are of one moment, in which no write is half done:

- embedded: writers wait (door.py) while the folder of the vectors is copied; the points are then
  read from the copy, and no writer waits for that;
- on a Qdrant server: the points are read while writers go on. Those that changed meanwhile,
  according to the history, are read again; writers of all processes wait only for the last few.

The history is copied by SQLite's online backup, from a snapshot of that moment. Data that was
deleted before it is not in the file, not even in unused pages.
"""
