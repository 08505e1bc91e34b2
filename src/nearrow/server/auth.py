"""Auth: who calls, and what may they do?

A token file (or the variable NEARROW_TOKENS) has one token a line: its role, the token, and a name for the log.

    admin  3q8Zk…  alice
    read   t0Xw1…  dashboard

Only digests are kept in memory, and every one of them is compared, in constant time, whichever fits.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nearrow.errors import AccessDeniedError, InvalidArgumentError, NotFoundError
from nearrow.schema import nearest_name
from nearrow.server.wire.actions import ADMIN, ROLES

TOKEN_CHARACTERS_MIN = 16
HEADER = "authorization"
SCHEME = "bearer "


@dataclass(frozen=True)
class Principal:
    """Who calls: a name for the log, and a role."""

    name: str
    role: str

    def require(self, role: str) -> None:
        """AccessDeniedError unless this role may do what `role` may."""
        if ROLES.index(self.role) < ROLES.index(role):
            raise AccessDeniedError(f"this needs a token with the role {role!r}; {self.name!r} has {self.role!r}")


ANYBODY = Principal("anybody", ADMIN)
"""Who calls a server that has no tokens."""


@dataclass(frozen=True)
class Tokens:
    """The tokens that a server knows, as digests."""

    known: tuple[tuple[bytes, Principal], ...] = ()

    @classmethod
    def parse(cls, lines: Iterable[str], where: str) -> Tokens:
        """InvalidArgumentError for a line that is not role, token, name; it never shows the token."""
        known: list[tuple[bytes, Principal]] = []
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) not in (2, 3):
                raise InvalidArgumentError(f"{where}, line {number}: a line is ROLE TOKEN [NAME]")
            if words[0] not in ROLES:
                raise InvalidArgumentError(
                    f"{where}, line {number}: no role {words[0]!r}{nearest_name(words[0], ROLES)}"
                )
            if len(words[1]) < TOKEN_CHARACTERS_MIN:
                raise InvalidArgumentError(
                    f"{where}, line {number}: a token has at least {TOKEN_CHARACTERS_MIN} characters; "
                    f"make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
                )
            name = words[2] if len(words) == 3 else f"token {len(known) + 1}"
            known.append((_digest(words[1]), Principal(name, words[0])))
        if not known:
            raise InvalidArgumentError(f"{where} has no tokens; add a line: ROLE TOKEN [NAME]")
        return cls(tuple(known))

    @classmethod
    def read(cls, path: str | Path) -> Tokens:
        file = Path(path)
        if not file.is_file():
            raise NotFoundError(f"no token file {file}")
        return cls.parse(file.read_text().splitlines(), str(file))

    def __bool__(self) -> bool:
        return bool(self.known)

    def principal(self, headers: Sequence[str]) -> Principal:
        """Who sends these authorization headers; AccessDeniedError if nobody is known by them."""
        if not self.known:
            return ANYBODY
        if len(headers) != 1 or not headers[0].lower().startswith(SCHEME):
            raise AccessDeniedError(
                "this server needs a token: connect(…, token=…), or the header authorization: Bearer …"
            )
        given = _digest(headers[0][len(SCHEME) :].strip())
        found: Principal | None = None
        for digest, principal in self.known:
            if hmac.compare_digest(digest, given):
                found = principal
        if found is None:
            raise AccessDeniedError("the token is not one that this server knows")
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
