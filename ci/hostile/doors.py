"""HTTP: who is let in, what requests can be forged, and what a caller can choose."""
import json
import time

from rig import attack, wait

JSON = {'Content-Type': 'application/json'}
MAIL = json.dumps({'envelope_sender': 'evil@src.test', 'recipients': [{'email': 'u@dst.test'}], 'content': 'Subject: x\n\nx'})


@attack('A3', 'metadata of an injection that would steer it')
def metadata(rig):
    trap = rig.sink()
    engine = rig.engine()
    meta = {'queue': f'[127.0.0.1]:{trap.port}', 'routing_domain': f'[127.0.0.1]:{trap.port}', 'tenant': 'other', 'authn_id': 'root'}
    status, answer = engine.inject('Subject: steered\n\nx', recipients=[{'email': 'u@dst.test', 'metadata': meta}])
    assert status in (200, 400, 422), (status, answer)
    engine.probe()
    time.sleep(0.5)
    assert trap.connections == 0, 'mail went where its caller chose'
    if status == 200:
        wait('the message', lambda: engine.sink.has(b'steered'))
    return f'answered {status}; it went where the policy says'


@attack('A7', 'pages of other sites, names that point here, forms')
def browsers(rig):
    engine = rig.engine()
    own = f'127.0.0.1:{engine.http}'
    forged = [
        {'Origin': 'https://evil.test', **JSON}, {'Origin': 'null', **JSON}, {'Origin': f'http://{own}.evil.test', **JSON},
        {'Sec-Fetch-Site': 'cross-site', **JSON}, {'Sec-Fetch-Site': 'same-site', **JSON}, {'Host': 'evil.test', **JSON},
        {'Host': f'evil.test:{engine.http}', **JSON}, {'Host': '127.0.0.1.evil.test', **JSON}, {'Host': 'localhost.evil.test', **JSON},
        {'Content-Type': 'text/plain'}, {'Content-Type': 'application/x-www-form-urlencoded'},
        {'Content-Type': 'multipart/form-data; boundary=x'}, {},
    ]
    statuses = [engine.request('POST', '/api/inject/v1', MAIL, headers)[0] for headers in forged]
    assert all(status in (400, 403, 415) for status in statuses), statuses
    for path in ('/metrics', '/api/admin/queues/v1'):
        status = engine.request('GET', path, headers={'Host': 'evil.test'})[0]
        assert status == 403, (path, status)
    assert engine.request('POST', '/api/inject/v1', MAIL.replace('evil@', 'good@'), JSON)[0] == 200
    engine.probe()
    assert not engine.sink.has(b'evil@src.test')
    return f'{len(forged) + 2} refused, a plain client served'


@attack('A14', 'header fields by way of names, values and substitutions')
def fields(rig):
    engine = rig.engine()
    tricks = ['x\r\nX-Evil: 1', 'x\nX-Evil: 1', 'x\rX-Evil: 1', 'x\r\n\r\nX-Evil: 1', 'x\x0bX-Evil: 1', 'x\x85X-Evil: 1', 'x\u2028X-Evil: 1',
              'x\0\nX-Evil: 1']
    tried = 0
    for trick in tricks:
        parts = {'from': {'email': 'a@src.test', 'name': trick}, 'subject': trick, 'text_body': 'x', 'reply_to': {'email': 'a@src.test', 'name': trick}}
        named = {'email': 'u@dst.test', 'name': trick, 'substitutions': {'v': trick}}
        engine.inject(parts, recipients=[named])
        engine.inject({**parts, 'headers': {'X-A': trick, trick: 'x'}}, recipients=[named])
        engine.inject('Subject: {{ v }}\nX-B: {{ v }}\n\nx', recipients=[named], template_dialect='Jinja')
        engine.inject('Subject: y\n\nx', trace_headers={'header_name': trick, 'received_header': True, 'supplemental_header': True})
        engine.inject('Subject: y\n\nx', envelope_sender='a@src.test>' + trick)
        engine.inject('Subject: y\n\nx', recipients=[{'email': 'u@dst.test' + trick}])
        tried += 6
    engine.probe()
    for message in engine.sink.messages:
        head = message.split(b'\r\n\r\n')[0]
        assert b'\r\nX-Evil' not in head and b'\nX-Evil' not in head and b'\rX-Evil' not in head, head
    return f'{tried} tried, {len(engine.sink.messages) - 1} became mail, none with a field it should not have'


@attack('paths', '90 requests without any right, traversal')
def paths(rig):
    engine = rig.engine(http="trusted_hosts = {},")
    names = ['/metrics', '/metrics.json', '/api/inject/v1', '/api/admin/suspend/v1', '/api/admin/bounce/v1', '/api/admin/queues/v1',
             '/api/admin/reload/v1', '/api/admin/inspect-message/v1?id=x', '/api/admin/inspect-sched-q/v1?queue_name=x',
             '/api/admin/set_diagnostic_log_filter/v1', '/api/admin/bump-config-epoch', '/api/admin/self-check/v1',
             '/api/admin/suspend-ready-q/v1', '/..%2f..%2fetc/passwd', '/../../etc/passwd', '/api/../metrics', '//metrics', '/metrics/']
    tried = 0
    for name in names:
        for method in ('GET', 'POST', 'DELETE', 'PUT', 'PATCH'):
            status, body = engine.request(method, name, MAIL if method != 'GET' else None, JSON)
            assert status in (400, 401, 403, 404, 405), (method, name, status)
            assert b'root:' not in body
            tried += 1
    assert engine.request('GET', '/api/check-liveness/v1')[0] == 200
    engine.probe()
    assert not engine.sink.has(b'evil@src.test')
    return f'{tried} refused'


@attack('requests', '19 forms of request that two servers may read differently')
def smuggled(rig):
    engine = rig.engine()
    inner = f'POST /api/inject/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(MAIL)}\r\n\r\n{MAIL}'.encode()
    head = b'POST /api/admin/bump-config-epoch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n'
    length, whole = b'Content-Length: 0\r\n', b'Content-Length: %d\r\n' % len(inner)
    forms = [
        length + whole, b'Content-Length: 0, 0\r\n', b'Content-Length: +0\r\n', b'Content-Length: -1\r\n',
        b'Content-Length: 0x0\r\n', b'Content-Length: \r\n', length + b'Transfer-Encoding: chunked\r\n', b'Transfer-Encoding: xchunked\r\n',
        b'Transfer-Encoding : chunked\r\n', b'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n',
        b'Transfer-Encoding: chunked, identity\r\n', b'Transfer-Encoding:\x0bchunked\r\n', b'Transfer-Encoding: gzip, chunked\r\n',
        b' Content-Length: 0\r\n', whole + b'X: y\nContent-Length: 0\r\n', whole + b'X: y\rContent-Length: 0\r\n', b'X: \0\r\n' + length,
        b'Content-Length: 18446744073709551616\r\n', b'Host: evil.test\r\n' + length,
    ]
    assert len(forms) == 19
    second = []
    for form in forms:
        answer = engine.raw(head + form + b'\r\n' + inner, seconds=3)
        statuses = answer.split(b'HTTP/1.1 ')[1:]
        second += [form] if len(statuses) > 1 else []
    engine.probe()
    assert not second and not engine.sink.has(b'evil@src.test'), second
    return 'no second request was read out of a first'
