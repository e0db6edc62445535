"""Every method of the Python package pytest-mailpit against the inbox, by its own fixtures, with what it must give back."""
import asyncio, inspect, os, smtplib
from email.message import EmailMessage

import pytest
from pytest_mailpit import aio
from pytest_mailpit.client import MailpitClient
from pytest_mailpit.errors import MailpitAPIError, MailpitAssertionError
from pytest_mailpit.models import ChaosTriggers

LINKS = os.environ['LINKS']


def deliver(smtp, to, subject='hello', html=None):
    mail = EmailMessage()
    mail['From'], mail['To'], mail['Subject'] = 'Shop <shop@example.com>', to, subject
    mail['List-Unsubscribe'], mail['List-Unsubscribe-Post'] = '<https://example.com/u>', 'List-Unsubscribe=One-Click'
    mail.set_content(f'Your code is 482913, see {LINKS}/good\n')
    mail.add_alternative(html or f'<p>Your code is <b>482913</b>: <a href="{LINKS}/good">open</a></p>', subtype='html')
    mail.add_attachment(b'%PDF-1.4', maintype='application', subtype='pdf', filename='bill.pdf')
    with smtplib.SMTP(smtp.host, smtp.port) as server:
        server.send_message(mail)


@pytest.fixture(scope='session')
def called():
    """Methods of the client that were called; at the end all must have been."""
    seen, own = set(), {}
    for name, method in inspect.getmembers(MailpitClient, inspect.isfunction):
        if not name.startswith('_'):
            def noting(self, *args, __name=name, __method=method, **named):
                seen.add(__name)
                return __method(self, *args, **named)
            own[name] = method
            setattr(MailpitClient, name, noting)
    yield seen
    for name, method in own.items():
        setattr(MailpitClient, name, method)
    assert set(own) - seen <= {'close'}, set(own) - seen
    print(f'\npytest-mailpit: {len(own)} methods')


def test_a_message_of_the_inbox_of_a_test(called, mailpit, mailpit_inbox, mailpit_smtp):
    deliver(mailpit_smtp, mailpit_inbox.address)
    message = mailpit_inbox.wait_for_message(subject='hello', sender='shop@example.com')
    assert (message.sender.name, message.to[0].address) == ('Shop', mailpit_inbox.address)
    assert message.code() == '482913'
    assert message.link() == f'{LINKS}/good'
    assert message.list_unsubscribe.one_click and message.unsubscribe_link() == 'https://example.com/u'
    bill = message.attachment('bill.pdf')
    assert mailpit.get_attachment(bill) == b'%PDF-1.4' == mailpit.get_part(message.id, bill.part_id)
    assert bill.content_type == 'application/pdf' and len(mailpit_inbox.messages()) == 1
    message.assert_links_work()
    message.assert_html_support(50)
    assert message.check_html().nodes >= 3 and message.check_links().errors == 0
    assert mailpit_inbox.address in mailpit_inbox.describe()
    mailpit_inbox.clear()
    mailpit_inbox.assert_no_message(within=0)


def test_the_client(called, mailpit, mailpit_smtp):
    mailpit.delete_all()
    moment = mailpit.server_time()
    for number in range(3):
        deliver(mailpit_smtp, 'reader@example.com', f'number {number}')
    assert mailpit.is_ready() and mailpit.info().messages == 3
    first, *_, last = mailpit.wait_for_messages(3, recipient='reader@example.com', since=moment)
    assert (first.subject, last.subject) == ('number 0', 'number 2')
    assert mailpit.messages(start=1, limit=1).messages[0].subject == 'number 1'
    assert mailpit.search('subject:"number 2"').messages_count == 1
    assert [one.subject for one in mailpit.search_all('number', page_size=2)] == ['number 2', 'number 1', 'number 0']
    assert mailpit.wait_for_message('"number 1"').id == mailpit.search_all('"number 1"')[0].id
    assert mailpit.get_message().subject == 'number 2'
    assert mailpit.get_headers(last.id)['Subject'] == ['number 2']
    assert mailpit.get_raw(last.id).startswith(b'From: Shop') and mailpit.check_links(last.id, follow_redirects=True).links
    assert mailpit.check_html(last.id).platforms
    assert '/view/' in mailpit.view_url(last.id) and mailpit.html_url(last.id).endswith('.html') and 'q=x' in mailpit.search_url('x')
    mailpit.mark_read([first.id], read=False)
    mailpit.set_tags([first.id], ['one', 'two/three'])
    tagged = mailpit.search('tag:"two three"').messages[0]
    assert (tagged.id, tagged.tags, tagged.read) == (first.id, ('one', 'two three'), False)
    mailpit.delete_messages([first.id, first.id])
    mailpit.delete_search('"number 1"')
    assert mailpit.messages().total == 1
    with pytest.raises(MailpitAssertionError):
        mailpit.wait_for_message('absent', timeout=0)
    with pytest.raises(MailpitAPIError) as error:
        mailpit.get_message('absent')
    assert error.value.status_code == 404
    mailpit.assert_no_message('absent', within=0)


def test_errors_on_purpose(called, mailpit, mailpit_chaos, mailpit_smtp):
    mailpit_chaos.reject_senders(550)
    with pytest.raises(smtplib.SMTPSenderRefused) as error:
        deliver(mailpit_smtp, 'x@example.com')
    assert error.value.smtp_code == 550
    mailpit_chaos.reset()
    mailpit_chaos.reject_recipients(452)
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        deliver(mailpit_smtp, 'x@example.com')
    mailpit_chaos.reject_authentication()
    assert mailpit.chaos().recipient.error_code == 452 and mailpit.chaos().authentication.probability == 100
    assert mailpit.set_chaos(ChaosTriggers()) == ChaosTriggers()
    deliver(mailpit_smtp, 'x@example.com')


def test_the_same_awaited(called, mailpit, mailpit_async, mailpit_async_inbox, mailpit_smtp):
    async def work():
        await mailpit_async.delete_all()
        deliver(mailpit_smtp, mailpit_async_inbox.address)
        message = await mailpit_async_inbox.wait_for_message()
        assert (await mailpit_async.get_message(message.id)).subject == 'hello'
        assert await mailpit_async.is_ready() and (await mailpit_async.info()).messages == 1
        await mailpit_async_inbox.clear()
        await mailpit_async_inbox.assert_no_message(within=0)
    asyncio.run(work())
    # The awaited client has a method for each of the other's.
    names = {name for name, _ in inspect.getmembers(MailpitClient, inspect.isfunction) if name[0] != '_'}
    assert names <= set(dir(aio.AsyncMailpitClient))
