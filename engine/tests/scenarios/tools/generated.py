#!/usr/bin/env python3
"""Requests for messages of parts, made from a seed; and the check that the messages made of them say the same.

    generated.py make SEED COUNT            prints one request per line
    generated.py check REQUESTS FOLDER      reads FOLDER/N.eml for the Nth request; prints what differs
    generated.py signed MODULUS RECORD FOLDER
                                            verifies the DKIM signature of each FOLDER/N.eml by the key of this modulus
                                            (hexadecimal), and by dkimpy where it is installed, which gets the DNS record
"""

import base64
import email
import email.header
import email.policy
import email.utils
import glob
import hashlib
import json
import random
import re
import sys

ONCE = ["from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject", "date",
        "mime-version", "content-type", "content-transfer-encoding"]
WORDS = ["plain", "Größe", "日本語", "naïve", "x" * 70, "Ω≈ç√", "a,b", "=?utf-8?q?no?=", "e\u0301", "🙂🙂", "O'Hara",
         "100%", "{curly}", "semi;colon", "(paren)", "back\\slash", 'qu"ote', "<angle>", "at@sign", "tail.", "two  blanks", "Ünïcödé" * 9]


def text(rng, most):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, most)))


def lines(rng, most):
    kinds = [
        lambda: text(rng, 12),
        lambda: "",
        lambda: "." + text(rng, 2),
        lambda: "y" * rng.choice([75, 76, 77, 998, 999, 2500]),
        lambda: "trailing blank ",
        lambda: "trailing tab\t",
        lambda: "From the start",
        lambda: "--" + text(rng, 1),
        lambda: "é" * rng.choice([10, 400, 1200]),
    ]
    return "\n".join(rng.choice(kinds)() for _ in range(rng.randint(1, most)))


def static(value):
    """As a template it stands for itself."""
    return value.replace("{{", "").replace("{%", "").replace("{#", "")


def mailbox(rng, at):
    found = {"email": f"{rng.choice(['a', 'first.last', 'x+tag', 'o_r-g'])}@{at}.test"}
    if rng.random() < 0.8:
        found["name"] = static(text(rng, 4))
    return found


def attachment(rng, number):
    data = rng.randbytes(rng.choice([0, 1, 57, 58, 3000]))
    kind = rng.choice(["image/png", "application/pdf", "application/octet-stream", "text/csv", "message/rfc822"])
    made = {"content_type": kind}
    if kind == "message/rfc822":
        made["data"] = f"Subject: inner {number}\nFrom: <i@in.test>\n\nbody {number}\n"
    elif kind == "text/csv":
        made["data"] = "a,b\nö,1\n"
    else:
        made["data"], made["base64"] = base64.b64encode(data).decode(), True
    if rng.random() < 0.8:
        made["file_name"] = text(rng, 3).replace("/", "-") + rng.choice([".bin", ".größe", ""])
    if rng.random() < 0.4:
        made["content_id"] = f"cid{number}@in.test"
    return made


def request(rng, number):
    content = {"from": mailbox(rng, "src")}
    bodies = [name for name in ("text_body", "html_body", "amp_html_body") if rng.random() < 0.6]
    for name in bodies:
        content[name] = static(lines(rng, 8))
    if rng.random() < 0.9:
        content["subject"] = static(text(rng, 15))
    if rng.random() < 0.3:
        content["reply_to"] = mailbox(rng, "reply")
    content["attachments"] = [attachment(rng, at) for at in range(rng.choice([0, 0, 1, 2, 3]))]
    headers = {"X-Case": str(number)}
    if rng.random() < 0.5:
        headers["X-Note"] = static(text(rng, 20))
    # Given both ways, in any spelling.
    for name, value in [("subject", "other"), ("FROM", "b@src.test"), ("reply-TO", "c@src.test"), ("Mime-version", "2.0"),
                        ("content-type", "text/x-other"), ("Cc", "Jörg Ä <j@cc.test>, k@cc.test"),
                        ("message-id", f"<own.{number}@src.test>"), ("date", "Fri, 2 Jan 2026 03:04:05 +0000")]:
        if rng.random() < 0.2:
            headers[name] = value
    content["headers"] = headers
    to = {"email": "u@dst.test", "substitutions": {"who": text(rng, 3)}}
    if rng.random() < 0.7:
        to["name"] = text(rng, 3)
    if rng.random() < 0.3 and "subject" in content:
        content["subject"] += " {{ who }}"
    dialect = rng.choice(["Jinja", "Handlebars"])
    return {"envelope_sender": "a@src.test", "recipients": [to], "content": content, "template_dialect": dialect}


def body_of(value):
    return value.replace("\r\n", "\n").rstrip("\n")


def expect(problems, what, found, wanted):
    if found != wanted:
        problems.append(f"{what}: {found!r}, not {wanted!r}")


def people(message, wanted):
    """Names and addresses. (The parser of this policy keeps the blanks between encoded words of a name: the older one reads
    names as RFC 2047 section 6.2 has it.)"""
    raw = [value for name, value in message.raw_items() if name.lower() == wanted]
    pairs = email.utils.getaddresses([str(value).replace("\r\n", "") for value in raw])
    return [(str(email.header.make_header(email.header.decode_header(name))), at) for name, at in pairs]


def check_fields(problems, wanted, message):
    content, to = wanted["content"], wanted["recipients"][0]
    given = {name.lower(): value for name, value in content["headers"].items()}
    names = [name.lower() for name in message.keys()]
    for name in ONCE:
        if names.count(name) > 1:
            problems.append(f"{name} {names.count(name)} times")
    for name in ("from", "to", "date", "message-id", "mime-version", "content-type"):
        if name not in names:
            problems.append(f"no {name}")
    author = content["from"]
    expect(problems, "From", people(message, "from"), [(author.get("name", ""), author["email"])])
    expect(problems, "To", people(message, "to"), [(to.get("name", ""), to["email"])])
    if "reply_to" in content:
        answered = content["reply_to"]
        expect(problems, "Reply-To", people(message, "reply-to"), [(answered.get("name", ""), answered["email"])])
    elif "reply-to" in given:
        expect(problems, "Reply-To", people(message, "reply-to"), [("", given["reply-to"])])
    if "subject" in content:
        subject = content["subject"].replace("{{ who }}", to["substitutions"]["who"])
        expect(problems, "Subject", message["Subject"], subject)
    elif "subject" in given:
        expect(problems, "Subject", message["Subject"], given["subject"])
    if "date" in given:
        expect(problems, "date", message["Date"].datetime, email.utils.parsedate_to_datetime(given["date"]))
    for name in ("x-note", "message-id"):
        if name in given:
            expect(problems, name, str(message[name]), given[name])
    if "cc" in given:
        expect(problems, "Cc", people(message, "cc"), [("Jörg Ä", "j@cc.test"), ("", "k@cc.test")])


def check_parts(problems, wanted, message):
    content = wanted["content"]
    bodies, files = {}, []
    for part in message.walk():
        problems.extend(f"{part.get_content_type()}: {defect!r}" for defect in part.defects)
        for name, value in part.items():
            problems.extend(f"{name}: {defect!r} in {value!r}" for defect in value.defects)
    stack = [message]
    while stack:
        part = stack.pop(0)
        if part.get_content_maintype() == "multipart":
            stack = list(part.iter_parts()) + stack
        elif part.get_content_disposition() is None:
            bodies[part.get_content_type()] = body_of(part.get_content())
        else:
            files.append(part)
    kinds = {"text_body": "text/plain", "html_body": "text/html", "amp_html_body": "text/x-amp-html"}
    texts = {kind: body_of(content[name]) for name, kind in kinds.items() if name in content}
    if texts or files:
        expect(problems, "texts", bodies, texts)
    inline = [one for one in content["attachments"] if "content_id" in one]
    attached = [one for one in content["attachments"] if "content_id" not in one]
    expect(problems, "files", len(files), len(inline) + len(attached))
    for part, given in zip(files, inline + attached):
        check_file(problems, part, given)


def check_file(problems, part, given):
    expect(problems, "type", part.get_content_type(), given["content_type"])
    is_inline = "content_id" in given
    expect(problems, "disposition", part.get_content_disposition(), "inline" if is_inline else "attachment")
    if is_inline:
        expect(problems, "Content-ID", part["Content-ID"], f"<{given['content_id']}>")
    if "file_name" in given:
        expect(problems, "file name", part["Content-Disposition"].params.get("filename"), given["file_name"])
    if given["content_type"] == "message/rfc822":
        inner = part.get_content()
        expect(problems, "inner", f"Subject: {inner['Subject']}", given["data"].split("\n")[0])
        expect(problems, "inner encoding", part["Content-Transfer-Encoding"], "7bit")
    else:
        data = base64.b64decode(given["data"]) if given.get("base64") else given["data"].encode()
        expect(problems, "data", part.get_payload(decode=True), data)


def check(requests, folder):
    bad = 0
    with open(requests, encoding="utf-8") as file:
        for number, line in enumerate(file):
            problems = []
            with open(f"{folder}/{number}.eml", "rb") as message:
                data = message.read()
            longest = max(len(one) for one in data.split(b"\r\n"))
            if longest > 998:
                problems.append(f"a line of {longest}")
            if b"\n" in data.replace(b"\r\n", b"") or b"\r" in data.replace(b"\r\n", b""):
                problems.append("a bare line end")
            parsed = email.message_from_bytes(data, policy=email.policy.strict)
            check_fields(problems, json.loads(line), parsed)
            check_parts(problems, json.loads(line), parsed)
            for problem in problems:
                print(f"{number}: {problem}")
            bad += bool(problems)
    return bad


def relaxed(name, value):
    """A header as RFC 6376 section 3.4.2 has it."""
    value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.lower().rstrip(b" \t") + b":" + value


def relaxed_body(body):
    """A body as RFC 6376 section 3.4.4 has it."""
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def verify(data, modulus):
    """What is wrong with the signature (RFC 6376, rsa-sha256, relaxed), or nothing."""
    head, _, body = data.partition(b"\r\n\r\n")
    fields = [line.partition(b":")[::2] for line in re.split(rb"\r\n(?![ \t])", head)]
    signature = [(name, value) for name, value in fields if name.lower() == b"dkim-signature"]
    if len(signature) != 1:
        return f"{len(signature)} signatures"
    name, value = signature[0]
    tags = dict(tag.strip().split(b"=", 1) for tag in value.replace(b"\r\n", b"").strip().rstrip(b";").split(b";"))
    tags = {key.strip(): re.sub(rb"\s", b"", found) for key, found in tags.items()}
    if (tags[b"a"], tags[b"c"]) != (b"rsa-sha256", b"relaxed/relaxed"):
        return f"a signature of another kind: {tags}"
    if base64.b64encode(hashlib.sha256(relaxed_body(body)).digest()) != tags[b"bh"]:
        return "the body hash does not match"
    left = [(one.lower().rstrip(b" \t"), one, text) for one, text in fields]
    signed = b""
    for wanted in tags[b"h"].lower().split(b":"):
        # Of several the last one first.
        at = next((at for at in reversed(range(len(left))) if left[at][0] == wanted), None)
        if at is not None:
            _, one, text = left.pop(at)
            signed += relaxed(one, text) + b"\r\n"
    signed += relaxed(name, re.sub(rb"([;\s]b\s*=)[^;]*", rb"\1", value))
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    digest = prefix + hashlib.sha256(signed).digest()
    size = (modulus.bit_length() + 7) // 8
    padded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    found = pow(int.from_bytes(base64.b64decode(tags[b"b"]), "big"), 65537, modulus).to_bytes(size, "big")
    return None if found == padded else "the signature does not match"


def signed(modulus, record, folder):
    try:
        import dkim
    except ImportError:
        dkim = None
        print("dkimpy is not installed")
    bad = 0
    for path in sorted(glob.glob(f"{folder}/*.eml")):
        with open(path, "rb") as message:
            data = message.read()
        why = verify(data, int(modulus, 16))
        if why is None and dkim and not dkim.verify(data, dnsfunc=lambda name, timeout=5: record.encode()):
            why = "dkimpy does not take the signature"
        if why:
            print(f"{path}: {why}")
        bad += bool(why)
    return bad


def main():
    if sys.argv[1] == "make":
        rng = random.Random(int(sys.argv[2]))
        for number in range(int(sys.argv[3])):
            print(json.dumps(request(rng, number)))
        return 0
    if sys.argv[1] == "signed":
        return 1 if signed(*sys.argv[2:5]) else 0
    return 1 if check(sys.argv[2], sys.argv[3]) else 0


sys.exit(main())
