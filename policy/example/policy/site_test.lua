-- What this installation is (policy/site.lua). Run with: ringmta test <this tree>
local site = require 'policy.site'

for domain, signing in pairs(site.domains) do
  test.case('mail of ' .. domain .. ' is signed with its key', function(t)
    local mail = 'From: Jo <jo@' .. domain .. '>\nTo: u@dst.example\nSubject: hi\n\nbody\n'
    local result = t.session():send('jo@' .. domain, 'u@dst.example', mail)
    t.accepted(result)
    local signature = result.messages[1]:get_first_named_header_value 'DKIM-Signature'
    if not signature then
      error 'there is no DKIM-Signature'
    end
    t.ok(string.find(signature, 'd=' .. domain .. ';', 1, true), signature)
    t.ok(string.find(signature, 's=' .. signing.selector .. ';', 1, true), signature)
  end)
end

test.case('mail takes the way it should', function(t)
  local config = t.queue_config 'dst.example'
  local hosts = config.protocol and config.protocol.smtp and config.protocol.smtp.mx_list
  t.eq(hosts or {}, { site.smart_host })
end)
