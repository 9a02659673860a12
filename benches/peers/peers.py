"""One repetition of one row with Python's own multiprocessing.

`python3 peers.py [--quick] ROW [SIZE]` prints {"ROW": nanoseconds}. Standard library only. The processors are those
that the caller allows. Quick is a smoke run, whose figures mean nothing.
"""

import json
import multiprocessing
import os
import signal
import sys
from multiprocessing import shared_memory
from time import perf_counter_ns, thread_time_ns


QUICK = "--quick" in sys.argv


def fewer(times):
    return max(times // 50, 1) if QUICK else times


def per_operation(operation, times):
    times = fewer(times)
    operation()
    begun = perf_counter_ns()
    for _ in range(times):
        operation()
    return (perf_counter_ns() - begun) / times


def value_get():
    value = multiprocessing.Value("d", 0.0)
    times = fewer(100_000)
    begun = perf_counter_ns()
    for _ in range(times):
        value.value
    return (perf_counter_ns() - begun) / times


def value_update():
    value = multiprocessing.Value("d", 0.0)
    times = fewer(50_000)
    begun = perf_counter_ns()
    for _ in range(times):
        with value.get_lock():
            value.value += 1
    return (perf_counter_ns() - begun) / times


def taken_and_given(lock, times=100_000):
    times = fewer(times)
    begun = perf_counter_ns()
    for _ in range(times):
        with lock:
            pass
    return (perf_counter_ns() - begun) / times


def rlock_held():
    lock = multiprocessing.RLock()
    with lock:
        return taken_and_given(lock)


def event_set():
    event = multiprocessing.Event()

    def operation():
        event.set()
        event.clear()

    return per_operation(operation, 20_000)


def event_is_set():
    return per_operation(multiprocessing.Event().is_set, 50_000)


def double(array, start, end, processor):
    os.sched_setaffinity(0, {processor})
    numbers = array.get_obj()
    for i in range(start, end):
        numbers[i] *= 2


def array_double():
    length = fewer(10_000_000)
    array = multiprocessing.Array("d", length)
    processors = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("fork")
    halves = [(0, length // 2, processors[0]), (length // 2, length, processors[-1])]
    begun = perf_counter_ns()
    children = [context.Process(target=double, args=(array, *half)) for half in halves]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return perf_counter_ns() - begun


def segment():
    def operation():
        memory = shared_memory.SharedMemory(create=True, size=4096)
        memory.buf[0] = 1
        memory.close()
        memory.unlink()

    return per_operation(operation, 500)


def round_trips(lead, follow):
    """Two processes: nanoseconds for each time that `lead` is done in this one and `follow` in the other."""
    times = 1000
    processors = sorted(os.sched_getaffinity(0))

    def go_round(processor, turn):
        signal.alarm(30)  # Whoever hangs is ended.
        os.sched_setaffinity(0, {processor})
        return per_operation(turn, times)

    context = multiprocessing.get_context("fork")
    follower = context.Process(target=go_round, args=(processors[-1], follow))
    follower.start()
    time = go_round(processors[0], lead)
    follower.join()
    return time


def semaphore():
    there, back = multiprocessing.Semaphore(0), multiprocessing.Semaphore(0)

    def lead():
        there.release()
        back.acquire()

    def follow():
        there.acquire()
        back.release()

    return round_trips(lead, follow)


def event():
    there, back = multiprocessing.Event(), multiprocessing.Event()

    def lead():
        there.set()
        back.wait()
        back.clear()

    def follow():
        there.wait()
        there.clear()
        back.set()

    return round_trips(lead, follow)


def condition():
    turn, changed = multiprocessing.RawValue("q", 0), multiprocessing.Condition()

    def give(to):
        with changed:
            turn.value = to
            changed.notify()

    def take(me):
        with changed:
            changed.wait_for(lambda: turn.value == me)

    def lead():
        give(1)
        take(0)

    def follow():
        take(1)
        give(0)

    return round_trips(lead, follow)


def barrier():
    both = multiprocessing.Barrier(2)

    def twice():
        both.wait()
        both.wait()

    return round_trips(twice, twice)


def messages(times, send, receive):
    """Two processes: nanoseconds for each message that is sent in the other one and received in this one."""
    times = fewer(times)
    processors = sorted(os.sched_getaffinity(0))
    begin = multiprocessing.Semaphore(0)

    def send_all():
        signal.alarm(30)  # Whoever hangs is ended.
        os.sched_setaffinity(0, {processors[-1]})
        begin.acquire()
        for i in range(times):
            send(i)

    signal.alarm(30)
    os.sched_setaffinity(0, {processors[0]})
    sender = multiprocessing.get_context("fork").Process(target=send_all)
    sender.start()
    begin.release()
    begun = perf_counter_ns()
    for _ in range(times):
        receive()
    time = perf_counter_ns() - begun
    sender.join()
    return time / times


def queue_words():
    queue = multiprocessing.Queue(1024)
    return messages(20_000, queue.put, queue.get)


def pipe_words():
    receiver, sender = multiprocessing.Pipe(duplex=False)
    return messages(20_000, sender.send, receiver.recv)


def queue():
    there, back = multiprocessing.Queue(1024), multiprocessing.Queue(1024)

    def lead():
        there.put(1)
        back.get()

    def follow():
        there.get()
        back.put(1)

    return round_trips(lead, follow)


def pipe():
    ours, theirs = multiprocessing.Pipe()

    def lead():
        ours.send(1)
        ours.recv()

    def follow():
        theirs.recv()
        theirs.send(1)

    return round_trips(lead, follow)


def nothing():
    pass


def start_and_join(method, times):
    context = multiprocessing.get_context(method)

    def operation():
        child = context.Process(target=nothing)
        child.start()
        child.join()

    return per_operation(operation, times)


def add_one(x):
    return x + 1


def pool_made(method, times):
    context = multiprocessing.get_context(method)

    def operation():
        pool = context.Pool(2)
        assert pool.apply(add_one, (1,)) == 2
        pool.terminate()
        pool.join()

    return per_operation(operation, times)


def pool_apply():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return per_operation(lambda: pool.apply(add_one, (1,)), 500)


def per_item(times, run):
    times = fewer(times)
    run(range(times // 10))
    begun = perf_counter_ns()
    values = run(range(times))
    time = perf_counter_ns() - begun
    assert values == list(range(1, times + 1))
    return time / times


def pool_map(times, chunk):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return per_item(times, lambda items: pool.map(add_one, items, chunk))


def executor_map(times):
    # Here, so that the children of the other rows need not read it.
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as executor:
        return per_item(times, lambda items: list(executor.map(add_one, items)))


def add_one_slowly(x):
    begun = thread_time_ns()
    while thread_time_ns() - begun < 20_000:
        pass
    return x + 1


def pool_map_slowly(workers):
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return per_item(2000, lambda items: pool.map(add_one_slowly, items))


def payload(size):
    """Bytes a second."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    message = bytes(size)
    times = min(max((16 << 20) // size, 4), 10_000)
    time = messages(times, lambda _: sender.send_bytes(message), receiver.recv_bytes)
    return size / time * 1e9


PAGE = 4096


def touch(memory, size):
    memory.buf[:size:PAGE] = bytes(len(range(0, size, PAGE)))


def segment_made(size):
    def operation():
        memory = shared_memory.SharedMemory(create=True, size=size)
        touch(memory, size)
        memory.close()
        memory.unlink()

    return once_if_long(operation, size)


def once_if_long(operation, size):
    if size < 1 << 28:
        return per_operation(operation, min((1 << 26) // size + 1, 100))
    begun = perf_counter_ns()
    operation()
    return perf_counter_ns() - begun


def segment_opened(size):
    memory = shared_memory.SharedMemory(create=True, size=size)
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def open_all():
        def operation():
            shared_memory.SharedMemory(name=memory.name).close()

        sender.send(per_operation(operation, 100))

    opener = multiprocessing.get_context("fork").Process(target=open_all)
    opener.start()
    time = receiver.recv()
    opener.join()
    memory.close()
    memory.unlink()
    return time


def segment_forked(size):
    memory = shared_memory.SharedMemory(create=True, size=size)
    touch(memory, size)
    time = start_and_join("fork", 10)
    memory.close()
    memory.unlink()
    return time


# Rows that are curves take the place on it.
CURVES = {
    "pool map, 20 µs": pool_map_slowly,
    "payload": payload,
    "segment made": segment_made,
    "segment opened": segment_opened,
    "segment forked": segment_forked,
}

ROWS = {
    "lock, uncontended": lambda: taken_and_given(multiprocessing.Lock()),
    "rlock, uncontended": lambda: taken_and_given(multiprocessing.RLock()),
    "rlock, held": rlock_held,
    "semaphore, uncontended": lambda: taken_and_given(multiprocessing.Semaphore(1)),
    "event set": event_set,
    "event is set": event_is_set,
    "value get": value_get,
    "value update": value_update,
    "array double": array_double,
    "semaphore": semaphore,
    "event": event,
    "condition": condition,
    "barrier": barrier,
    "queue words": queue_words,
    "pipe words": pipe_words,
    "queue": queue,
    "pipe": pipe,
    "segment": segment,
    "fork": lambda: start_and_join("fork", 20),
    "forkserver": lambda: start_and_join("forkserver", 20),
    "spawn": lambda: start_and_join("spawn", 3),
    "pool made, fork": lambda: pool_made("fork", 5),
    "pool made, forkserver": lambda: pool_made("forkserver", 3),
    "pool made, spawn": lambda: pool_made("spawn", 1),
    "pool apply": pool_apply,
    "pool map, chunks of 1": lambda: pool_map(5_000, 1),
    "pool map": lambda: pool_map(100_000, None),
    "executor map": lambda: executor_map(2_000),
}


def main():
    row, *size = [arg for arg in sys.argv[1:] if arg != "--quick"]
    time = CURVES[row](int(size[0])) if size else ROWS[row]()
    print(json.dumps({row: time}))


if __name__ == "__main__":
    main()
