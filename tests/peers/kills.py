"""The gateway is killed again and again while a press works and the MES answers badly. Run by `tests/run kills`.

    python kills.py GATEWAY [SEED] [STROKES]

Checks at the end: every stroke is one completed operation, none twice, `sequence` and `ordinal` without a gap. The kills come
at random moments of one seed, which is printed; what they hit depends on the machine as well.
"""

import http.server
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

SETTINGS = """
gateway: {{ id: kills-gw01, path: [EXAMPLE] }}
machine: PRESS
devices:
  plc:
    modbus_tcp: {{ host: 127.0.0.1, port: {press}, unit: 1 }}
    addresses: zero_based
    byte_order: CDAB
    tags:
      status: {{ holding: 100, every: 20ms }}
      strokes: {{ holding: 110, every: 50ms }}
      pressure: {{ input: 200, type: f32, every: 20ms, unit: bar }}
equipment:
  state: [ {{ when: "bit(status, 0)", is: RUNNING }}, {{ is: STOPPED }} ]
  counters: {{ strokes: {{ tag: strokes, counts: cycles, modulus: 65536, max_rate: 10/s }} }}
operations:
  form:
    start: {{ when: "bit(status, 0)", debounce: 20ms }}
    end: {{ when: "!bit(status, 0)", debounce: 20ms }}
    recovery_counter: strokes
    parameters: {{ force: {{ tag: pressure, profile: 20 }} }}
buffer: {{ path: "{store}", checkpoint_every: 1s }}
uplinks:
  mes: {{ http: {{ url: "http://127.0.0.1:{mes}/events" }} }}
"""


class Mes:
    """Takes events, refuses some of them with 503, and remembers what it took."""

    def __init__(self, chance):
        self.events, self.down, self.chance = [], False, chance
        mes = self

        class Answer(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                event = json.loads(self.rfile.read(int(self.headers["content-length"])))
                refused = mes.down or mes.chance.random() < 0.02
                if not refused:
                    mes.events.append(event)
                self.send_response(503 if refused else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):  # a killed gateway breaks its connections: that is what this is about
                pass

        self.server = Server(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def work(gateway, seed, strokes, folder):
    chance = random.Random(seed)
    mes = Mes(chance)
    press_file = pathlib.Path(__file__).with_name("press.py")
    press = subprocess.Popen(
        [sys.executable, press_file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    port = press.stdout.readline().split()[1]
    settings = folder / "gateway.yaml"
    settings.write_text(SETTINGS.format(press=port, mes=mes.server.server_port, store=folder))

    def start():
        environment = {**os.environ, "MILLGATE_LOG": "error"}
        return subprocess.Popen([gateway, "run", "--config", settings], env=environment)

    running = start()
    # A stroke that runs when the gateway first looks has a start that nobody saw: it must see the press at rest before.
    press.stdin.write("look 3\n")
    press.stdin.flush()
    press.stdout.readline()
    press.stdin.write(f"go {strokes}\n")
    press.stdin.flush()
    done = threading.Event()
    threading.Thread(target=lambda: (press.stdout.readline(), done.set()), daemon=True).start()
    kills = 0
    while not done.wait(chance.uniform(0.3, 3.0)):
        mes.down = chance.random() < 0.3
        running.send_signal(signal.SIGKILL)
        running.wait()
        kills += 1
        done.wait(chance.uniform(0, 0.4))
        running = start()
    mes.down = False
    # The backlog comes by the back-off of a MES that was down: at most 30 s between two attempts.
    late = time.monotonic() + 90
    while completed(mes.events) < strokes and time.monotonic() < late:
        time.sleep(0.1)
    time.sleep(2)  # what would be too much comes now
    running.send_signal(signal.SIGTERM)
    running.wait()
    press.stdin.close()
    press.wait()
    return mes.events, kills


def completed(events):
    """How many operations were told as completed."""
    return len({event["id"] for event in list(events) if event["type"] == "millgate.operation.completed.v1"})


def check(events, strokes):
    """Everything that is wrong."""
    distinct = {(event["source"], event["id"]): event for event in events}.values()
    sequence = sorted(event["sequence"] for event in distinct)
    wrong = []
    if [int(number[11:]) for number in sequence] != list(range(1, len(sequence) + 1)):
        wrong.append("the sequence has a gap or a repeat")
    told = {}
    for event in sorted(distinct, key=lambda event: event["sequence"]):
        name = event["type"].removeprefix("millgate.").removesuffix(".v1")
        if name.startswith("operation."):
            told.setdefault(event["data"]["operation"]["ordinal"], []).append(name)
    if sorted(told) != list(range(1, len(told) + 1)):
        wrong.append("the ordinals have a gap")
    odd = {n: names for n, names in told.items() if names != ["operation.started", "operation.completed"]}
    if odd:
        wrong.append(f"operations that did not start and complete once: {odd}")
    if len(told) != strokes:
        wrong.append(f"{len(told)} operations of {strokes} strokes")
    return wrong


def main():
    gateway = pathlib.Path(sys.argv[1]).resolve()
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1_000_000)
    strokes = int(sys.argv[3]) if len(sys.argv) > 3 else 150
    print(f"seed {seed}, {strokes} strokes", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        events, kills = work(gateway, seed, strokes, pathlib.Path(folder))
    distinct = len({(event["source"], event["id"]) for event in events})
    print(f"{kills} kills, {distinct} events, {len(events) - distinct} repeats")
    wrong = check(events, strokes)
    for line in wrong:
        print(f"WRONG: {line}")
    sys.exit(1 if wrong else 0)


main()
