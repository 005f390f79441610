"""The most stack that a Cortex-M image can need: the deepest chain of calls, each with what it pushes.

    stack.py IMAGE [ROOT]        (llvm-objdump and llvm-nm must be there)

It is read off the disassembly: what a function pushes and subtracts from the stack pointer, and whom it calls. Calls through
a register (function pointers, trait objects) are taken for the deepest function whose address is taken anywhere, once each;
recursion has no bound and is reported.
"""

import bisect
import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def registers(text):
    """How many are in {r4, r5, r7-r11, lr}."""
    count = 0
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        number = lambda name: int(re.sub(r"\D", "", name) or 0)
        count += number(last) - number(first) + 1 if last else 1
    return count


def analyse(image):
    functions, sizes = {}, {}
    for line in output("llvm-nm", "--defined-only", "-C", image).splitlines():
        address, kind, name = line.split(None, 2)
        if kind in "tTwW" and not name.startswith("$"):
            functions.setdefault(int(address, 16) & ~1, re.sub(r"::h[0-9a-f]{16}$", "", name))
    starts = sorted(functions)

    def owner(address):
        at = bisect.bisect_right(starts, address) - 1
        return starts[at] if at >= 0 else None

    frame = dict.fromkeys(starts, 0)
    calls = {start: set() for start in starts}
    indirect = set()
    for line in output("llvm-objdump", "-d", "--no-show-raw-insn", image).splitlines():
        match = re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)", line)
        here = owner(int(match[1], 16)) if match else None
        if here is None:
            continue
        code, operands = match[2], match[3]
        if code.startswith("push") or (code.startswith("stmdb") and operands.startswith("sp!")):
            frame[here] += 4 * registers(re.search(r"\{(.*)\}", operands)[1])
        elif code.startswith("vpush"):
            frame[here] += 8 * registers(re.search(r"\{(.*)\}", operands)[1])
        elif code.startswith("str") and (pre := re.search(r"\[sp, #-(\d+|0x[0-9a-f]+)\]!", operands)):
            frame[here] += int(pre[1], 0)
        elif code.startswith("sub") and (by := re.match(r"sp(?:, sp)?, #(\d+|0x[0-9a-f]+)", operands)):
            frame[here] += int(by[1], 0)
        elif code.startswith("sub") and re.match(r"sp, (?:sp, )?r", operands):
            raise SystemExit(f"{functions[here]} takes an amount of stack that is not known")
        target = re.search(r"0x([0-9a-f]+) <", operands)
        if target and re.match(r"(bl|b|cbn?z)", code):
            to = owner(int(target[1], 16))
            if to != here:
                calls[here].add(to)
            elif code == "bl":
                calls[here].add(here)
        elif code.startswith("blx") or (code == "bx" and operands != "lr"):
            indirect.add(here)
    return functions, frame, calls, indirect


def bound(image, root):
    """(bytes, the chain, functions with calls through a register, functions that call themselves)"""
    functions, frame, calls, indirect = analyse(image)
    called = set().union(*calls.values())
    # Whoever is called by nobody and is no entry is called through a register.
    entries = {"Reset", "main", "DefaultHandler_", "HardFault_", "DefaultPreInit", "SysTick"}
    loose = [at for at, name in functions.items() if at not in called and name not in entries and root not in name]
    known, recursive = {}, set()

    def depth(at, path):
        if at in path:
            recursive.add(functions[at])
            return 0, ()
        if at not in known:
            callees = calls[at] | (set(loose) - {at} if at in indirect else set())
            deepest = max((depth(to, path + (at,)) for to in callees if to not in path or to == at), default=(0, ()))
            known[at] = frame[at] + deepest[0], ((functions[at], frame[at]),) + deepest[1]
        return known[at]

    start = next(at for at, name in functions.items() if root in name)
    total, chain = depth(start, ())
    names = {name for name, _ in chain}
    return total, chain, sorted({functions[at] for at in indirect} & names), sorted(recursive)


if __name__ == "__main__":
    total, chain, indirect, recursive = bound(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Reset")
    print(f"{total} bytes")
    for name, size in chain:
        print(f"{size:6} {name[:140]}")
    print("calls through a register:", ", ".join(indirect) or "none")
    print("recursion:", ", ".join(recursive) or "none")
