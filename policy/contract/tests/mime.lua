local MIXED = 'From: "Jo, S" <jo@a.test>, x@b.test\r\nTo: Team: p@c.test, q@c.test;, r@d.test\r\nSubject: =?utf-8?q?h=C3=A9?=\r\nReferences: <1@x> <2@x>\r\nMessage-ID: <m@x>\r\nMime-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b\r\nContent-Type: text/html\r\n\r\n<html><body>hi</body></html>\r\n--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=a.png\r\n\r\npng\r\n--b--\r\n'
check('kumo.mimepart.parse Message.parse_mime MimePart.body MimePart.headers MimePart.id MimePart.get_simple_structure MimePart.replace_body MimePart.rebuild', function()
  local m = message(MIXED)
  local root = m:parse_mime()
  eq(tostring(root), MIXED)
  local s = root:get_simple_structure()
  eq({ s.text_part.body, s.text_part.id, s.html_part.body, #s.attachments, s.attachments[1].file_name, s.attachments[1].inline, s.attachments[1].part.body },
    { 'hello', '1', '<html><body>hi</body></html>', 1, 'a.png', false, 'png' })
  s.text_part.body = 'grüße'
  s.attachments[1].part:replace_body('{}', 'application/json')
  m:set_data(tostring(root))
  local again = kumo.mimepart.parse(m:get_data()):get_simple_structure()
  eq({ again.text_part.body, again.attachments[1].content_type, again.attachments[1].part.body }, { 'grüße', 'application/json', '{}' })
  eq(kumo.mimepart.parse(tostring(root:rebuild())):get_simple_structure().text_part.body, 'grüße')
end)
check('kumo.mimepart.parse MimePart.body', function()
  local function body(fields, text) return kumo.mimepart.parse(fields .. '\r\n\r\n' .. text):get_simple_structure().text_part.body end
  eq(body('Content-Type: text/plain; charset="\\iso-8859-1"', 'h\xe9'), 'hé')
  eq(body('Content-Type: multipart/mixed;\r\n boundary="a b\r\n c"', '--a b c\r\nContent-Type: text/plain; charset="iso-8859-1"\r\n\r\nh\xe9\r\n--a b c--\r\n'), 'hé')
end)
check('kumo.mimepart.builder kumo.mimepart.new_text kumo.mimepart.new_text_plain kumo.mimepart.new_html kumo.mimepart.new_binary kumo.mimepart.new_multipart MimePart.append_part', function()
  local b = kumo.mimepart.builder()
  b:text_plain 'text'
  b:text_html '<p>ü</p>'
  b:text_amp_html '<html amp4email></html>'
  b:attach('text/csv', 'a,b', { file_name = 'x.csv' })
  b:attach_part(kumo.mimepart.new_binary('image/png', '\xff\x00', { inline = true, content_id = 'i' }))
  b:set_stable_content(true)
  local s = kumo.mimepart.parse(tostring(b:build())):get_simple_structure()
  eq({ s.text_part.body, s.html_part.body, s.amp_html_part.body, #s.attachments, s.attachments[1].content_id }, { 'text', '<p>ü</p>', '<html amp4email></html>', 2, 'i' })
  local multi = kumo.mimepart.new_multipart('multipart/mixed', { kumo.mimepart.new_html '<b>' }, 'bound')
  multi:append_part(kumo.mimepart.new_text('text/markdown', '# x'))
  assert(tostring(multi):find('--bound\r\n', 1, true))
  eq(kumo.mimepart.new_text_plain('x').headers:content_type().value, 'text/plain')
  fails('cannot hold itself', multi.append_part, multi, multi)
  fails('not UTF-8', kumo.mimepart.new_html, '\xff')
  fails('did you mean', kumo.mimepart.new_binary, 'a/b', 'x', { filename = 'y' })
end)
check('HeaderMap.from HeaderMap.to HeaderMap.subject HeaderMap.references HeaderMap.message_id HeaderMap.mime_version HeaderMap.content_type HeaderMap.cc', function()
  local h = kumo.mimepart.parse(MIXED).headers
  eq(h:from(), { { name = 'Jo, S', address = { local_part = 'jo', domain = 'a.test' } }, { address = { local_part = 'x', domain = 'b.test' } } })
  eq({ h:to()[1].name, #h:to()[1].entries, h:to()[2].address.domain }, { 'Team', 2, 'd.test' })
  eq({ h:subject(), h:references(), h:message_id(), h:mime_version(), h:cc() }, { 'hé', { '1@x', '2@x' }, 'm@x', '1.0' })
  eq(h:content_type(), { value = 'multipart/mixed', parameters = { boundary = 'b' } })
end)
check('HeaderMap.set_from HeaderMap.set_to HeaderMap.set_cc HeaderMap.set_bcc HeaderMap.set_sender HeaderMap.set_reply_to HeaderMap.set_resent_from HeaderMap.set_resent_to HeaderMap.set_resent_cc HeaderMap.set_resent_bcc HeaderMap.set_resent_sender HeaderMap.bcc HeaderMap.sender HeaderMap.reply_to HeaderMap.resent_from HeaderMap.resent_to HeaderMap.resent_cc HeaderMap.resent_bcc HeaderMap.resent_sender', function()
  local h = kumo.mimepart.parse(MIXED).headers
  local one = { name = 'Ü', address = { local_part = 'u', domain = 'e.test' } }
  for _, name in ipairs { 'from', 'to', 'cc', 'bcc', 'reply_to', 'resent_from', 'resent_to', 'resent_cc', 'resent_bcc' } do
    h['set_' .. name](h, { one })
    eq(h[name](h), { one })
  end
  for _, name in ipairs { 'sender', 'resent_sender' } do
    h['set_' .. name](h, 'a@b.test')
    eq(h[name](h), { address = { local_part = 'a', domain = 'b.test' } })
  end
  local group = kumo.mimepart.parse('To: Grp: a@b.test, "Q, R" <c@d.test>;, e@f.test\r\n\r\n').headers:to()
  eq({ group[1].name, #group[1].entries, group[1].entries[2].name, group[2].address.domain }, { 'Grp', 2, 'Q, R', 'f.test' })
  fails('not a list of addresses', h.set_from, h, 'nonsense')
  fails('group', h.set_from, h, { { name = 'g', entries = {} } })
end)
check('HeaderMap.set_subject HeaderMap.set_comments HeaderMap.comments HeaderMap.set_references HeaderMap.set_message_id HeaderMap.set_mime_version HeaderMap.set_content_id HeaderMap.content_id HeaderMap.set_content_type HeaderMap.set_content_disposition HeaderMap.content_disposition HeaderMap.set_content_transfer_encoding HeaderMap.content_transfer_encoding', function()
  local h = kumo.mimepart.parse(MIXED).headers
  h:set_subject 'grüße'
  h:set_comments 'c'
  h:set_references { 'a@b', 'c@d' }
  h:set_message_id 'x@y'
  fails('not a message id', h.set_message_id, h, 'no at')
  fails('not a message id', h.set_message_id, h, 'two words@y')
  h:set_mime_version '1.0'
  h:set_content_id 'i@d'
  h:set_content_type { value = 'text/plain', parameters = { charset = 'utf-8' } }
  h:set_content_disposition 'attachment; filename="a b"'
  h:set_content_transfer_encoding '8bit'
  eq({ h:subject(), h:comments(), h:references(), h:message_id(), h:content_id(), h:content_type().parameters.charset, h:content_disposition().parameters.filename, h:content_transfer_encoding().value },
    { 'grüße', 'c', { 'a@b', 'c@d' }, 'x@y', 'i@d', 'utf-8', 'a b', '8bit' })
end)
check('HeaderMap.append HeaderMap.prepend HeaderMap.remove_all_named HeaderMap.get_first_named HeaderMap.iter Header.name Header.value Header.raw_value Header.unstructured Header.mailbox_list Header.address_list Header.message_id Header.message_id_list Header.mime_params Header.authentication_results', function()
  local h = kumo.mimepart.parse(MIXED).headers
  h:prepend('Authentication-Results', 'mx.test; dkim=pass header.d=a.test')
  h:append('X-Last', 'ü')
  local names = {}
  for header in h:iter() do table.insert(names, header.name) end
  eq({ names[1], names[#names] }, { 'Authentication-Results', 'X-Last' })
  local n = 0
  for header in h:iter 'from' do n = n + #header.mailbox_list end
  eq(n, 2)
  local r = h:get_first_named 'authentication-results'
  eq({ r.value.serv_id, r.authentication_results.results[1].props['header.d'] }, { 'mx.test', 'a.test' })
  eq({ h:get_first_named('X-Last').unstructured, h:get_first_named('X-Last').value }, { 'ü', 'ü' })
  assert(h:get_first_named('X-Last').raw_value:find '=%?UTF%-8')
  eq({ h:get_first_named('Message-ID').message_id, h:get_first_named('References').message_id_list, #h:get_first_named('To').address_list, h:get_first_named('Content-Type').mime_params.value }, { 'm@x', { '1@x', '2@x' }, 2, 'multipart/mixed' })
  h:remove_all_named 'subject'
  eq(h:get_first_named 'Subject', nil)
  assert(tostring(h):find 'X%-Last')
  fails('not a list', function() return kumo.mimepart.parse('X: nonsense\r\n\r\n').headers:get_first_named('X').mailbox_list end)
end)
check('Message.append_text_plain Message.append_text_html', function()
  local m = message(MIXED)
  m:append_text_plain ' footer'
  m:append_text_html '<img src="x">'
  local s = m:parse_mime():get_simple_structure()
  eq({ s.text_part.body, s.html_part.body }, { 'hello footer', '<html><body>hi<img src="x"></body></html>' })
end)
check('kumo.generate_rfc3464_message Message.parse_rfc3464 Message.parse_rfc5965', function()
  local params = { include_original_message = 'FullContent', enable_bounce = true, reporting_mta = { mta_type = 'dns', name = 'mta.test' } }
  local record = { type = 'Bounce', sender = 's@a.test', recipient = 'r@b.test', created = 1057049557, timestamp = 1057056757, response = { code = 550, enhanced_code = { class = 5, subject = 1, detail = 1 }, content = 'no' }, delivery_protocol = 'ESMTP' }
  local m = kumo.generate_rfc3464_message(params, message(), record)
  eq({ tostring(m:sender()), m:recipient().email }, { '', 's@a.test' })
  local r = m:parse_rfc3464()
  eq({ r.per_message.reporting_mta.name, r.per_recipient[1].final_recipient.recipient, r.per_recipient[1].status.class, r.per_recipient[1].action }, { 'mta.test', 'r@b.test', 5, 'failed' })
  record.type = 'Delivery'
  eq(kumo.generate_rfc3464_message(params, message(), record), nil)
  eq({ message():parse_rfc3464(), message():parse_rfc5965() }, {})
  local arf = message 'Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x\r\nVersion: 1\r\nOriginal-Rcpt-To: u@a.test\r\n--b--\r\n'
  eq({ arf:parse_rfc5965().feedback_type, arf:parse_rfc5965().original_rcpto_to }, { 'abuse', { 'u@a.test' } })
  fails('version is missing', function() return message('Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x\r\n--b--\r\n'):parse_rfc5965() end)
end)
