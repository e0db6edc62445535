"""What a next hop, and a name server, may answer."""
import socket
import struct
import threading
import time

from rig import attack, wait


def answers(*replies):
    """A next hop that answers each command with the next of these, whatever was asked."""
    def script(stream):
        file = stream.makefile('rb')
        for reply in replies:
            stream.sendall(reply)
            if not file.readline(10_000):
                return
    return script


def endless(first, chunk):
    def script(stream):
        stream.sendall(first)
        # As long as the engine reads; it has to be the one who ends it.
        for _ in range(100_000):
            stream.sendall(chunk)
    return script


def dribble(stream):
    for _ in range(100):
        stream.sendall(b'2')
        time.sleep(0.2)


OK = b'250 ok\r\n'
HELLO = b'220 hi\r\n'
HOPS = {
    'nothing': lambda stream: time.sleep(8),
    'closes': lambda stream: None,
    'garbage': answers(b'\x00\xff' * 5000 + b'\r\n'),
    'no end': endless(b'220 ', b'x' * 10_000),
    'endless lines': endless(b'', b'220-more\r\n' * 1000),
    'endless EHLO': endless(HELLO, b'250-X-' + b'Y' * 500 + b'\r\n'),
    'one byte at a time': dribble,
    'NUL': answers(HELLO, b'250 a\0b\r\n', OK, b'550 \0\x1b[2J\r\n'),
    'bare LF': answers(b'220 hi\n', b'250 ok\n', b'250 ok\n', b'550 no\n'),
    'codes of four digits': answers(b'2200 hi\r\n'),
    'no code': answers(b'hello\r\n'),
    'mixed codes': answers(b'220-hi\r\n550 no\r\n'),
    'intermediate': answers(HELLO, OK, b'354 go\r\n', b'354 go\r\n', b'354 go\r\n'),
    'ahead of time': answers(HELLO + OK * 10),
    'injection of STARTTLS': answers(HELLO, b'250-STARTTLS\r\n250 ok\r\n', b'220 go\r\n250 evil\r\n'),
    'TLS garbage': answers(HELLO, b'250-STARTTLS\r\n250 ok\r\n', b'220 go\r\n', b'\x16\x03\x03\xff\xff' + b'x' * 70_000),
    '8 bits': answers(HELLO, '250 größe\r\n'.encode('latin-1'), OK, '550 \u202e\r\n'.encode()),
    'long words': answers(HELLO, OK, OK, b'550 ' + b'x' * 60_000 + b'\r\n'),
    '421 to all': answers(*[b'421 4.3.2 busy\r\n'] * 5),
    '2yz to DATA': answers(HELLO, OK, OK, OK, OK, OK, OK),
    'SIZE of nothing': answers(HELLO, b'250-SIZE 99999999999999999999999\r\n250-PIPELINING\r\n250 SIZE -1\r\n', OK, b'550 no\r\n'),
    'resets': lambda stream: (stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)), stream.sendall(HELLO)),
}


@attack('next hops', f'{len(HOPS)} hostile next hops, one after the other')
def hostile(rig):
    good = rig.sink()
    hops = {f'hop{number}.test': rig.sink(script=script) for number, script in enumerate(HOPS.values())}
    routes = ' '.join(f"['{domain}'] = '127.0.0.1:{sink.port}'," for domain, sink in hops.items())
    queue = f"protocol = {{ smtp = {{ mx_list = {{ ROUTES[domain] or '127.0.0.1:{good.port}' }} }} }},"
    timeouts = "connect_timeout = '3s', banner_timeout = '3s', ehlo_timeout = '3s', mail_from_timeout = '3s', rcpt_to_timeout = '3s', data_timeout = '3s', data_dot_timeout = '3s',"
    engine = rig.engine(sink=good, queue=queue, extra=f'ROUTES = {{ {routes} }}', path=timeouts)
    engine.probe()
    before, took = engine.rss(), 0
    for domain in hops:
        assert engine.inject('Subject: x\n\nx', recipients=[{'email': f'u@{domain}'}])[0] == 200
    wait('each of them tried', lambda: all(sink.connections for sink in hops.values()))
    for _ in range(10):
        took = max(took, engine.probe())
        time.sleep(0.5)
    grown = engine.rss() - before
    assert grown < 100, f'{grown:.0f} MB more'
    for line in engine.lines:
        assert b'\0' not in line and b'\x1b' not in line, line
    return f'{grown:.0f} MB more, a message to another took at most {took * 1000:.0f} ms'


class Names:
    """A name server with 1,000 mail exchangers for every domain, none of which takes mail."""

    def __init__(self):
        self.questions = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(('127.0.0.1', 0))
        self.port = self.udp.getsockname()[1]
        self.tcp = socket.create_server(('127.0.0.1', self.port))
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def answer(self, wire, is_udp):
        at, name = 12, []
        while wire[at]:
            name.append(wire[at + 1:at + 1 + wire[at]])
            at += 1 + wire[at]
        kind = struct.unpack('>H', wire[at + 1:at + 3])[0]
        question, records = wire[12:at + 5], []
        self.questions.append((b'.'.join(name).lower(), kind))
        if kind == 15:
            for number in range(1000):
                host = b'h%d' % number
                data = struct.pack('>H', number % 7) + bytes([len(host)]) + host + b'\xc0\x0c'
                records.append(b'\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x3c' + struct.pack('>H', len(data)) + data)
        elif kind == 1:
            records.append(b'\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x09')
        cut = is_udp and len(records) > 10
        shown = [] if cut else records
        flags = 0x8180 | (0x0200 if cut else 0)
        return wire[:2] + struct.pack('>HHHHH', flags, 1, len(shown), 0, 0) + question + b''.join(shown)

    def serve_udp(self):
        while True:
            try:
                wire, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            self.udp.sendto(self.answer(wire, True), peer)

    def serve_tcp(self):
        while True:
            try:
                stream = self.tcp.accept()[0]
            except OSError:
                return
            with stream:
                length = struct.unpack('>H', stream.recv(2))[0]
                answer = self.answer(stream.recv(length), False)
                stream.sendall(struct.pack('>H', len(answer)) + answer)

    def close(self):
        self.udp.close()
        self.tcp.close()


@attack('A15', '1,000 mail exchangers for one domain')
def exchangers(rig):
    names = Names()
    engine = rig.engine(
        init=f"kumo.dns.configure_resolver {{ name_servers = {{ '127.0.0.1:{names.port}' }} }}",
        queue='protocol = nil,', path="connect_timeout = '1s',")
    try:
        assert engine.inject('Subject: x\n\nx', recipients=[{'email': 'u@many.test'}])[0] == 200
        wait('an attempt', lambda: engine.metric('total_messages_transfail') > 0 or engine.metric('message_count') == 0)
        hosts = {name for name, kind in names.questions if kind in (1, 28)}
        ids = len(names.questions)
        assert 1 <= len(hosts) <= 100, f'{len(hosts)} hosts were asked for'
        return f'{len(hosts)} hosts were asked for with {ids} questions'
    finally:
        names.close()
