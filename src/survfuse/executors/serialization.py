"""What travels between processes: work, payloads, and answers that always arrive.

Only between a parent and the workers that it started itself; nothing is written to a disk.
"""

from __future__ import annotations

import time as clock
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.reduction import ForkingPickler
from typing import Any


@dataclass
class Answer:
    """What one call of `work` gave.

    Attributes
    ----------
    value : object or None
    error : BaseException or None
    temporary : bool
        Whether the error may be a temporary one (of the disk, of the memory).
    seconds : float
    """

    value: Any = None
    error: BaseException | None = None
    temporary: bool = False
    seconds: float = 0.0


@contextmanager
def answered() -> Iterator[Answer]:
    """An answer to put a value in; whatever is raised within is part of it, but for Ctrl-C."""
    answer, started = Answer(), clock.monotonic()
    try:
        yield answer
    except (Exception, SystemExit) as error:  # noqa: BLE001 - carrying any failure home is the task
        answer.error = error
        answer.temporary = isinstance(error, (OSError, MemoryError))
    answer.seconds = clock.monotonic() - started


def call(work: Callable[[Any], Any], payload: Any) -> Answer:
    """Call `work`; whatever it raises is part of the answer, but for Ctrl-C."""
    with answered() as answer:
        answer.value = work(payload)
    return answer


def pack(thing: Any) -> bytes:
    """Pickle, as multiprocessing does."""
    return bytes(ForkingPickler.dumps(thing))


def pack_work(
    work: Callable[[Any], Any],
    dumps: Callable[[Any], bytes] = pack,
) -> bytes:
    """Pickle the work itself.

    Raises
    ------
    TypeError
        When it cannot be sent to workers.
    """
    try:
        return dumps(work)
    except Exception as error:
        raise TypeError(
            f"the work ({type(work).__name__}) cannot be sent to workers: {error}; what it is and "
            "holds must be defined at the top of a module",
        ) from error


def unpack(data: bytes) -> Any:
    """Undo :func:`pack`."""
    return ForkingPickler.loads(data)


def pack_answer(answer: Answer) -> bytes:
    """Pickle an answer; one that cannot be pickled becomes one that says so."""
    if answer.error is not None:
        return pack(
            replace(
                answer,
                value=None,
                error=_picklable(answer.error),
            ),
        )
    kind = type(answer.value).__name__
    try:
        return pack(answer)
    except MemoryError:
        memory = MemoryError(f"too little to send what the work returned ({kind})")
        return pack(
            replace(
                answer,
                value=None,
                error=memory,
                temporary=True,
            ),
        )
    except Exception as error:  # noqa: BLE001 - a value's own methods decide what pickling raises
        refusal = TypeError(
            f"what the work returned ({kind}) cannot be sent between processes: {error}",
        )
        return pack(
            replace(
                answer,
                value=None,
                error=refusal,
            ),
        )


def unpack_answer(data: bytes) -> Answer:
    """Undo :func:`pack_answer`; a value that cannot be restored here becomes an error."""
    try:
        answer: Answer = unpack(data)
    except MemoryError:
        memory = MemoryError("too little to take what the work returned")
        return Answer(error=memory, temporary=True)
    except Exception as error:  # noqa: BLE001 - as above
        refusal = TypeError(
            f"what the work returned cannot be restored in this process: {error}",
        )
        return Answer(error=refusal)
    return answer


def answer_packed(
    work: Callable[[Any], Any],
    data: bytes,
) -> bytes:
    """Packed answer of `work` to a packed payload."""
    payload = call(unpack, data)
    return pack_answer(
        payload if payload.error is not None else call(work, payload.value),
    )


def _picklable(error: BaseException) -> BaseException:
    """The exception if it survives pickling, else a RuntimeError that quotes it."""
    note = "raised in a worker:\n" + "".join(traceback.format_exception(error)).rstrip()
    try:
        error.add_note(note)
        if type(unpack(pack(error))) is type(error):
            return error
    except Exception:  # noqa: BLE001 - an exception of a stranger may refuse in any way
        pass
    text = "".join(traceback.format_exception_only(error))
    quoted = RuntimeError(text.partition("\nraised in a worker:")[0].strip())
    quoted.add_note(note)
    return quoted
