"""What a client may say over SMTP: commands, data, logins."""
import base64
import random
import time

from rig import attack, wait

ENDS = [b'\n.\n', b'\n.\r\n', b'\r.\r', b'\r.\n', b'\r.\r\n', b'\n.\r', b'\r\n.\r', b'\r\n.\n', b'\r\r\n.\r\r\n',
        b'\n\r\n.\n\r\n', b'\r\n.\0\r\n', b'\r\n\0.\r\n', b'\r\n. \r\n', b'\r\n.\t\r\n', b'\r\n..\n', b'\n\n.\n\n',
        b'\r\n.\r\r\n', b'\x0b.\x0b', b'\x85.\x85']


@attack('smuggling', '57 ends of data that are none, over Deny, Allow and Fix')
def smuggling(rig):
    taken = 0
    for mode in ('Deny', 'Allow', 'Fix'):
        sink = rig.sink()
        engine = rig.engine(sink=sink, listener=f"invalid_line_endings = '{mode}',")
        for at, end in enumerate(ENDS):
            client = engine.client()
            client.expect('250', f'MAIL FROM:<outer-{at}@src.test>')
            client.expect('250', 'RCPT TO:<u@dst.test>')
            client.expect('354', 'DATA')
            inner = b'MAIL FROM:<evil@src.test>\r\nRCPT TO:<v@dst.test>\r\nDATA\r\nSubject: evil\r\n\r\nx\r\n.\r\n'
            client.send(b'Subject: outer\r\n\r\nbody' + end + inner)
            reply = client.reply()
            taken += reply.startswith('250')
            client.close()
        engine.probe()
        for message in sink.messages:
            envelope = message.split(b'Received:')[0].split(b'Subject:')[0]
            assert b'evil@' not in envelope, f'{mode}: {message[:200]}'
            bare = message.replace(b'\r\n', b'')
            assert b'\r' not in bare and b'\n' not in bare, f'{mode}: a bare line end left: {message[:300]}'
    return f'no second message, no bare line end ever left; {taken} of {3 * len(ENDS)} were one message each'


@attack('sessions', '300 sessions of garbage, torn and reordered commands')
def garbage(rig):
    engine = rig.engine()
    dice = random.Random(7)
    words = ['EHLO x', 'HELO', 'MAIL FROM:<a@b.test>', 'MAIL FROM:<>', 'RCPT TO:<c@d.test>', 'DATA', 'RSET', 'NOOP', 'BDAT 5',
             'AUTH PLAIN', 'AUTH LOGIN =', '*', 'STARTTLS', 'XCLIENT ADDR=1.2.3.4', 'VRFY x', 'EXPN y', 'HELP', 'QUIT x',
             'MAIL FROM:<' + 'a' * 400 + '@x>', 'RCPT TO:<@a,@b:c@d>', 'MAIL FROM:<a@b> SIZE=99999999999999999999',
             'MAIL FROM:<a@b> BODY=', 'GET / HTTP/1.1', 'EHLO ' + 'x' * 5000, 'EHLO a\x00b', 'EHLO a\x1b[2J', '\xff\xfe', '.']
    for _ in range(300):
        client = engine.client(greet=False)
        client.reply()
        lines = [dice.choice(words) for _ in range(dice.randrange(1, 12))]
        blob = '\r\n'.join(lines).encode('latin-1')
        for _ in range(dice.randrange(4)):
            at = dice.randrange(len(blob) + 1)
            blob = blob[:at] + bytes(dice.randrange(256) for _ in range(dice.randrange(9))) + blob[at:]
        client.send(blob + b'\r\n')
        client.close()
    took = engine.probe()
    said = [line for line in engine.said().splitlines() if 'ERROR' in line]
    assert not said, said[:3]
    return f'nothing was an error of ours; a message meanwhile took {took * 1000:.0f} ms'


@attack('relay', '27 forms of recipient that a stranger might relay by')
def relay(rig):
    engine = rig.engine(listener="relay_hosts = {},")
    forms = ['u@dst.test', 'u%dst.test@mx.engine.test', 'u%dst.test', '@mx.engine.test:u@dst.test', 'dst.test!u', 'u@dst.test@',
             '"u@dst.test"', '"u@dst.test"@mx.engine.test', 'u@[127.0.0.1]', 'u@[IPv6:::1]', 'u@dst.test.', 'u@DST.TEST',
             'u@dst.test@reports.test', '"u@dst.test@reports.test', 'u@reports.test@dst.test', '<u@dst.test>', 'u@dst.test\x00@reports.test',
             'u@dst.test ORCPT=rfc822;u@reports.test', '@reports.test,@x:u@dst.test', 'u(@reports.test)@dst.test', 'u@dst.test(reports.test)',
             'mx.engine.test!dst.test!u', 'u%dst.test@localhost', 'u@localhost', '""@dst.test', 'u+reports.test@dst.test',
             'u@xn--reports-.dst.test']
    assert len(forms) == 27
    passed = []
    for form in forms:
        client = engine.client()
        client.command('MAIL FROM:<a@reports.test>')
        reply = client.command(f'RCPT TO:<{form}>')
        if reply.startswith('2'):
            # One that is taken may only be mail for our own reports, and that is no relaying.
            client.command('DATA')
            final = client.command('Subject: x\r\n\r\nx\r\n.')
            if final.startswith('2'):
                passed.append(form)
        client.close()
    time.sleep(1)
    assert not passed and not engine.sink.messages, (passed, engine.sink.messages[:1])
    client = engine.client()
    assert not client.command('XCLIENT ADDR=127.0.0.1 LOGIN=user').startswith('2')
    return 'none was taken, nothing left; XCLIENT refused'


@attack('A10', '2,000 passwords guessed over SMTP, 500 over HTTP')
def guesses(rig):
    engine = rig.engine()
    answered = 0
    for number in range(2000):
        try:
            client = engine.client()
            login = base64.b64encode(f'\0user\0guess{number}'.encode()).decode()
            reply = client.command(f'AUTH PLAIN {login}')
            client.close()
        except AssertionError:
            break
        answered += reply.startswith('535')
        if reply.startswith('421'):
            break
    statuses = []
    for number in range(500):
        login = base64.b64encode(f'user:guess{number}'.encode()).decode()
        statuses.append(engine.request('GET', '/metrics', headers={'Authorization': f'Basic {login}'})[0])
    looked_at = statuses.count(401)
    assert answered <= 60 and looked_at <= 60, f'{answered} over SMTP and {looked_at} over HTTP were looked at'
    assert statuses[-1] == 429, statuses[-1]
    return f'{answered} and {looked_at} were looked at, then 421 and 429'


@attack('control', 'control characters in what is logged: lines cannot be forged')
def forged_lines(rig):
    engine = rig.engine()
    for text in (b'EHLO a\nERROR forged', b'MAIL FROM:<a\x00\x1b[31m@b.test>', b'NOOP \r ERROR forged', b'EHLO \xe2\x80\xa8x'):
        client = engine.client(greet=False)
        client.reply()
        client.send(text + b'\r\n')
        client.close()
    engine.probe()
    for line in engine.lines:
        assert not line.startswith(b'ERROR forged') and b'\x00' not in line and b'\x1b' not in line, line
    return 'each event is one line'


@attack('floods', '200,000 NOOPs, 20,000 headers, 1,500 recipients')
def floods(rig):
    engine = rig.engine()
    client = engine.client()
    try:
        for _ in range(200):
            client.send(b'NOOP\r\n' * 1000)
            client.stream.settimeout(0.001)
            try:
                client.stream.recv(1 << 20)
            except OSError:
                pass
            client.stream.settimeout(30)
    except ConnectionError:
        pass
    took = [engine.probe()]
    client = engine.client()
    client.expect('250', 'MAIL FROM:<a@src.test>')
    client.expect('250', 'RCPT TO:<u@dst.test>')
    client.expect('354', 'DATA')
    client.send(b''.join(b'X-%d: y\r\n' % n for n in range(20_000)))
    client.command('\r\nx\r\n.')
    took.append(engine.probe())
    client = engine.client()
    client.expect('250', 'MAIL FROM:<a@src.test>')
    refused = sum(client.command(f'RCPT TO:<u{n}@dst.test>')[:3] in ('452', '421', '') for n in range(1500))
    assert refused >= 400, refused
    took.append(engine.probe())
    return f'a message meanwhile took at most {max(took) * 1000:.0f} ms'


@attack('starttls', 'commands and data in clear behind STARTTLS')
def starttls(rig):
    engine = rig.engine()
    for tail in (b'MAIL FROM:<evil@src.test>\r\n', b'EHLO x\r\nMAIL FROM:<evil@src.test>\r\nRCPT TO:<u@dst.test>\r\nDATA\r\n', b'\x16\x03\x01'):
        client = engine.client()
        client.send(b'STARTTLS\r\n' + tail)
        reply = client.reply()
        client.stream.settimeout(2)
        try:
            after = client.reply()
        except TimeoutError:
            after = 'silence: it waits for the rest of the handshake'
        assert not after.startswith(('250', '354')), (reply, after)
        client.close()
    wait('no session left', lambda: engine.metric('connection_count{service="esmtp_listener"}') == 0)
    engine.probe()
    return 'none was obeyed'
