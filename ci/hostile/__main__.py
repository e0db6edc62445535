"""Runs the attacks one after the other and prints one line for each."""
import argparse
import os
import resource
import sys
import time
import traceback

import doors
import floods
import memory
import next_hops
import sandbox
import sessions
import tests
from rig import ATTACKS, Rig


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--bin', required=True)
    parser.add_argument('--only', default='')
    parser.add_argument('--tests', default='yes')
    args = parser.parse_args()
    os.environ['RINGMTA_ALLOW_ROOT'] = '1'
    # Thousands of connections need as many descriptors here.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = [word for word in args.only.split(',') if word]
    began, failed, done = time.monotonic(), 0, 0
    for name, what, attack in ATTACKS:
        if wanted and name not in wanted:
            continue
        start = time.monotonic()
        rig = Rig(args.bin)
        try:
            outcome, word = attack(rig), 'held'
            rig.end_well()
        except Exception as error:  # whatever an attack breaks is its result
            outcome, word = f'{type(error).__name__}: {error}', 'FAILED'
            if not isinstance(error, AssertionError):
                traceback.print_exc()
        finally:
            rig.close()
        done += 1
        failed += word == 'FAILED'
        print(f'{word:6} {name:10} {what}: {outcome} ({time.monotonic() - start:.1f} s)', flush=True)
    if args.tests == 'yes' and not wanted:
        more, bad = tests.run()
        done, failed = done + more, failed + bad
    print(f'{done} attacks, {failed} not held, {time.monotonic() - began:.0f} s')
    return 1 if failed else 0


# What is imported has put its attacks into the list.
assert all((doors, floods, memory, next_hops, sandbox, sessions))
sys.exit(main())
