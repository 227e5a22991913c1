"""A clock that tests move forward. What moto reads through `unix_time` follows it: the queues above all."""

import threading
from datetime import timedelta

from moto.core import utils

_lock = threading.Lock()
_ahead = timedelta()
_utcnow = utils.utcnow


def advance(seconds):
    """Lets this much time pass."""
    global _ahead
    with _lock:
        _ahead += timedelta(seconds=seconds)


def install():
    """Puts the clock in the place of moto's own."""
    utils.utcnow = lambda: _utcnow() + _ahead
