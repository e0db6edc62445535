"""The inbox of `ringmta sandbox`: views of mail that strangers made."""
import json
import os
import subprocess
import threading
import time

from rig import Client, attack


class Sandbox:
    def __init__(self, binary):
        command = [binary, 'sandbox', '--smtp', '127.0.0.1:0', '--web', '127.0.0.1:0']
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.smtp = int(self.process.stderr.readline().rsplit(':', 1)[1])
        self.web = int(self.process.stderr.readline().rstrip('/\n').rsplit(':', 1)[1])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def deliver(self, text):
        client = Client(self.smtp)
        client.expect('250', 'MAIL FROM:<a@src.test>')
        client.expect('250', 'RCPT TO:<u@dst.test>')
        client.expect('354', 'DATA')
        client.expect('250', text + '\r\n.')

    def get(self, path, headers=None, method='GET'):
        import http.client
        connection = http.client.HTTPConnection('127.0.0.1', self.web, timeout=30)
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict((name.lower(), value) for name, value in answer.getheaders()), body

    def newest(self):
        return json.loads(self.get('/api/v1/messages')[2])['messages'][0]['ID']


@attack('views', 'mail that would reach its sender, run, or take the inbox down when it is looked at')
def views(rig):
    sandbox = Sandbox(rig.binary)
    try:
        html = ('<link rel=preconnect href=//evil.test><LINK/rel=dns-prefetch href=//evil.test><script>x</script>'
                '<img src=http://evil.test/x><a href=http://evil.test>a</a>')
        sandbox.deliver('Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n' + html)
        status, headers, body = sandbox.get(f'/view/{sandbox.newest()}.html')
        policy, text = headers['content-security-policy'], body.decode()
        assert status == 200 and policy.startswith('sandbox') and "default-src 'none'" in policy and 'allow-scripts' not in policy
        assert 'rel=alternate rel=preconnect' in text and headers['x-dns-prefetch-control'] == 'off', (text, headers)
        part = '--b\r\nContent-Type: image/png\r\nContent-ID: <c>\r\n\r\nx\r\n'
        sandbox.deliver('Subject: y\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n' + part * 100_000 + '--b--')
        name, start = sandbox.newest(), time.monotonic()
        shown = json.loads(sandbox.get(f'/api/v1/message/{name}')[2])
        assert len(shown['Inline']) + len(shown['Attachments']) <= 1000
        took = time.monotonic() - start
        for headers in ({'Host': 'evil.test'}, {'Origin': 'https://evil.test'}):
            assert sandbox.get('/api/v1/messages', headers, 'DELETE')[0] in (403, 421), headers
        assert sandbox.get('/api/v1/messages')[0] == 200
        return f'inert; 100,000 parts were shown in {took:.1f} s; pages of others may not delete'
    finally:
        sandbox.process.kill()
        sandbox.process.wait()


@attack('A16-dev', 'a link planted where `dev` keeps its folder')
def planted(rig):
    place = os.path.join(rig.dir, 'tmp')
    private = os.path.join(rig.dir, 'private')
    os.mkdir(place)
    os.mkdir(private, 0o700)
    os.symlink(private, os.path.join(place, f'ringmta-dev-{os.getuid()}'))
    args = [rig.binary, 'dev', '--shards', '1']
    for port in ('smtp', 'http', 'sandbox-smtp', 'sandbox-web', 'receiver'):
        args += [f'--{port}', '127.0.0.1:0']
    done = subprocess.run(args, env={**os.environ, 'TMPDIR': place}, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and '--dir' in done.stderr, (done.returncode, done.stderr[-500:])
    assert not os.listdir(private)
    return 'refused, nothing written'


