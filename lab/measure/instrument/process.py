"""Shared code of the instrument's processes. It imports little, so that they start in hundredths of a second."""

import ctypes
import errno
import gc
import os


class Iovec(ctypes.Structure):
    """struct iovec (readv(2))."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Message(ctypes.Structure):
    """struct mmsghdr of recvmmsg(2) and sendmmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
    )


RECORDER, SENDER = 10, 20
"""Priorities of SCHED_FIFO (sched(7)): a packet that is due goes before the reading of what has arrived."""


def set_priority(priority: int) -> int:
    """Run at real-time priority if the kernel permits it; return 0, or the errno of the refusal."""
    gc.disable()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return error.errno or errno.EPERM
    return 0
