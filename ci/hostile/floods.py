"""Many at once: idle, slow, half-open, reset, and too few descriptors."""
import os
import resource
import socket
import ssl
import struct
import time

from rig import Client, attack, wait


def room():
    """Connections that this process can hold open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200


@attack('idle', '15,000 idle connections')
def idle(rig):
    engine = rig.engine()
    before, count, clients = engine.rss(), min(15_000, room()), []
    start = time.monotonic()
    # Addresses that no run before has used: the kernel drops the first packet of a connection that looks like an old one of
    # those that wait for their end (PAWS), and its sender tries again after seconds.
    net = 1 + os.getpid() % 250
    for number in range(count):
        # One loopback address has too few ports for them all.
        stream = socket.socket()
        stream.bind((f'127.{net}.0.{2 + number // 5000}', 0))
        stream.connect(('127.0.0.1', engine.smtp))
        clients.append(stream)
    for stream in clients:
        stream.settimeout(30)
        assert stream.recv(100).startswith(b'220')
    opened, held = time.monotonic() - start, engine.rss() - before
    took = engine.probe()
    for stream in clients:
        stream.close()
    wait('all gone', lambda: engine.descriptors() < 200)
    return f'{count} opened in {opened:.1f} s at {held * 1024 / count:.1f} KB each, a message meanwhile took {took * 1000:.0f} ms'


@attack('slow', '1,000 senders of one byte at a time')
def slow(rig):
    engine = rig.engine()
    before, clients = engine.rss(), []
    for _ in range(1000):
        client = engine.client()
        client.command('MAIL FROM:<a@src.test>')
        client.command('RCPT TO:<u@dst.test>')
        client.expect('354', 'DATA')
        clients.append(client)
    took = 0
    for _ in range(5):
        for client in clients:
            client.send(b'x')
        took = max(took, engine.probe())
    held = engine.rss() - before
    for client in clients:
        client.close()
    assert held < 200, f'{held:.0f} MB'
    return f'{held:.0f} MB more, a message meanwhile took at most {took * 1000:.0f} ms'


@attack('tls', '1,000 TLS handshakes left half open')
def half_open(rig):
    engine = rig.engine(listener="client_timeout = '5s',")
    clients = []
    for _ in range(1000):
        client = engine.client()
        client.expect('220', 'STARTTLS')
        client.send(b'\x16\x03\x01\x02\x00\x01')
        clients.append(client)
    took = engine.probe()
    wait('all of them closed', lambda: engine.metric('connection_count{service="esmtp_listener"}') == 0, 60)
    # Whoever means it is still served.
    client = engine.client()
    client.expect('220', 'STARTTLS')
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client.stream = context.wrap_socket(client.stream)
    client.expect('250', 'EHLO x')
    return f'all closed, a message meanwhile took {took * 1000:.0f} ms'


@attack('resets', '30,000 connections reset at once')
def resets(rig):
    engine = rig.engine()
    engine.probe()
    before, descriptors, start = engine.rss(), engine.descriptors(), time.monotonic()
    linger = struct.pack('ii', 1, 0)
    for number in range(30_000):
        stream = socket.create_connection(('127.0.0.1', engine.smtp if number % 3 else engine.http))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if number % 2:
            stream.send(b'EHLO x\r\nMAIL')
        stream.close()
    took = time.monotonic() - start
    engine.probe()
    wait('descriptors to be given back', lambda: engine.descriptors() <= descriptors + 10)
    grown = engine.rss() - before
    assert grown < 150, f'{grown:.0f} MB'
    return f'in {took:.1f} s, nothing left open, {grown:.0f} MB more'


@attack('few', '400 clients of an engine that may have 200 descriptors')
def few(rig):
    engine = rig.engine(limit_files=200)
    clients, refused = [], 0
    for _ in range(400):
        stream = socket.create_connection(('127.0.0.1', engine.smtp), timeout=10)
        clients.append(stream)
    for stream in clients:
        stream.settimeout(0.05)
        try:
            refused += not stream.recv(200).startswith(b'220')
        except OSError:
            refused += 1
    for stream in clients:
        stream.close()
    took = engine.probe(60)
    return f'{refused} waited or were refused; with room again a message took {took * 1000:.0f} ms'


@attack('A13', 'SIGTERM under load, and with a handler that does not end')
def term(rig):
    engine = rig.engine(extra="kumo.on('smtp_server_ehlo', function(d) if d == 'spin' then while true do end end end)")
    clients = [engine.client() for _ in range(100)]
    for client in clients:
        client.send(b'MAIL FROM:<a@src.test>\r\nRCPT TO:<u@dst.test>\r\nDATA\r\nx')
    for _ in range(4):
        Client(engine.smtp, greet=False).send(b'EHLO spin\r\n')
    start = time.monotonic()
    engine.stop()
    return f'it ended in {time.monotonic() - start:.1f} s'
