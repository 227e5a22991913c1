"""Ed25519ph (RFC 8032, section 5.1), which the cryptography package does not have. Slow, and for made-up keys only."""

import hashlib

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_Y = 4 * pow(5, -1, _P) % _P
_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE = (_X, _Y)
# What stands before everything that is hashed: the name of the scheme, "prehashed", and no context.
_SCHEME = b"SigEd25519 no Ed25519 collisions\x01\x00"


def _add(a, b):
    (x1, y1), (x2, y2) = a, b
    product = _D * x1 * x2 * y1 * y2 % _P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, _P) % _P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, _P) % _P
    return x, y


def _times(number, point):
    result = (0, 1)
    while number:
        if number & 1:
            result = _add(result, point)
        point = _add(point, point)
        number >>= 1
    return result


def _encode(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _hash(*parts):
    return int.from_bytes(hashlib.sha512(_SCHEME + b"".join(parts)).digest(), "little") % _ORDER


def sign(secret, digest):
    """The signature of a message whose SHA-512 is `digest` by the key whose 32 secret bytes are `secret`."""
    expanded = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(expanded[:32], "little") & (2**254 - 8) | 2**254
    public = _encode(_times(scalar, _BASE))
    r = _hash(expanded[32:], digest)
    point = _encode(_times(r, _BASE))
    s = (r + _hash(point, public, digest) * scalar) % _ORDER
    return point + s.to_bytes(32, "little")
