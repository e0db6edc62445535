"""What strangers can make the engine hold, and work on: bodies, headers, templates, reports."""
import collections
import multiprocessing
import selectors
import socket
import threading
import time

from rig import attack, wait

MB = 1 << 20


@attack('A1', 'templates whose parsing needs a deep stack')
def templates(rig):
    engine = rig.engine()
    forms = [('not ' * 7000) + '1', '-' * 7000 + '1', '1' + '|upper' * 7000, 'a' + '.b' * 7000, '1' + '+1' * 7000, '1' + '~1' * 7000,
             '(' * 7000 + '1' + ')' * 7000, '[' * 7000 + ']' * 7000, '{"a":' * 7000 + '1' + '}' * 7000, 'a' + '[0' * 7000 + ']' * 7000,
             'f(' * 7000 + ')' * 7000, '1 if ' * 7000 + '1', '1 and ' * 7000 + '1', '1 == ' * 7000 + '1', 'x is ' + 'not ' * 7000 + 'defined']
    blocks = ['{% if 1 %}' * 7000, '{% if 0 %}' + '{% elif 0 %}' * 7000 + '{% endif %}', '{% for a in b %}' * 7000,
              '{% set a = ' + '(' * 7000 + '1' + ')' * 7000 + ' %}', '{% filter upper %}' * 7000, '{{#if a}}' * 7000]
    tried = 0
    for dialect in ('Jinja', 'Handlebars'):
        for text in ['{{ ' + form + ' }}' for form in forms] + blocks:
            for content in ('Subject: x\n\n' + text, {'subject': text, 'text_body': 'x', 'from': {'email': 'a@src.test'}}):
                engine.inject(content, template_dialect=dialect, substitutions={'a': 1})
                tried += 1
    for bomb in (b'{"a":' * 50_000, b'[' * 100_000):
        engine.request('POST', '/api/inject/v1', bomb, {'Content-Type': 'application/json'})
    engine.probe()
    return f'{tried} tried, the engine lives'


@attack('A12', 'templates that loop and grow')
def endless(rig):
    engine = rig.engine()
    before, longest = engine.rss(), 0
    for text in ('{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}',
                 '{% set s = "x" %}' + '{% set s = s ~ s %}' * 40 + '{{ s }}',
                 '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', '{{ "x" * 999999999 }}',
                 '{% for a in range(99999) %}{{ "x" * 1000 }}{% endfor %}'):
        done = threading.Event()
        threading.Thread(target=lambda t=text, d=done: (engine.inject('Subject: x\n\n' + t), d.set()), daemon=True).start()
        longest = max(longest, engine.probe())
        assert done.wait(30), 'it never ended'
    grown = engine.rss() - before
    assert grown < 300, f'{grown:.0f} MB more'
    return f'a message meanwhile took at most {longest * 1000:.0f} ms, {grown:.0f} MB more'


@attack('A2', '900 KB of headers that records select')
def headers(rig):
    engine = rig.engine()
    text = ''.join(f'X-{n}: {n}\r\n' for n in range(60_000)) + '\r\nx'
    threads = [threading.Thread(target=engine.inject, args=('Subject: x\r\n' + text,), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    took = engine.probe()
    for thread in threads:
        thread.join(60)
    # And by one without any right to relay: a report.
    report = ('Subject: bounced\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n'
              '--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x.test\r\n\r\n'
              'Final-Recipient: rfc822; u@dst.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n'
              '--b\r\nContent-Type: text/rfc822-headers\r\n\r\n' + ''.join(f'X-{n}: {n}\r\n' for n in range(8_000)) + '\r\n--b--\r\n')
    client = engine.client(timeout=60)
    client.expect('250', 'MAIL FROM:<>')
    client.expect('250', 'RCPT TO:<x@reports.test>')
    client.expect('354', 'DATA')
    client.command(report + '\r\n.')
    took = max(took, engine.probe())
    assert took < 3, f'{took:.1f} s'
    return f'a message meanwhile took at most {took * 1000:.0f} ms'


@attack('work', 'ten signatures over 16 MB of short lines, each to be checked')
def signatures(rig):
    engine = rig.engine(extra="kumo.on('smtp_server_message_received', function(msg) if msg:get_first_named_header_value 'X-Check' then "
                              "assert(#msg:dkim_verify() == 10) msg:set_meta('queue', 'null') end end)")
    head = ''.join(f'DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=src.test; s=s; h=From; l={99_999_999 - n}; bh=AAAA; b=AAAA\r\n'
                   for n in range(10))
    text = head + 'X-Check: yes\r\nFrom: a@src.test\r\n\r\n' + 'x\r\n' * 5_400_000 + '.'
    longest, senders = 0, []
    for _ in range(4):
        client = engine.client(timeout=180)
        client.expect('250', 'MAIL FROM:<a@src.test>')
        client.expect('250', 'RCPT TO:<u@dst.test>')
        client.expect('354', 'DATA')
        senders.append(threading.Thread(target=client.command, args=(text,), daemon=True))
        senders[-1].start()
    while any(sender.is_alive() for sender in senders):
        longest = max(longest, engine.probe(60))
    assert longest < 3, f'a message meanwhile took {longest:.1f} s'
    return f'a message meanwhile took at most {longest * 1000:.0f} ms'


@attack('A5', 'a report of 18 MB with 200,000 recipients')
def report(rig):
    engine = rig.engine()
    before = engine.rss()
    one = 'Final-Recipient: rfc822; u@dst.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n'
    text = ('Subject: bounced\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n'
            '--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x.test\r\n\r\n' + one * 200_000 + '--b--\r\n.')
    client = engine.client(timeout=120)
    client.expect('250', 'MAIL FROM:<>')
    client.expect('250', 'RCPT TO:<x@reports.test>')
    client.expect('354', 'DATA')
    sender = threading.Thread(target=client.command, args=(text,), daemon=True)
    sender.start()
    took = engine.probe()
    sender.join(60)
    grown = engine.rss() - before
    assert grown < 300, f'{grown:.0f} MB more'
    return f'{grown:.0f} MB more, a message meanwhile took {took * 1000:.0f} ms'


def send_unfinished(port, count, told):
    """`count` clients that each send 20 MB of a message as fast as they are read, and never finish it. `told` gets what became
    of them when nothing moves any more; they end with this process."""
    watched, begin = selectors.DefaultSelector(), b'MAIL FROM:<a@src.test>\r\nRCPT TO:<u@dst.test>\r\nDATA\r\n'
    chunk, whole = (b'x' * 76 + b'\r\n') * 800, 20_000_000
    became = collections.Counter()
    for _ in range(count):
        stream = socket.create_connection(('127.0.0.1', port), timeout=60)
        stream.recv(512)
        stream.sendall(b'EHLO flood.test\r\n')
        stream.recv(4096)
        stream.sendall(begin)
        stream.setblocking(False)
        watched.register(stream, selectors.EVENT_READ, [b'', 0])
    while events := watched.select(15):
        for key, _ in events:
            stream, state = key.fileobj, key.data
            try:
                if not state[1]:
                    part = stream.recv(4096)
                    state[0] += part
                    if b'\r\n354' in state[0]:
                        state[1] = 1
                        watched.modify(stream, selectors.EVENT_READ | selectors.EVENT_WRITE, state)
                    elif b'452 ' in state[0] or not part:
                        became['452 before a byte' if part else 'closed'] += 1
                        watched.unregister(stream)
                elif key.events & selectors.EVENT_READ and (part := stream.recv(4096, socket.MSG_PEEK)) is not None and part[:1] in (b'4', b''):
                    became[f'{part[:3].decode()} on the way' if part else 'closed'] += 1
                    watched.unregister(stream)
                elif state[1] < whole:
                    state[1] += stream.send(chunk)
                else:
                    became['sent all'] += 1
                    watched.modify(stream, selectors.EVENT_READ, state)
            except BlockingIOError:
                pass
            except OSError:
                became['closed'] += 1
                watched.unregister(stream)
    told.put(dict(became))
    time.sleep(600)


@attack('A4', '1,000 clients that send 20 MB each and never finish')
def unfinished(rig):
    engine = rig.engine(args=['--receive-memory', '64M'])
    before, top, slowest, probes = engine.rss(), 0, 0, 0
    told = multiprocessing.Queue()
    flood = multiprocessing.Process(target=send_unfinished, args=(engine.smtp, 1000, told), daemon=True)
    flood.start()
    while told.empty():
        assert flood.is_alive(), 'the flood ended'
        slowest, probes = max(slowest, engine.probe(60)), probes + 1
        top = max(top, engine.rss() - before)
    became = told.get()
    assert top < 64 + 200, f'{top:.0f} MB more than before'
    flood.kill()
    flood.join()
    ended = time.monotonic()
    wait('the memory to come back', lambda: engine.rss() - before < 100, 30)
    back = time.monotonic() - ended
    return (f'{top:.0f} MB more with a budget of 64, {became}; the slowest of {probes} messages meanwhile took {slowest * 1000:.0f} ms; '
            f'{back:.1f} s after their end {engine.rss() - before:.0f} MB more than before')


@attack('A4-hold', '200 clients that fill the memory and then send a byte a second')
def holding(rig):
    engine = rig.engine(args=['--receive-memory', '64M'])
    clients, line = [], b'x' * 998 + b'\r\n'
    for _ in range(200):
        client = engine.client(timeout=60)
        client.send(b'MAIL FROM:<a@src.test>\r\nRCPT TO:<u@dst.test>\r\nDATA\r\n')
        client.send(line * 1000)
        clients.append(client)
    done = threading.Event()

    def trickle():
        while not done.wait(1):
            for one in clients:
                one.send(b'x')
    threading.Thread(target=trickle, daemon=True).start()
    large, start, refused = 'Subject: large\r\n\r\n' + ('x' * 76 + '\r\n') * 130_000 + '.', time.monotonic(), 0
    while True:
        sender = engine.client(timeout=60)
        sender.expect('250', 'MAIL FROM:<b@src.test>')
        sender.expect('250', 'RCPT TO:<u@dst.test>')
        sender.expect('354', 'DATA')
        told = sender.command(large)
        sender.close()
        if told.startswith('250'):
            break
        assert told.startswith('452') and time.monotonic() - start < 60, told
        refused += 1
    took = time.monotonic() - start
    done.set()
    for client in clients:
        client.close()
    return f'a message of 10 MB was refused {refused} times, and taken after {took:.1f} s'


@attack('A4-size', '2,000 clients that declare 20 MB and are silent')
def declared(rig):
    engine = rig.engine()
    before, clients = engine.rss(), []
    for _ in range(2000):
        client = engine.client()
        client.send(b'MAIL FROM:<a@src.test> SIZE=20000000\r\nRCPT TO:<u@dst.test>\r\nDATA\r\n')
        clients.append(client)
    took = engine.probe()
    held = engine.rss() - before
    for client in clients:
        client.close()
    assert held < 200, f'{held:.0f} MB'
    return f'{held:.0f} MB more, a message meanwhile took {took * 1000:.0f} ms'


@attack('A4-copies', 'one body of 10 MB for 1,000 recipients')
def copies(rig):
    # Its next hop hangs up: what is looked at is the way in.
    engine = rig.engine(sink=rig.sink(script=lambda stream: None))
    before, top = engine.rss(), []
    client = engine.client(timeout=120)
    client.expect('250', 'MAIL FROM:<a@src.test>')
    for number in range(1000):
        client.expect('250', f'RCPT TO:<u{number}@dst.test>')
    client.expect('354', 'DATA')
    sender = threading.Thread(target=lambda: top.append(client.command(
        'Subject: big\r\n\r\n' + ('x' * 76 + '\r\n') * 130_000 + '.')), daemon=True)
    sender.start()
    grown = 0
    while sender.is_alive():
        grown = max(grown, engine.rss() - before)
        time.sleep(0.01)
    assert top[0].startswith('250') and grown < 400, (top[0][:80], grown)
    return f'at most {grown:.0f} MB more'


@attack('A4-http', '400 anonymous POSTs of 2 MB')
def anonymous(rig):
    engine = rig.engine(http="trusted_hosts = {},")
    before, streams = engine.rss(), []
    head = b'POST /api/inject/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n'
    for _ in range(400):
        stream = socket.create_connection(('127.0.0.1', engine.http), timeout=10)
        streams.append(stream)
        try:
            stream.sendall(head + b'x' * 500_000)
        except OSError:
            pass
    grown = engine.rss() - before
    statuses = set()
    for stream in streams:
        try:
            statuses.add(stream.recv(12))
        except OSError:
            pass
        stream.close()
    assert statuses <= {b'HTTP/1.1 401', b''} and grown < 100, (statuses, grown)
    engine.probe()
    return f'refused on the head alone, {grown:.0f} MB more'
