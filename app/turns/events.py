"""Tells, once for each time it is asked, that a file has something to read.

By epoll on Linux, and by kqueue where there is none (macOS, the BSDs). Safe for many threads, of
which one at a time polls.
"""

import select
import socket
import sys
from contextlib import suppress

if sys.platform == "linux":

    class _Files:
        def __init__(self) -> None:
            self._epoll = select.epoll()

        def add(self, number: int) -> None:
            """Tell of this file as long as it has something."""
            self._epoll.register(number, select.EPOLLIN)

        def arm(self, number: int) -> None:
            """Tell of the next event of this file, and of no other after it."""
            once = select.EPOLLIN | select.EPOLLONESHOT
            try:
                self._epoll.modify(number, once)
            except FileNotFoundError:
                self._epoll.register(number, once)

        def poll(self, seconds: float) -> list[int]:
            """The numbers of the files that have something, once there are any, or none."""
            return [number for number, _ in self._epoll.poll(seconds)]

else:

    class _Files:
        def __init__(self) -> None:
            self._kqueue = select.kqueue()

        def add(self, number: int) -> None:
            add = select.kevent(number, select.KQ_FILTER_READ, select.KQ_EV_ADD)
            self._kqueue.control([add], 0)

        def arm(self, number: int) -> None:
            once = select.KQ_EV_ADD | select.KQ_EV_ONESHOT
            self._kqueue.control([select.kevent(number, select.KQ_FILTER_READ, once)], 0)

        def poll(self, seconds: float) -> list[int]:
            return [event.ident for event in self._kqueue.control([], 64, seconds)]


class Events(_Files):
    """See `arm` and `poll`. Not for a child of the process that made it."""

    def __init__(self) -> None:
        super().__init__()
        self._bell, self._clapper = socket.socketpair()
        for end in (self._bell, self._clapper):
            end.setblocking(False)
        self.add(self._bell.fileno())

    def ring(self) -> None:
        """Have who polls come back."""
        with suppress(BlockingIOError):  # it has been rung more often than anybody can miss
            self._clapper.send(b"!")

    def close(self) -> None:
        """Once nobody polls any more."""
        self._bell.close()
        self._clapper.close()

    def look(self) -> list[int]:
        """What there is now. Leaves the bell to who polls, whom it is for."""
        return super().poll(0)

    def poll(self, seconds: float) -> list[int]:
        numbers = super().poll(seconds)
        if self._bell.fileno() in numbers:
            with suppress(BlockingIOError):
                self._bell.recv(4096)
        return numbers
