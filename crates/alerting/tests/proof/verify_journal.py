#!/usr/bin/env python3
"""Checks an export of Dermatel's journal (JSON lines on standard input) without Dermatel. Exit code 1: a row was touched.

A row's hash is SHA-256 over: the hash of the row before (32 bytes), its number, its time in microseconds and the length of
its kind (each 8 bytes, big endian; the time is signed), its kind, and its body as the very text that stands there.
"""
import hashlib
import json
import sys


def main() -> int:
    previous, number = None, None
    for line in sys.stdin:
        row = json.loads(line)
        kind, body = row["kind"].encode(), row["body"].encode()
        if previous is not None and (row["previous"] != previous or row["n"] != number + 1):
            print(f"row {row['n']} does not follow from row {number}")
            return 1
        parts = [bytes.fromhex(row["previous"]), row["n"].to_bytes(8, "big"), row["at_us"].to_bytes(8, "big", signed=True),
                 len(kind).to_bytes(8, "big"), kind, body]
        if hashlib.sha256(b"".join(parts)).hexdigest() != row["hash"]:
            print(f"row {row['n']} is not as it was written")
            return 1
        previous, number = row["hash"], row["n"]
    print(f"whole up to row {number}, head {previous}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
