"""Every method of the Python package mailpit-api-client against the inbox, with what it must give back."""
import inspect, os, smtplib, unittest
from email.message import EmailMessage

import httpx
import mailpit.client.api
from mailpit.testing.unittest import EMailTestCase

host, port = os.environ['INBOX_SMTP'].split(':')


def send(subject):
    mail = EmailMessage()
    mail['From'], mail['To'], mail['Cc'] = 'Ann <ann@example.com>', 'Bob <bob@example.com>', 'carl@example.com'
    mail['Subject'], mail['Message-ID'], mail['Delivered-To'] = subject, f'<{subject}@example.com>', 'bob@example.com'
    mail['Date'] = 'Sun, 22 Nov 2026 15:10:00 +0100'
    mail.set_content('hello\n')
    mail.add_attachment(b'a,b\n', maintype='text', subtype='csv', filename='a.csv')
    with smtplib.SMTP(host, int(port)) as smtp:
        smtp.send_message(mail)


class Client(EMailTestCase):
    api_url = os.environ['INBOX_WEB']
    called = set()

    def setUp(self):
        real = mailpit.client.api.API(self.api_url, timeout=60)
        outer = self

        class Noting:
            def __getattr__(self, name):
                outer.called.add(name)
                return getattr(real, name)

        self.api = Noting()
        self.api.delete_messages([])

    def test_reading(self):
        send('one')
        self.assertMessageReceived('one@example.com')
        messages = self.api.get_messages(limit=10, start=0)
        self.assertEqual((messages.total, messages.unread, messages.count, messages.start), (1, 1, 1, 0))
        listed = messages.messages[0]
        self.assertEqual((listed.subject, listed.from_.name, listed.to[0].address), ('one', 'Ann', 'bob@example.com'))
        message = self.api.get_message(listed.id)
        self.assertEqual((message.text.strip(), message.cc[0].address, message.size), ('hello', 'carl@example.com', listed.size))
        self.assertEqual(message.date.isoformat(), '2026-11-22T15:10:00+01:00')
        self.assertEqual(message, self.api.get_message(listed.id))
        part = message.attachments[0]
        self.assertEqual((part.file_name, part.content_type), ('a.csv', 'text/csv'))
        self.assertEqual(self.api.get_message_attachment(listed.id, part.part_id), 'a,b\n')
        headers = self.api.get_message_headers(listed.id)
        self.assertEqual((headers.message_id, headers.delivered_to), (['<one@example.com>'], ['bob@example.com']))

    def test_changing(self):
        for subject in ('one', 'two', 'three'):
            send(subject)
        ids = {one.subject: one.id for one in self.api.get_messages().messages}
        # The client sends forms: what it asks for is done, and not taken for "all".
        self.api.put_messages([ids['one'], ids['two']], 'Read', True)
        self.assertEqual(self.api.get_messages().unread, 1)
        self.api.put_messages([ids['one']], 'Read', False)
        self.assertEqual(self.api.get_messages().unread, 2)
        self.api.delete_messages([ids['one'], ids['two']])
        self.assertEqual([one.subject for one in self.api.get_messages().messages], ['three'])
        self.api.delete_messages([])
        self.assertEqual(self.api.get_messages().total, 0)
        with self.assertRaises(httpx.HTTPStatusError):
            self.api.get_message('absent')

    @classmethod
    def tearDownClass(cls):
        methods = {name for name, _ in inspect.getmembers(mailpit.client.api.API, inspect.isfunction) if name[0] != '_'}
        assert methods <= cls.called, methods - cls.called
        print(f'mailpit-api-client: {len(methods)} methods')


if __name__ == '__main__':
    unittest.main(verbosity=0)
