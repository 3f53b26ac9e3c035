"""Clients that do random things to the memories of a few users, and write down each."""

import contextlib
import itertools
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.model.looking import Memories
from tests.model.ops import ROUTES, SCOPED, Op
from tests.service import Service

SHARES = {"add": 44, "text": 22, "metadata": 12, "delete": 21, "delete_all": 1}
TRIES = 2  # of an add with an idempotency key
PAUSE_S = 0.05


class Clients:
    """Threads of them share what is known of the memories. `hot` are meant more often."""

    def __init__(
        self,
        service: Service,
        users: Sequence[str],
        shares: Mapping[str, int] = SHARES,
        *,
        keyed: float = 0,
    ) -> None:
        """`keyed` is the share of adds with an idempotency key, which are sent again if they
        fail."""
        self.service = service
        self.users = users
        self.shares = shares
        self.keyed = keyed
        self.ops: list[Op] = []  # append is atomic
        self.hot: list[str] = []
        self.hung: list[Op] = []
        self._clock = itertools.count()  # so is next
        self._known: dict[str, str] = {}  # memories that may be there, and whose they are
        self._lock = threading.Lock()

    def until_killed(self, seed: int) -> None:
        rng = random.Random(seed)
        with contextlib.suppress(httpx.TransportError):
            while True:
                self.act(rng)

    def until(self, stop: threading.Event, seed: int) -> None:
        """Also while the service is killed and comes back."""
        rng = random.Random(seed)
        while not stop.is_set():
            try:
                op = self.act(rng)
                if op.unknown:
                    self.follow(op, rng)
            except httpx.TransportError:
                stop.wait(PAUSE_S)

    @contextlib.contextmanager
    def working(self, seeds: Sequence[int]) -> Iterator[None]:
        """A thread for each of `seeds` asks all the time, until this is left."""
        stop = threading.Event()
        with ThreadPoolExecutor(len(seeds)) as pool:
            threads = [pool.submit(self.until, stop, seed) for seed in seeds]
            try:
                yield
            finally:
                stop.set()
            for thread in threads:
                thread.result()

    def act(self, rng: random.Random) -> Op:
        return self.ask(self._choose(rng))

    def follow(self, failed: Op, rng: random.Random) -> None:
        """Go on with what `failed` was about, as who was told of a failure does."""
        if failed.kind == "reset" or failed.kind in SCOPED:
            self.ask(self.adding(failed.user, keyed=True))
        elif failed.kind == "add":
            listing = self.ask(Op("get_all", failed.user, self.now()))
            for memory in listing.answer["results"] if listing.done else ():
                if memory["metadata"].get("add") == failed.started:
                    self.ask(self._changing(memory["id"], failed.user, rng))
        else:
            self.ask(self._changing(failed.memory_id, failed.user, rng))

    def ask(self, op: Op) -> Op:
        self.ops.append(op)
        try:
            response = self._answer(op)
        except httpx.TimeoutException:
            self.hung.append(op)
            raise
        op.status = response.status_code
        if response.is_success:
            op.answer = response.json()
            if op.kind == "add":
                op.ids = [memory["id"] for memory in op.answer["results"]]
        if not op.unknown:
            op.ended = self.now()
        self._learn(op)
        return op

    def adding(self, user: str, number: int = 1, *, keyed: bool = False) -> Op:
        """Each memory says in its metadata which add it comes from."""
        now = self.now()
        key = f"key-{now}" if keyed else None
        texts = [f"note {now}.{n}" for n in range(number)]
        return Op("add", user, now, values={"add": now}, texts=texts, key=key)

    def now(self) -> int:
        return next(self._clock)

    def forget(self) -> list[str]:
        """Do nothing more to the memories known now; their ids."""
        with self._lock:
            ids = list(self._known)
            self._known.clear()
        return ids

    def knows(self, memories: Memories) -> None:
        with self._lock:
            self._known = {id_: memory["user_id"] for id_, memory in memories.items()}

    def _answer(self, op: Op) -> httpx.Response:
        headers = {"Idempotency-Key": op.key} if op.key else {}
        for _ in range(TRIES if op.key else 1):
            response = self.service.post(ROUTES.get(op.kind, op.kind), op.body(), headers=headers)
            if response.status_code not in (503, 504):
                break
        return response

    def _choose(self, rng: random.Random) -> Op:
        [kind] = rng.choices(list(self.shares), list(self.shares.values()))
        with self._lock:
            known = list(self._known.items())
            hot = [(id_, self._known[id_]) for id_ in self.hot if id_ in self._known]
        if kind == "reset" or kind in SCOPED:
            return Op(kind, rng.choice(self.users), self.now())
        if kind == "add" or not known:
            user, number = rng.choice(self.users), rng.randint(1, 3)
            return self.adding(user, number, keyed=rng.random() < self.keyed)
        # Half of the time one of the newest, or of the hot ones, for threads to meet.
        few = hot or known[-6:]
        memory_id, user = rng.choice(few if rng.random() < 0.5 else known)
        if kind in ("text", "metadata"):
            return self._changing(memory_id, user, rng, kind)
        return Op(kind, user, self.now(), memory_id)

    def _changing(self, memory_id: str, user: str, rng: random.Random, kind: str = "") -> Op:
        kind = kind or rng.choice(["text", "metadata"])
        now = self.now()
        text, metadata = {"memory": f"other {now}"}, {f"key{rng.randrange(3)}": now}
        return Op(kind, user, now, memory_id, text if kind == "text" else metadata)

    def _learn(self, op: Op) -> None:
        with self._lock:
            if op.kind == "add":
                self._known |= dict.fromkeys(op.ids, op.user)
            elif op.kind == "get_all" and op.done:
                for memory in op.answer["results"]:
                    self._known.setdefault(memory["id"], op.user)
            elif op.status == 404 or (op.kind == "delete" and op.done):
                self._known.pop(op.memory_id, None)
