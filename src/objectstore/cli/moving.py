"""Tasks carried out, some at a time, and what is told of them meanwhile and at the end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias

from objectstore.cli.count import Count
from objectstore.cli.exits import FAILED, INTERRUPTED, OK, code_of
from objectstore.cli.live import Live, duration
from objectstore.cli.looping import in_loop
from objectstore.cli.output import Output, as_json, complain, human_size, in_words, told
from objectstore.cli.stores import Stores
from objectstore.cli.tasks import Task, ToDo
from objectstore.client.gathering import in_thread
from objectstore.client.syncing.plan import Plan
from objectstore.client.syncing.times import time_for_file
from objectstore.client.transfers.jobs import Download, Event, Job, Moved, Started, Transferred
from objectstore.errors import ObjectStoreError, Retryable, StorageFull, Unauthenticated
from objectstore.values import ObjectInfo

Error: TypeAlias = ObjectStoreError | OSError
After: TypeAlias = Callable[[Task, ObjectInfo], None]
AT_ONCE: Final = 128  # objects, unless the user says otherwise; the server syncs those that come together once
_INTERRUPTED: Final = "interrupted; run it again to go on"
_GRACE: Final = 2.0  # seconds for what is under way to end in good order
_PERIOD: Final = 1.0  # seconds between two documents about progress
# What will happen to all that follows, too.
_HOPELESS: Final = (Unauthenticated, StorageFull, Retryable)


class Teller:
    """Tells of the work of one command: to people by a live display and a summary, to programs by events."""

    def __init__(self, out: Output, verb: str, now: Callable[[], float] = time.monotonic) -> None:
        self.failures: list[tuple[str, Error]] = []
        self.stopped = ""  # why the rest was not tried
        self._out = out
        self._verb = verb  # what was done: "copied"
        self._now = now
        self.count = Count(files=0, total=0, begun=now())
        self._next = now() + _PERIOD
        self._done: dict[Job, int] = {}
        self._summed_up = False
        self._telling = threading.Lock()
        drawn = not (out.json or out.quiet) and sys.stderr.isatty()
        self._live = Live(sys.stderr, now) if drawn else None

    def expect(self, todo: ToDo) -> None:
        """All of this is going to be told of."""
        self.count.files += len(todo.tasks) + len(todo.same) + len(todo.report.failed)
        self.count.total += sum(task.size for task in todo.tasks) + sum(task.size for task, _ in todo.same)
        for task, info in todo.same:
            self.skipped(task, info)
        for name, error in todo.report.failed.items():
            self.failed(name, error)
        for name, reason in todo.report.ignored.items():
            if self._out.json:
                self.event("ignored", source=name, reason=reason)
            else:
                self._out.say(f"left alone: {name}: {reason}")

    def happened(self, tasks: Mapping[Job, Task], event: Event) -> None:
        if isinstance(event, Started) and self._out.json:
            task = tasks[event.job]
            self.event("started", source=task.source, target=task.target, size=task.size)
        elif isinstance(event, Moved):
            with self._telling:
                self.count.bytes += event.done - self._done.get(event.job, 0)
                self._done[event.job] = event.done
            self._show()

    def skipped(self, task: Task, info: ObjectInfo) -> None:
        with self._telling:
            self.count.bytes += info.size - self._done.pop(task.job, 0)
            self.count.skipped += 1
            self.count.skipped_bytes += info.size
        self._show()
        if self._out.json:
            self.event("skipped", source=task.source, target=task.target, size=info.size)

    def done(self, task: Task, info: ObjectInfo) -> None:
        with self._telling:
            self.count.bytes += info.size - self._done.pop(task.job, 0)
            self.count.done += 1
        self._show()
        if self._out.json:
            self.event("done", source=task.source, target=task.target, size=info.size)

    def failed(self, name: str, error: Error, job: Job | None = None) -> None:
        with self._telling:
            self.count.failed += 1
            if job is not None:
                self.count.bytes -= self._done.pop(job, 0)
        self.failures.append((name, error))
        self._show()
        if self._out.json:
            self.event("failed", source=name, error=told(error))

    def deleted(self, name: str) -> None:
        self.count.deleted += 1
        if self._out.json:
            self.event("deleted", target=name)

    def event(self, name: str, **facts: object) -> None:
        with self._telling:
            # Written at once, so that lines of two threads do not run into each other.
            stream = sys.stderr if self._out.data_is_taken else sys.stdout
            stream.write(as_json({"event": name, **facts}) + "\n")
            stream.flush()

    def sum_up(self, remark: str = "") -> None:
        """What has become of it, and what has failed, at the end where it is seen."""
        if self._summed_up:
            return
        self._summed_up = True
        count, now = self.count, self._now()
        self.close()
        remark = remark or self.stopped
        if self._out.json:
            self.event(
                "summary",
                done=count.done,
                skipped=count.skipped,
                failed=count.failed,
                deleted=count.deleted,
                files=count.files,
                bytes=count.moved,
                seconds=now - count.begun,
                complete=not (remark or count.failed),
                stopped=remark or None,
            )
            return
        for name, error in self.failures:
            complain(f"{name}: {in_words(error)}")
        self._out.say(f"{_summary(self._verb, count, now)}{remark and '; '}{remark}")

    def rehearsed(self, plan: Plan) -> None:
        """Nothing is done; this would have been."""
        count = self.count
        count.files = len(plan.copies) + len(plan.same)
        count.done, count.skipped, count.deleted = len(plan.copies), len(plan.same), len(plan.deletions)
        count.bytes = plan.size
        self._verb = f"would have {self._verb}"

    def close(self) -> None:
        if self._live is not None:
            self._live.close()

    def code(self) -> int:
        """The exit code: that of the errors when they are all of a kind."""
        codes = {code_of(error) for _, error in self.failures}
        if not codes:
            return FAILED if self.stopped else OK
        return codes.pop() if len(codes) == 1 else FAILED

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(self.count)
        elif self._out.json and (now := self._now()) >= self._next:
            self._next = now + _PERIOD
            count = self.count
            self.event(
                "progress",
                files=count.ended,
                of=count.files,
                bytes=count.bytes,
                total=count.total,
                rate=count.rate(now),
                left=count.left(now),
            )


def _summary(verb: str, count: Count, now: float) -> str:
    rate = count.rate(now)
    speed = f", {human_size(int(rate))}/s" if rate is not None else ""
    parts = [f"{verb} {count.done} ({human_size(count.moved)} in {duration(now - count.begun)}{speed})"]
    parts += [f"{number} {what}" for number, what in ((count.skipped, "the same already"),) if number]
    parts += [f"deleted {count.deleted}"] if count.deleted else []
    parts += [f"failed {count.failed}"] if count.failed else []
    return ", ".join(parts)


@contextmanager
def telling(out: Output, verb: str) -> Iterator[Teller]:
    """A teller that sums up at the end, also when it is Ctrl-C."""
    teller = Teller(out, verb)
    try:
        with _ending_soon(teller):
            yield teller
    except (KeyboardInterrupt, SystemExit):
        teller.sum_up(_INTERRUPTED)
        raise
    except BaseException:
        teller.close()
        raise
    teller.sum_up()


@contextmanager
def _ending_soon(teller: Teller) -> Iterator[None]:
    """Let Ctrl-C end the program soon, even when threads wait for a server that does not answer.

    All that a later run goes on from is on the disk at any time, as it has to be for a crash.
    """

    def leave() -> None:
        teller.sum_up(_INTERRUPTED)
        os._exit(INTERRUPTED)

    def interrupted(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        timer = threading.Timer(_GRACE, leave)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is interrupted:
            signal.signal(signal.SIGINT, before)


def carry_out(tasks: Sequence[Task], at_once: int, stores: Stores, teller: Teller, after: After | None = None) -> None:
    """Do all of it, as far as there is hope; `after` is done when a task has succeeded."""
    if tasks:
        in_loop(_carried_out(tasks, at_once, stores, teller, after))


async def _carried_out(
    tasks: Sequence[Task], at_once: int, stores: Stores, teller: Teller, after: After | None
) -> None:
    # In an event loop: of many small files, threads would spend most of their time on handing the interpreter over.
    for store, group in groupby(tasks, key=lambda task: task.store):
        by_job = {task.job: task for task in group}
        async with stores.awaiting(store, at_once) as there:
            works = there.transfer(by_job, concurrency=at_once, on_event=partial(teller.happened, by_job))
            async with aclosing(works) as results:
                async for one in results:
                    await _ended(one, by_job[one.job], teller, after)
                    if isinstance(one.error, _HOPELESS):
                        teller.stopped = "stopped there; run it again to go on"
                        return


async def _ended(one: Transferred, task: Task, teller: Teller, after: After | None) -> None:
    error = one.error
    if error is None and one.info is not None:
        try:
            if isinstance(task.job, Download):
                _set_time(Path(task.job.path), one.info)
            if after is not None:
                await in_thread(partial(after, task, one.info))
        except (ObjectStoreError, OSError) as caught:
            error = caught
    if error is not None:
        teller.failed(task.source, error, task.job)
    elif one.info is not None:
        (teller.skipped if one.skipped else teller.done)(task, one.info)


def _set_time(path: Path, info: ObjectInfo) -> None:
    changed = time_for_file(info)
    if path.is_file():
        os.utime(path, ns=(changed, changed))
