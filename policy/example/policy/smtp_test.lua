-- Who may send, and what happens to a message. Run with: ringmta test <this tree>
local STRANGER = '192.0.2.9'
local MAIL = 'From: Jo <jo@sender.example>\nX-Tenant: acme inc\nX-Campaign: spring\nSubject: hi\n\nbody\n'

test.case('a stranger may not relay', function(t)
  t.rejected(t.session({ peer = STRANGER }):send('a@sender.example', 'u@dst.example', MAIL), 550)
end)

test.case('production has no default login', function(t)
  t.rejected(t.session({ peer = STRANGER }):auth_plain('mailing', 'mailing'), 535)
end)

test.case('our own networks may relay', function(t)
  local r = t.session():send('a@sender.example', { 'u@dst.example', 'v@other.example' }, MAIL)
  t.accepted(r)
  t.eq(#r.messages, 2)
end)

test.case('who has logged in may relay', function(t)
  t.accepted(t.session({ peer = STRANGER, auth = 'mailing' }):send('a@sender.example', 'u@dst.example', MAIL))
end)

test.case('labels become metadata and leave the header', function(t)
  local m = t.session():send('a@sender.example', 'u@dst.example', MAIL).messages[1]
  t.eq(m:queue_name(), 'spring:acme_inc@dst.example')
  t.eq(m:get_data(), 'From: Jo <jo@sender.example>\r\nSubject: hi\r\n\r\nbody\r\n')
end)

test.case('injected messages are treated alike', function(t)
  local r = t.http_message { sender = 'a@sender.example', recipient = 'u@dst.example', content = MAIL }
  t.eq(r.messages[1]:queue_name(), 'spring:acme_inc@dst.example')
end)

test.case('recipients need a full domain', function(t)
  local s = t.session()
  s:mail_from 'a@sender.example'
  t.rejected(s:rcpt_to 'u@localhost', 550)
  t.rejected(s:rcpt_to 'u@[192.0.2.1]', 550)
end)

test.case('nobody else has our name', function(t)
  local s = t.session { peer = STRANGER, meta = { hostname = 'mx.here.example' } }
  t.rejected(s:ehlo 'MX.here.example', 550)
  t.accepted(s:ehlo 'client.example')
  t.rejected(s:ehlo 'two words', 501)
end)
