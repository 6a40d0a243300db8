"""All cases that `regbench verify` runs, module by module. Everything is seeded."""

from regbench.verify import base, learning, risk

ROOMS = [room.__name__ for room in (learning, risk)]
CASES = sorted(base.CASES, key=lambda case: ROOMS.index(case.compare.__module__))
