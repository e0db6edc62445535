#!/usr/bin/env python3
"""Sends the messages that the browser tests look at.  mail.py PORT NAME..."""
import base64, email.message, email.policy, email.utils, hashlib, json, smtplib, struct, sys, uuid, zlib

def png(width=120, height=80):
    rows = b''.join(b'\0' + bytes(v for x in range(width) for v in (15 + x * 200 // width, 118, 110 + y * 100 // height)) for y in range(height))
    chunk = lambda kind, data: struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')

def pdf(text='Invoice 4711'):
    content = f'BT /F1 24 Tf 72 700 Td ({text}) Tj ET'
    objects = ['<< /Type /Catalog /Pages 2 0 R >>', '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
        '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
        f'<< /Length {len(content)} >>\nstream\n{content}\nendstream', '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>']
    out, places = b'%PDF-1.4\n', []
    for number, text in enumerate(objects, 1):
        places.append(len(out))
        out += f'{number} 0 obj\n{text}\nendobj\n'.encode()
    start = len(out)
    out += f'xref\n0 {len(objects) + 1}\n0000000000 65535 f \n'.encode() + b''.join(b'%010d 00000 n \n' % p for p in places)
    return out + f'trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n'.encode()

CALENDAR = '\r\n'.join(['BEGIN:VCALENDAR', 'VERSION:2.0', 'METHOD:REQUEST', 'BEGIN:VEVENT', 'UID:42@example.com', 'SUMMARY:Launch\\, at last',
    'DTSTART:20260714T090000Z', 'DTEND:20260714T100000Z', 'LOCATION:Room 7', 'ORGANIZER;CN="Ann Example":mailto:ann@example.com',
    'ATTENDEE;CN=Bob;PARTSTAT=ACCEPTED:mailto:bob@example.org', 'DESCRIPTION:Bring the\\ncake, and a ', ' long line', 'BEGIN:VALARM',
    'TRIGGER:-PT15M', 'DESCRIPTION:not this', 'END:VALARM', 'END:VEVENT', 'END:VCALENDAR', ''])

CLAIMS = base64.urlsafe_b64encode(json.dumps({'sub': 'bob', 'scope': 'reset'}).encode()).rstrip(b'=').decode()
JWT = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b'=').decode() + '.' + CLAIMS + '.c2lnbmF0dXJl'
STATE = base64.urlsafe_b64encode(b'user=7;plan=gold').rstrip(b'=').decode()

def message(subject, to, **headers):
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m['From'] = headers.pop('sender', 'Ann Example <ann@example.com>')
    m['To'], m['Subject'] = to, subject
    m['Date'], m['Message-ID'] = email.utils.formatdate(), f'<{uuid.uuid4()}@example.com>'
    for name, value in headers.items(): m[name.replace('_', '-')] = value
    return m

HTML = '''<!DOCTYPE html><html><head><meta name="color-scheme" content="light dark"><style>body{font-family:sans-serif;margin:0;padding:24px}
@media (prefers-color-scheme: dark){body{background:#101418;color:#e8eef2}} @media (max-width:500px){h1{color:#b42318}} .box{padding:16px;border-radius:12px;background:#0f766e;color:#fff}</style></head>
<body><div style="display:none">Your order is on its way</div><!-- greeting --><h1>Hello Bob</h1><p class="box">Thank you for your order &amp; welcome.</p>
<p><a id="token" href="https://shop.example.com/confirm?token=%s&amp;state=%s&amp;lang=en">Confirm</a> or <a id="plain" href="http://shop.example.com/help">ask for help</a></p>
<img src="cid:logo@example.com" width="120" height="80" alt="Logo"></body></html>''' % (JWT, STATE)

def rich():
    ref = base64.b64encode(json.dumps({'_@_': 'x', 'recipient': 'bob@example.org'}).encode()).decode()
    m = message('Your order 4711', 'Bob <bob@example.org>', X_KumoRef=ref, List_Unsubscribe='<https://shop.example.com/u?id=7>, <mailto:u@example.com?subject=stop>',
        List_Unsubscribe_Post='List-Unsubscribe=One-Click', Authentication_Results='mx.example.org (front); spf=pass smtp.mailfrom=ann@example.com; dkim=fail (body hash) header.d=example.com; dmarc=none')
    m.set_content('Hello Bob,\n\nsee https://shop.example.com/help (any time).\n')
    m.add_alternative(HTML, subtype='html')
    m.get_payload()[1].add_related(png(), 'image', 'png', cid='<logo@example.com>', filename='logo.png')
    m.add_attachment(png(300, 200), 'image', 'png', filename='photo.png')
    m.add_attachment(pdf(), 'application', 'pdf', filename='invoice.pdf')
    m.add_attachment('name;amount\nAnn;7\nJürgen;9\n', filename='list.csv', subtype='csv')
    m.add_attachment(CALENDAR, subtype='calendar', filename='event.ics')
    inner = message('The letter within', 'carol@example.net', sender='dave@example.net')
    inner.set_content('plain words')
    inner.add_alternative('<p id="inner">Words within <b>words</b></p>', subtype='html')
    inner.add_attachment(b'deep', 'text', 'plain', filename='deep.txt')
    m.add_attachment(inner, filename='letter.eml')
    m.add_attachment(b'\0\1\2' * 50, 'application', 'octet-stream', filename='data.bin')
    return [(m.as_bytes(), 'bounce+bob=example.org@example.com', ['bob@example.org'])]

CHARSETS = [('shift_jis', '日本語のメール'), ('euc_jp', '日本語のメール'), ('iso-2022-jp', '日本語のメール'), ('big5', '中文信件'), ('gb2312', '中文邮件'), ('gbk', '中文邮件'),
    ('gb18030', '中文邮件'), ('euc_kr', '한국어 편지'), ('ks_c_5601-1987', '한국어 편지'), ('windows-874', 'จดหมายไทย'), ('koi8-r', 'Письмо'), ('windows-1256', 'رسالة عربية'), ('iso-8859-8', 'מכתב')]

def charsets():
    out = []
    for charset, words in CHARSETS:
        name = {'ks_c_5601-1987': 'euc_kr', 'windows-874': 'cp874', 'windows-1256': 'cp1256'}.get(charset, charset)
        raw = words.encode(name)
        label = charset.replace('euc_', 'euc-')
        coded = f'=?{label}?B?{base64.b64encode(raw).decode()}?='
        head = f'From: {coded} <ann@example.com>\r\nTo: bob@example.org\r\nSubject: {coded}\r\nMIME-Version: 1.0\r\nX-Charset: {label}\r\n'
        body = base64.b64encode(f'<p id="w">{words}</p>'.encode(name)).decode()
        parts = [('text/plain', base64.b64encode(raw).decode()), ('text/html', body)]
        head += 'Content-Type: multipart/alternative; boundary=b\r\n\r\n'
        for kind, data in parts: head += f'--b\r\nContent-Type: {kind}; charset={label}\r\nContent-Transfer-Encoding: base64\r\n\r\n{data}\r\n'
        out.append(((head + '--b--\r\n').encode(), 'ann@example.com', ['bob@example.org']))
    return out

def copies(n=4):
    out = []
    for i in range(n):
        token = base64.urlsafe_b64encode(json.dumps({'reader': i}).encode()).decode().rstrip('=')
        m = message('The news of July', 'readers@example.com', X_Reader=str(i))
        m.set_content(f'Dear reader {i}, here is the news.')
        m.add_alternative(f'<p>Dear reader {i}, here is the news.</p><a href="https://news.example.com/read?r={token}&amp;same=1">Read</a>', subtype='html')
        out.append((m.as_bytes(), 'news@example.com', [f'reader{i}@example.org']))
    return out

# Every way in which HTML asks for something elsewhere, at once.
def caller(base):
    u = lambda what: f'{base}/{what}'
    return f'''<html><head><link rel=stylesheet href="{u('link')}"><link rel=preconnect href="{base}"><link rel=dns-prefetch href="{base}"><link rel=prefetch href="{u('prefetch')}"><link rel=icon href="{u('icon')}">
<link rel=preload as=image href="{u('preload')}"><link rel=modulepreload href="{u('modulepreload')}"><meta http-equiv=refresh content="0;url={u('refresh')}"><base href="{base}/base/">
<style>@import url({u('import')}); @font-face{{font-family:f;src:url({u('font')})}} body{{font-family:f;background:url({u('css')})}} p::before{{content:url({u('content')})}} li{{list-style-image:url({u('list')})}} p{{cursor:url({u('cursor')}),auto}}</style></head>
<body background="{u('background')}" onload="fetch('{u('onload')}')"><p>Words</p><ul><li>x</ul><img src="{u('img')}" srcset="{u('srcset')} 2x" onerror="new Image().src='{u('onerror')}'"><picture><source srcset="{u('source')}"><img src=rel.png></picture>
<video src="{u('video')}" poster="{u('poster')}" autoplay></video><audio src="{u('audio')}" autoplay></audio><iframe src="{u('iframe')}"></iframe><object data="{u('object')}"></object><embed src="{u('embed')}">
<svg width=9 height=9><image href="{u('svg')}" width=9 height=9 /><use href="{u('use')}#x" /></svg><form action="{u('form')}"><input type=image src="{u('input')}"></form><script src="{u('script')}"></script><script>fetch('{u('inline')}'); parent.fetch&&parent.fetch('{u('parent')}')</script>
<table background="{u('table')}"><tr><td style="background-image:url({u('style')})">x</table><a id=out href="{u('clicked')}" ping="{u('ping')}">out</a><math><mtext href="{u('math')}">x</mtext></math><blink style="-webkit-mask-image:url({u('mask')})">x</blink></body></html>'''

def calls(base):
    m = message('Calls home', 'bob@example.org')
    m.set_content(caller(base), subtype='html')
    m.add_attachment(f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="40"><image href="{base}/svgfile" width="9" height="9"/><script>fetch("{base}/svgscript")</script></svg>'.encode(), 'image', 'svg+xml', filename='picture.svg')
    m.add_attachment(caller(base).encode(), 'text', 'html', filename='page.html')
    return [(m.as_bytes(), 'ann@example.com', ['bob@example.org'])]

def parts(n=100000):
    head = b'From: ann@example.com\r\nTo: bob@example.org\r\nSubject: Very many parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nwords\r\n'
    return [(head + b'--b\r\nContent-Type: image/png\r\n\r\nx\r\n' * n + b'--b--\r\n', 'ann@example.com', ['bob@example.org'])]

# As near to 50 MB as the inbox takes.
def huge(size=49 << 20):
    row = b'<tr><td>cell</td><td style="color:#333">another cell of a very long table</td></tr>\r\n'
    head = b'From: ann@example.com\r\nTo: bob@example.org\r\nSubject: A very large table\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<table>\r\n'
    return [(head + row * (size // len(row)) + b'</table>\r\n', 'ann@example.com', ['bob@example.org'])]

def names():
    long = 'Someone With A Name That Is Much Longer Than Any List Is Wide And Goes On And On For Quite A While'
    m = message('مرحبا: رسالة بالعربية', 'bob@example.org', sender=email.utils.formataddr((long, 'ann@' + 'very-long-' * 5 + 'domain.example.com')))
    m.set_content('مرحبا بك\n\nhttps://example.com/ar\n')
    return [(m.as_bytes(), 'ann@example.com', ['bob@example.org'])]

def plain(subject='Password reset', to='bob@example.org'):
    m = message(subject, to)
    m.set_content(f'Go to https://app.example.com/reset?token={STATE} now.\n')
    return [(m.as_bytes(), 'ann@example.com', [to])]

def crowd(n=40):
    m = message('To very many', ', '.join(f'Reader {i} <reader{i}@example.org>' for i in range(n)), Cc=', '.join(f'cc{i}@example.net' for i in range(5)))
    m.set_content('\n')
    return [(m.as_bytes(), 'ann@example.com', [f'reader{i}@example.org' for i in range(n)])]

def links(base):
    m = message('Four links', 'bob@example.org')
    m.set_content(''.join(f'<p><a href="{base}/{name}">{name}</a>' for name in ('fine', 'gone', 'moved', 'cut')), subtype='html')
    return [(m.as_bytes(), 'ann@example.com', ['bob@example.org'])]

def dkim():
    """Signed here by the rules of RFC 6376, relaxed/relaxed, with a key that Python's `cryptography` or openssl makes."""
    import subprocess, tempfile, os
    folder = tempfile.mkdtemp()
    key = os.path.join(folder, 'key.pem')
    subprocess.run(['openssl', 'genrsa', '-out', key, '2048'], check=True, capture_output=True)
    public = subprocess.run(['openssl', 'rsa', '-in', key, '-pubout', '-outform', 'DER'], check=True, capture_output=True).stdout
    body = b'Signed  words \r\nand more.\r\n\r\n\r\n'
    canonical = b'Signed words\r\nand more.\r\n'
    bh = base64.b64encode(hashlib.sha256(canonical).digest()).decode()
    fields = [('From', 'Ann <ann@example.com>'), ('To', 'bob@example.org'), ('Subject', 'Signed\r\n  letter')]
    tags = f'v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=july;\r\n\th=from:to:subject; bh={bh};\r\n\tb='
    import re
    relaxed = lambda name, value: f'{name.lower()}:' + re.sub(r'[ \t]+', ' ', value.replace('\r\n', '')).strip()
    text = ''.join(relaxed(n, v) + '\r\n' for n, v in fields) + relaxed('DKIM-Signature', tags)
    signed = subprocess.run(['openssl', 'dgst', '-sha256', '-sign', key], input=text.encode(), check=True, capture_output=True).stdout
    source = f'DKIM-Signature: {tags}{base64.b64encode(signed).decode()}\r\n' + ''.join(f'{n}: {v}\r\n' for n, v in fields) + '\r\n'
    print('record v=DKIM1; k=rsa; p=' + base64.b64encode(public).decode())
    print('private ' + base64.b64encode(open(key, 'rb').read()).decode())
    for name in os.listdir(folder): os.unlink(os.path.join(folder, name))
    os.rmdir(folder)
    good = (source.encode() + body, 'ann@example.com', ['bob@example.org'])
    return [good, (source.replace('Signed\r\n  letter', 'Signed, changed').encode() + body.replace(b'more', b'less'), 'ann@example.com', ['bob@example.org'])]

port, *names_ = sys.argv[1:]
with smtplib.SMTP('127.0.0.1', int(port), timeout=120) as smtp:
    for name in names_:
        name, _, argument = name.partition('=')
        make = {'rich': rich, 'charsets': charsets, 'copies': copies, 'calls': calls, 'parts': parts, 'huge': huge, 'names': names, 'plain': plain, 'crowd': crowd, 'links': links, 'dkim': dkim}[name]
        for source, sender, recipients in (make(argument) if argument else make()):
            smtp.sendmail(sender, recipients, source)
