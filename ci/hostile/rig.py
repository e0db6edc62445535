"""What attacks share: engines as processes, clients that send what they are told, a next hop that keeps what it gets."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ATTACKS = []


def attack(name, what):
    """Puts a function into the list of attacks; its answer says what held."""
    def put(function):
        ATTACKS.append((name, what, function))
        return function
    return put


def wait(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f'waited in vain: {what}'
        time.sleep(0.02)


POLICY = """
local kumo = require 'kumo'
kumo.on('init', function()
  for _, name in ipairs {{ 'data', 'meta' }} do
    kumo.define_spool {{ name = name, path = '{dir}/spool/' .. name, min_free_space = '1MB', min_free_inodes = '0%' }}
  end
  kumo.configure_local_logs {{ log_dir = '{dir}/log', max_segment_duration = '1s', min_free_space = '1MB',
    headers = {{ 'Subject', 'X-*' }} }}
  kumo.start_esmtp_listener {{ listen = '127.0.0.1:0', hostname = 'mx.engine.test', {listener} }}
  kumo.start_http_listener {{ listen = '127.0.0.1:0', {http} }}
  {init}
end)
kumo.on('smtp_server_auth_plain', function(authz, authc, password) return password == 'right' end)
kumo.on('http_server_validate_auth_basic', function(user, password) return password == 'right' end)
kumo.on('get_listener_domain', function(domain)
  if domain == 'reports.test' then return kumo.make_listener_domain {{ log_oob = true, log_arf = true }} end
end)
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {{ retry_interval = '1s', max_retry_interval = '1s', {queue} }}
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path {{ enable_tls = 'OpportunisticInsecure', enable_mta_sts = false, prohibited_hosts = {{}},
    idle_timeout = '1s', {path} }}
end)
{extra}
"""


class Rig:
    """One attack's folder, engines and next hops; all of it goes with `close`."""

    def __init__(self, binary):
        self.binary, self.engines, self.sinks = os.path.abspath(binary), [], []
        # Not in the folder for temporary files: that may be memory, without O_DIRECT.
        self.dir = tempfile.mkdtemp(prefix='hostile-', dir=os.environ.get('HOSTILE_DIR', os.path.dirname(self.binary)))

    def sink(self, **behaviour):
        self.sinks.append(Sink(**behaviour))
        return self.sinks[-1]

    def engine(self, args=(), limit_files=None, **pieces):
        names = ('listener', 'http', 'init', 'queue', 'path', 'extra')
        sink = pieces.pop('sink', None) or self.sink()
        where = f"protocol = {{ smtp = {{ mx_list = {{ '{sink.host}:{sink.port}' }} }} }},"
        pieces['queue'] = pieces.get('queue', where)
        policy = os.path.join(self.dir, f'policy-{len(self.engines)}.lua')
        folder = os.path.join(self.dir, str(len(self.engines)))
        os.mkdir(folder)
        with open(policy, 'w', encoding='utf-8') as file:
            file.write(POLICY.format(dir=folder, **{name: pieces.get(name, '') for name in names}))
        engine = Engine(self.binary, policy, folder, args, limit_files)
        engine.sink = sink
        self.engines.append(engine)
        engine.wait_up()
        return engine

    def end_well(self):
        """Every engine still takes and delivers mail, and ends when it is told to."""
        for engine in self.engines:
            if engine.process.poll() is None:
                engine.stop()

    def close(self):
        for engine in self.engines:
            engine.process.kill()
            engine.process.wait()
        for sink in self.sinks:
            sink.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Engine:
    def __init__(self, binary, policy, folder, args, limit_files):
        command = [binary, 'run', '--policy', policy, '--shards', '2', '--auth-in-clear', *args]
        if limit_files:
            command = ['sh', '-c', f'ulimit -n {limit_files}; exec "$@"', 'sh', *command]
        self.folder, self.lines = folder, []
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def said(self):
        return b''.join(self.lines).decode('utf-8', 'replace')

    def wait_up(self):
        wait('a start', lambda: 'initialization complete' in self.said() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()[-2000:]
        ports = {}
        for line in self.said().splitlines():
            for kind in ('smtp', 'http'):
                if line.startswith(f'{kind} listener on '):
                    ports[kind] = int(line.rsplit(':', 1)[1])
        self.smtp, self.http = ports['smtp'], ports['http']

    def rss(self):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            return next(int(line.split()[1]) for line in file if line.startswith('VmRSS')) / 1024

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def client(self, greet=True, timeout=30):
        return Client(self.smtp, greet, timeout)

    def probe(self, seconds=20):
        """Somebody else's mail goes on: taken and delivered. Says how long that took."""
        assert self.process.poll() is None, f'the engine is gone: {self.said()[-1500:]}'
        start, mark = time.monotonic(), f'probe-{time.monotonic_ns()}'
        client = self.client()
        client.expect('250', f'MAIL FROM:<{mark}@src.test>')
        client.expect('250', 'RCPT TO:<probe@dst.test>')
        client.expect('354', 'DATA')
        client.expect('250', 'Subject: probe\r\n\r\nprobe\r\n.')
        wait('the delivery of a probe', lambda: self.sink.has(mark.encode()), seconds)
        return time.monotonic() - start

    def request(self, method, path, body=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection('127.0.0.1', self.http, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def inject(self, content, timeout=60, headers=None, **more):
        body = {'envelope_sender': 'a@src.test', 'recipients': [{'email': 'u@dst.test'}], 'content': content, **more}
        kind = {'Content-Type': 'application/json', **(headers or {})}
        return self.request('POST', '/api/inject/v1', json.dumps(body), kind, timeout)

    def raw(self, data, port=None, seconds=5):
        """Sends bytes and reads what comes until the end or a silence."""
        with socket.create_connection(('127.0.0.1', port or self.http), timeout=seconds) as stream:
            answer = b''
            try:
                stream.sendall(data)
                while chunk := stream.recv(65536):
                    answer += chunk
            except OSError:
                pass
            return answer

    def metric(self, name):
        text = self.request('GET', '/metrics')[1].decode()
        return sum(float(line.rsplit(' ', 1)[1]) for line in text.splitlines() if line.startswith(name))

    def stop(self, seconds=12):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'SIGTERM did not end it within {seconds} s') from None
        assert code == 0, f'it ended with {code}: {self.said()[-1500:]}'
        assert 'panicked' not in self.said(), self.said()[-1500:]


class Client:
    """A client that sends anything."""

    def __init__(self, port, greet=True, timeout=30):
        self.stream = socket.create_connection(('127.0.0.1', port), timeout=timeout)
        self.buffer = b''
        if greet:
            assert self.reply().startswith('220'), 'no greeting'
            self.expect('250', 'EHLO client.test')

    def send(self, data):
        self.stream.sendall(data if isinstance(data, bytes) else data.encode('utf-8', 'surrogateescape'))

    def reply(self):
        """A whole reply; empty at the end of the connection."""
        lines = []
        while True:
            while b'\r\n' not in self.buffer:
                try:
                    chunk = self.stream.recv(65536)
                except ConnectionError:
                    chunk = b''
                if not chunk:
                    return '\n'.join(lines)
                self.buffer += chunk
            line, self.buffer = self.buffer.split(b'\r\n', 1)
            lines.append(line.decode('utf-8', 'replace'))
            if line[3:4] != b'-':
                return '\n'.join(lines)

    def command(self, line):
        try:
            self.send(line if isinstance(line, bytes) else line + '\r\n')
        except ConnectionError:
            return ''
        return self.reply()

    def expect(self, code, line):
        reply = self.command(line)
        assert reply.startswith(code), f'{line[:60]!r} was answered {reply[:200]!r}'
        return reply

    def close(self):
        self.stream.close()


class Sink:
    """A next hop. `script` may take a connection over: a function of the socket."""

    def __init__(self, script=None, host='127.0.0.1'):
        self.script, self.host, self.messages, self.open = script, host, [], 0
        self.listener = socket.create_server((host, 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                stream = self.listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        stream.settimeout(120)
        try:
            with stream:
                (self.script or self.talk)(stream)
        except OSError:
            pass

    def talk(self, stream):
        file = stream.makefile('rwb')

        def say(line):
            file.write(line + b'\r\n')
            file.flush()
        say(b'220 sink.test')
        envelope = b''
        for line in file:
            verb = line[:4].upper()
            if verb == b'QUIT':
                say(b'221 bye')
                return
            if verb in (b'EHLO', b'HELO'):
                say(b'250 sink.test')
            elif verb == b'DATA':
                say(b'354 go')
                # Joined once: a body that grows line by line is copied as often as it has lines, which held up every attack
                # that waited for another message here.
                lines = []
                for text in file:
                    if text == b'.\r\n':
                        break
                    lines.append(text)
                self.messages.append(envelope + b''.join(lines))
                envelope = b''
                say(b'250 taken')
            else:
                envelope += line if verb in (b'MAIL', b'RCPT') else b''
                say(b'250 ok')

    def has(self, mark):
        return any(mark in message for message in self.messages)

    def close(self):
        self.listener.close()
