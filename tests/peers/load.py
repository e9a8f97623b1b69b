"""What it costs to poll and aggregate 1,000 registers at 10 Hz. Called by tests/cpu.sh.

    python load.py GATEWAY [SECONDS]

Serves 1,000 moving holding registers (pymodbus) in this process, starts the gateway with generated settings, waits until it
says that it is ready, and takes its user and system time over SECONDS (30) from /proc/PID/stat. Samples are counted where
they are served, so polls that the gateway leaves out lower the count. Every register is a parameter of an operation: 20
operations of 50 parameters, open for 16 of 20 s. There is no uplink: delivery is not in the figure, the buffer is.
"""

import asyncio
import math
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

REGISTERS, EVERY_MS = 1000, 100
OPERATIONS = 20
OPEN_S, PERIOD_S = 16, 20
WARM_UP_S = 5
READY_WITHIN_S = 60


def settings(port, store):
    """A machine of which every register is a tag; register 0 has the run bit."""
    lines = [
        "gateway: { id: load-gw01, path: [EXAMPLE, LOAD] }",
        "machine: LOAD-01",
        "devices:",
        "  plc:",
        f"    modbus_tcp: {{ host: 127.0.0.1, port: {port} }}",
        "    addresses: zero_based",
        "    tags:",
    ]
    lines += [f"      r{i}: {{ holding: {i}, every: {EVERY_MS}ms }}" for i in range(REGISTERS)]
    lines.append("operations:")
    share = REGISTERS // OPERATIONS
    for operation in range(OPERATIONS):
        lines += [
            f"  op{operation}:",
            f"    slot: s{operation}",
            "    start: { when: 'bit(r0, 0)' }",
            "    end: { when: '!bit(r0, 0)' }",
            "    parameters:",
        ]
        lines += [f"      p{i}: {{ tag: r{i} }}" for i in range(operation * share, (operation + 1) * share)]
    lines.append(f"buffer: {{ path: {store} }}")
    return "\n".join(lines) + "\n"


class Plc:
    """Counts the registers that are read."""

    def __init__(self):
        self.began = time.monotonic()
        self.samples = 0

    async def answer(self, function, start, address, count, registers, written):
        if written is not None or function != 3:
            return ExcCodes.ILLEGAL_FUNCTION
        now = time.monotonic() - self.began
        for i in range(address, address + count):
            registers[i - start] = int(1000 + 500 * math.sin(now + i))
        if address == 0:
            registers[0] = int(now % PERIOD_S < OPEN_S)
        self.samples += count
        return None


def cpu_seconds(pid):
    """User and system time; the command in the second field may hold spaces."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def memory_mb(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return math.nan


async def ready(manager, gateway):
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and gateway.returncode is None:
        try:
            if b"READY=1" in manager.recv(4096):
                return
        except BlockingIOError:
            await asyncio.sleep(0.01)
    sys.exit(f"the gateway did not become ready in {READY_WITHIN_S} s (exit status {gateway.returncode})")


def silence(manager):
    """Empties the notify socket, so that the gateway's news do not pile up."""
    try:
        while manager.recv(4096):
            pass
    except BlockingIOError:
        pass


async def measure(program, seconds, folder):
    plc = Plc()
    bits = SimData(0, count=1, values=[False] * 16, datatype=DataType.BITS)
    words = SimData(0, count=REGISTERS, values=0, datatype=DataType.REGISTERS)
    device = SimDevice(1, ([bits], [bits], [words], [words]), action=plc.answer)
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    file = Path(folder, "gateway.yaml")
    file.write_text(settings(port, Path(folder, "state")))
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(Path(folder, "notify")))
    manager.setblocking(False)
    manager_news = {"NOTIFY_SOCKET": str(Path(folder, "notify"))}
    began = time.monotonic()
    gateway = await asyncio.create_subprocess_exec(program, "run", "--config", str(file), env=os.environ | manager_news)
    try:
        await ready(manager, gateway)
        to_ready = time.monotonic() - began
        await asyncio.sleep(WARM_UP_S)
        silence(manager)
        user, system = cpu_seconds(gateway.pid)
        samples, start = plc.samples, time.monotonic()
        await asyncio.sleep(seconds)
        elapsed = time.monotonic() - start
        user, system = (after - before for after, before in zip(cpu_seconds(gateway.pid), (user, system)))
        samples = plc.samples - samples
        resident, peak = memory_mb(gateway.pid, "VmRSS"), memory_mb(gateway.pid, "VmHWM")
    finally:
        if gateway.returncode is None:
            gateway.terminate()
        await gateway.wait()
        await server.shutdown()
    wanted = REGISTERS * 1000 / EVERY_MS * elapsed
    print(f"{REGISTERS} registers every {EVERY_MS} ms, {OPERATIONS} operations of {REGISTERS // OPERATIONS} parameters, {elapsed:.1f} s")
    for name, value in [
        ("samples", f"{samples} ({samples / wanted:.1%} of what was asked for)"),
        ("user time", f"{user:.2f} s"),
        ("system time", f"{system:.2f} s"),
        ("CPU per 1,000 samples", f"{(user + system) * 1e6 / samples:.3f} ms" if samples else "no samples"),
        ("CPU of one core", f"{(user + system) / elapsed:.2%}"),
        ("resident memory", f"{resident:.1f} MB now, {peak:.1f} MB at most"),
        ("start to ready", f"{to_ready * 1000:.0f} ms"),
    ]:
        print(f"  {name:<22} {value}")


def main():
    program = str(Path(sys.argv[1]).resolve())
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(program, seconds, folder))


main()
