"""Threads that take turns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from queue import Queue

import pytest
from tests.simulation.turns import Stuck, now, taking_turns


def busy(log: list[str]) -> None:
    """Let threads wait for each other in many ways."""
    lock = threading.Lock()
    begin = threading.Event()
    changed = threading.Condition()
    items: Queue[int] = Queue(2)
    handed: list[int] = []

    def note(what: str) -> None:
        with lock:
            log.append(what)

    def consume() -> None:
        begin.wait()
        for _ in range(5):
            note(f"got {items.get()}")
        with changed:
            handed.append(1)
            changed.notify_all()

    def produce(number: int) -> int:
        begin.wait(timeout=1e-9)
        for item in range(5):
            note(f"{number} gives {item}")
            items.put(item)
        with changed:
            changed.wait_for(lambda: len(handed) == 2)
        return number

    consumers = [threading.Thread(target=consume) for _ in range(2)]
    for consumer in consumers:
        consumer.start()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(produce, number) for number in range(2)]
        begin.set()
        wait(futures, return_when=FIRST_COMPLETED)
    for consumer in consumers:
        consumer.join()


def test_the_same_seed_gives_the_same_order() -> None:
    orders = set()
    for seed in range(30):
        logs: list[list[str]] = [[], []]
        for log in logs:
            with taking_turns(seed):
                busy(log)
        assert logs[0] == logs[1]
        assert len(logs[0]) == 20
        orders.add(tuple(logs[0]))
    assert len(orders) > 20


def run_both(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_race_between_two_threads_is_found() -> None:
    def count(seed: int) -> int:
        total = 0
        with taking_turns(seed):
            lock = threading.Lock()

            def add() -> None:
                nonlocal total
                with lock:
                    before = total
                with lock:
                    total = before + 1

            run_both(add, add)
        return total

    assert {count(seed) for seed in range(200)} == {1, 2}


def test_threads_that_wait_for_each_other_are_told_of() -> None:
    def cross(seed: int) -> None:
        with taking_turns(seed):
            one, two = threading.Lock(), threading.Lock()

            def forth() -> None:
                with one, two:
                    pass

            def back() -> None:
                with two, one:
                    pass

            run_both(forth, back)

    def cross_often() -> None:
        for seed in range(200):
            cross(seed)

    cross(0)
    with pytest.raises(Stuck, match=r"(?s)in (forth|back)\n.*in (forth|back)\n"):
        cross_often()


def test_a_thread_that_is_left_over_is_told_of() -> None:
    def leave() -> None:
        with taking_turns(0):
            never = threading.Event()
            threading.Thread(target=never.wait, name="left over", daemon=True).start()

    with pytest.raises(Stuck, match="left over"):
        leave()


def test_what_is_waited_for_comes_when_nothing_else_can() -> None:
    with taking_turns(0):
        done: list[str] = []
        thread = threading.Thread(target=lambda: now().until(lambda: bool(done)))
        thread.start()
        now().settle()
        assert thread in now().alive
        done.append("now")
        now().settle()
        assert thread not in now().alive
