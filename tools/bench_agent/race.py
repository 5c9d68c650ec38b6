"""Rounds of one shape on one kind of server: every contestant in each, each time another first."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from boto3.s3.transfer import TransferConfig

from bench_agent import arrived, process
from bench_agent.copier import Copier, Transfer, UnconfirmedError
from bench_agent.lap import Lap
from bench_agent.server import Server
from bench_agent.shape import Shape

DATASET = "interactions/"
# Laid in one piece each: some of the servers' ETags tell in how many an object came.
IN_ONE_PIECE = TransferConfig(multipart_threshold=1 << 40)


@dataclass(frozen=True)
class Course:
    """Where the contestants run."""

    folder: Path
    kind: str
    serve: Callable[[], AbstractContextManager[Server]]
    contestants: list[Copier]
    rounds: int

    def order(self, number: int) -> list[Copier]:
        """Rotated by one each round."""
        shift = number % len(self.contestants)
        return self.contestants[shift:] + self.contestants[:shift]

    def both_ways(self, shape: Shape) -> list[Lap]:
        """Up, then down: at no time do more than two copies of the files lie here."""
        source = self.folder / "source"
        digests = shape.lay(source)
        try:
            laps = self.up(shape, source, digests)
            with self.serve() as server:
                self.seed(server, source)
                shutil.rmtree(source)
                laps += self.down(shape, server, digests)
        finally:
            shutil.rmtree(source, ignore_errors=True)
        return laps

    def up(self, shape: Shape, source: Path, digests: dict[str, str]) -> list[Lap]:
        """A fresh server for each transfer: nothing is overwritten, nothing grows."""
        laps, case = [], f"{shape.name}, up, {self.kind}"
        for number in range(self.rounds):
            for copier in self.order(number):
                with self.serve() as server:
                    transfer = copier.up(server, self.variables(server), source)

                    def check(transfer: Transfer = transfer, server: Server = server) -> None:
                        found = arrived.in_store(server, transfer.prefix)
                        arrived.compare(digests, arrived.without(found, transfer.own))

                    laps.append(self.lap(case, copier.name, shape, server, transfer, check))
        return laps

    def down(self, shape: Shape, server: Server, digests: dict[str, str]) -> list[Lap]:
        """One server for all: they only read."""
        laps, case = [], f"{shape.name}, down, {self.kind}"
        for number in range(self.rounds):
            for copier in self.order(number):
                to = self.folder / "arrived"
                transfer = copier.down(server, self.variables(server), DATASET, to)

                def check(to: Path = to) -> None:
                    arrived.compare(digests, arrived.in_folder(to))

                laps.append(self.lap(case, copier.name, shape, server, transfer, check))
                shutil.rmtree(to, ignore_errors=True)
        return laps

    def lap(
        self,
        case: str,
        who: str,
        shape: Shape,
        server: Server,
        transfer: Transfer,
        check: Callable[[], None],
    ) -> Lap:
        """Runs, measures, and looks whether all arrived."""
        before = process.cpu_s(server.pid)
        log = self.folder / "log"
        try:
            measured = process.measured(transfer.command, transfer.environment, log)
            served = process.cpu_s(server.pid) - before
            transfer.confirm()
            check()
        except (process.FailedError, arrived.NotAllError, UnconfirmedError) as error:
            print(f"{case}: {who} {error}", file=sys.stderr, flush=True)
            return Lap(case, who, shape, None, 0, str(error))
        print(
            f"{case}: {who} {measured.wall_s:.2f} s, {measured.cpu_s:.2f} CPU s, "
            f"{measured.peak_bytes / 2**20:.0f} MiB",
            flush=True,
        )
        return Lap(case, who, shape, measured, served)

    def seed(self, server: Server, source: Path) -> None:
        """Lays what is fetched."""
        client = server.client()
        for path in source.rglob("*"):
            if path.is_file():
                key = f"{DATASET}{path.relative_to(source)}"
                client.upload_file(str(path), server.bucket, key, Config=IN_ONE_PIECE)

    def variables(self, server: Server) -> dict[str, str]:
        """Of every contestant; their home is an empty folder."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return server.environment(home)
