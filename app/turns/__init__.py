"""Requests take turns at running Python, and one thread watches for all who wait.

Only one thread at a time can run Python anyway. Left to the interpreter, threads that compete for
it wake one another after each short system call, and mostly in vain: half of the CPU time of a
`get` with 8 clients. So a request holds a turn while it computes, and lets go of it while it
waits.

What is waited for is watched in one place. Who lets go of a turn that nobody else wants watches
for all, and hands the turn to whom the first event belongs, mostly itself; while somebody
computes, nobody watches. So a thread sleeps until it has the turn, and none wakes to queue for it.
After the Leader/Followers pattern: Schmidt et al., Pattern-Oriented Software Architecture 2, 2000.

- `readable(socket, seconds)` waits for an answer, a `Gate` for another thread.
- `away()` is for what waits anywhere else, such as inside a library.
- `watch`, `ready`, `next` and `silent` are the worker's: connections that requests come from.

A turn is advice, not a lock. Who keeps it for longer than TURN_S while others want it goes on
without one, beside whoever comes next: nothing can be deadlocked by it, and a wait that is not
marked as one costs the others no more than that, and GUARD_S until it is noticed.
"""

from app.turns.watching import TURNS, Gate, Turns

__all__ = ["TURNS", "Gate", "Turns", "away", "readable", "taken"]

taken, away, readable = TURNS.taken, TURNS.away, TURNS.readable
