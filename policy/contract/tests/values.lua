check('kumo.serde.yaml_parse kumo.serde.yaml_load kumo.serde.yaml_encode', function()
  eq(kumo.serde.yaml_parse 'a: 1\nb: [x, 2.5, true]\n3: {c: ~}\n', { a = 1, b = { 'x', 2.5, true }, ['3'] = {} })
  local f = kumo.fs.open(DIR .. '/x.yaml', 'w')
  f:write 'k: v\n'
  f:close()
  eq(kumo.serde.yaml_load(DIR .. '/x.yaml'), { k = 'v' })
  eq(kumo.serde.yaml_encode { k = { 1, 2 } }, 'k:\n- 1\n- 2\n')
  fails('as yaml', kumo.serde.yaml_parse, 'a: [')
  fails('yaml', kumo.serde.yaml_parse, 'a: &a [*a, *a]')
end)
check('kumo.serde.toml_encode_pretty_compact kumo.serde.toml_encode kumo.serde.toml_encode_pretty', function()
  eq(kumo.serde.toml_encode_pretty_compact { a = { 1, 2 } }, 'a = [1, 2]\n')
  eq(kumo.serde.toml_parse(kumo.serde.toml_encode_pretty { a = { 1, 2 } }), { a = { 1, 2 } })
  eq(kumo.serde.toml_encode { a = 'x' }, 'a = "x"\n')
end)
check('kumo.digest.sha224 kumo.digest.sha3_256 kumo.digest.sha3_384 kumo.digest.sha3_512 kumo.digest.sha512_256 kumo.digest.crc32', function()
  eq(kumo.digest.sha224('a', 'bc').hex, '23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7')
  eq(kumo.digest.sha3_256('abc').hex, '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532')
  eq(kumo.digest.sha3_384('abc').hex:sub(1, 16), 'ec01498288516fc9')
  eq(kumo.digest.sha3_512('abc').hex:sub(1, 16), 'b751850b1a57168a')
  eq(kumo.digest.sha512_256('abc').hex:sub(1, 16), '53048e2681941ef9')
  eq(kumo.digest.crc32('123456789').hex, 'cbf43926')
end)
check('kumo.digest.sha1 kumo.digest.sha256 kumo.digest.sha384 kumo.digest.sha512', function()
  eq(kumo.digest.sha1('abc').hex, 'a9993e364706816aba3e25717850c26c9cd0d89d')
  eq(kumo.digest.sha256('abc').base64, 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=')
  eq(kumo.digest.sha384('abc').hex:sub(1, 16), 'cb00753f45a35e8b')
  eq(#kumo.digest.sha512('abc').bytes, 64)
end)
check('kumo.digest.hmac_sha1 kumo.digest.hmac_sha224 kumo.digest.hmac_sha256 kumo.digest.hmac_sha384 kumo.digest.hmac_sha512', function()
  -- RFC 4231 section 4.3 and RFC 2202 section 3.
  local key, text = { key_data = 'Jefe' }, 'what do ya want for nothing?'
  eq(kumo.digest.hmac_sha1(key, text).hex, 'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79')
  eq(kumo.digest.hmac_sha224(key, text).hex, 'a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44')
  eq(kumo.digest.hmac_sha256(key, text).hex, '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')
  eq(kumo.digest.hmac_sha384(key, text).hex:sub(1, 16), 'af45d2e376484031')
  eq(kumo.digest.hmac_sha512(key, text).hex:sub(1, 16), '164b7a7bfcf819e2')
  -- A key longer than a block, RFC 4231 section 4.7.
  eq(kumo.digest.hmac_sha224({ key_data = ('\xaa'):rep(131) }, 'Test Using Larger Than Block-Size Key - Hash Key First').hex,
    '95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e')
end)
check('kumo.crypto.aes_encrypt_block kumo.crypto.aes_decrypt_block', function()
  local key = { key = { key_data = ('k'):rep(32) } }
  for _, how in ipairs { 'Cbc', 'Ecb' } do
    local cipher = kumo.crypto.aes_encrypt_block(how, 'secret message', key)
    eq(kumo.crypto.aes_decrypt_block(how, cipher.bytes, key), 'secret message')
    eq(kumo.crypto.aes_decrypt_block(how, cipher, key), 'secret message')
  end
  fails('16 or 32', kumo.crypto.aes_encrypt_block, 'Cbc', 'x', { key_data = 'short' })
  fails('Cbc', kumo.crypto.aes_encrypt_block, 'Xyz', 'x', key)
  fails('cannot be decrypted', kumo.crypto.aes_decrypt_block, 'Cbc', 'abc', key)
end)
check('kumo.crypto.aws_sign_v4', function()
  local s = kumo.crypto.aws_sign_v4 {
    access_key = { key_data = 'AKIDEXAMPLE' },
    secret_key = { key_data = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' },
    region = 'us-east-1', service = 'service', method = 'GET', uri = '/',
    headers = { Host = 'example.amazonaws.com' },
    timestamp = kumo.time.parse_rfc3339 '2015-08-30T12:36:00Z',
  }
  eq(s.signature, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31')
  eq(s.timestamp, '20150830T123600Z')
  -- "GET Object" of the examples for Signature Version 4 in Amazon S3's documentation.
  local object = kumo.crypto.aws_sign_v4 {
    access_key = { key_data = 'AKIAIOSFODNN7EXAMPLE' },
    secret_key = { key_data = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' },
    region = 'us-east-1', service = 's3', method = 'GET', uri = '/test.txt',
    headers = { Host = 'examplebucket.s3.amazonaws.com', Range = 'bytes=0-9' },
    timestamp = kumo.time.parse_rfc3339 '2013-05-24T00:00:00Z',
  }
  eq(object.signature, 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41')
end)
check('kumo.encode.charset_encode kumo.encode.charset_decode', function()
  eq(kumo.encode.charset_encode('iso-8859-1', 'ü'), '\xfc')
  eq(kumo.encode.charset_decode('windows-1252', '\x80'), '€')
  fails('lacks', kumo.encode.charset_encode, 'us-ascii', '漢')
  fails('not valid', kumo.encode.charset_decode, 'utf-8', '\xff')
  fails('not a known charset', kumo.encode.charset_decode, 'klingon', 'x')
end)
check('kumo.encode.base64_encode kumo.encode.base64_nopad_encode kumo.encode.base64url_encode kumo.encode.base64url_nopad_encode kumo.encode.base32_encode kumo.encode.base32_nopad_encode kumo.encode.base32hex_encode kumo.encode.base32hex_nopad_encode kumo.encode.hex_encode kumo.encode.base64_decode kumo.encode.base64_nopad_decode kumo.encode.base64url_decode kumo.encode.base64url_nopad_decode kumo.encode.base32_decode kumo.encode.base32_nopad_decode kumo.encode.base32hex_decode kumo.encode.base32hex_nopad_decode kumo.encode.hex_decode', function()
  local want = {
    base64 = 'Pz4/', base64_nopad = 'Pz4/', base64url = 'Pz4_', base64url_nopad = 'Pz4_', base32 = 'H47D6===',
    base32_nopad = 'H47D6', base32hex = '7SV3U===', base32hex_nopad = '7SV3U', hex = '3f3e3f',
  }
  for name, text in pairs(want) do
    eq(kumo.encode[name .. '_encode'] '?>?', text)
    eq(kumo.encode[name .. '_decode'](text), '?>?')
    fails('decode', kumo.encode[name .. '_decode'], '!')
  end
end)
check('kumo.uuid.new_v1 kumo.uuid.new_v4 kumo.uuid.new_v6 kumo.uuid.new_v7 kumo.uuid.parse', function()
  for version, f in pairs { ['1'] = 'new_v1', ['4'] = 'new_v4', ['6'] = 'new_v6', ['7'] = 'new_v7' } do
    local u = kumo.uuid[f]()
    eq(u.hyphenated:sub(15, 15), version)
    eq(#u.bytes, 16)
    eq(kumo.uuid.parse(u.braced).simple, u.simple)
    eq(kumo.uuid.parse(u.urn).hyphenated, tostring(u))
  end
  fails('not a UUID', kumo.uuid.parse, 'x')
end)
check('kumo.string.psl_domain kumo.string.psl_suffix', function()
  eq(kumo.string.psl_domain 'a.b.example.co.uk', 'example.co.uk')
  eq(kumo.string.psl_suffix 'Mail.Example.COM.', 'com')
end)
check('kumo.string.split kumo.string.splitn kumo.string.rsplit kumo.string.rsplitn kumo.string.split_whitespace kumo.string.split_ascii_whitespace', function()
  eq(kumo.string.split('a,b,,c', ','), { 'a', 'b', '', 'c' })
  eq(kumo.string.splitn('a,b,c', 2, ','), { 'a', 'b,c' })
  eq(kumo.string.rsplit('a,b', ','), { 'b', 'a' })
  eq(kumo.string.rsplitn('a,b,c', 2, ','), { 'c', 'a,b' })
  eq(kumo.string.split_whitespace ' a  b ', { 'a', 'b' })
  eq(kumo.string.split_ascii_whitespace 'a\tb', { 'a', 'b' })
end)
check('kumo.string.replace kumo.string.replacen kumo.string.trim kumo.string.trim_start kumo.string.trim_end kumo.string.starts_with kumo.string.ends_with', function()
  eq(kumo.string.replace('aXbX', 'X', '-'), 'a-b-')
  eq(kumo.string.replacen('aXbX', 'X', '-', 1), 'a-bX')
  eq({ kumo.string.trim ' a ', kumo.string.trim_start ' a ', kumo.string.trim_end ' a ' }, { 'a', 'a ', ' a' })
  eq({ kumo.string.starts_with('abc', 'ab'), kumo.string.ends_with('abc', 'ab') }, { true, false })
end)
check('kumo.string.eval_template kumo.string.wrap kumo.string.normalize_smtp_response', function()
  eq(kumo.string.eval_template('t', 'hi {{ name }}', { name = 'x' }), 'hi x')
  eq(kumo.string.eval_template('t', '{{ name.upper() }}{{ 2|pluralize }}', { name = 'x' }), 'Xs')
  eq(kumo.string.eval_template('t.json', '{{ name }}', { name = '"' }), '"\\""')
  eq(kumo.string.eval_template('t', '{{titleCase name}}', { name = 'a b' }, 'Handlebars'), 'A B')
  local cases = '{{titleCase n}} {{snakeCase n}} {{shoutySnakeCase n}} {{kebabCase n}} {{shoutyKebabCase n}} {{trainCase n}} {{lowerCamelCase n}} {{upperCamelCase n}}'
  eq(kumo.string.eval_template('t', cases, { n = 'hello bigWorld' }, 'Handlebars'), 'Hello Big World hello_big_world HELLO_BIG_WORLD hello-big-world HELLO-BIG-WORLD Hello-Big-World helloBigWorld HelloBigWorld')
  fails('Helper not found x', kumo.string.eval_template, 't', '{{x y}}', {}, 'Handlebars')
  eq(kumo.string.eval_template('t.html', '{{ name }}', { name = [[<a>&"']] }), '&lt;a&gt;&amp;&quot;&#x27;')
  eq(kumo.string.eval_template('t', '{{ 1767323045|datetimeformat }}|{{ 1767323045|dateformat }}|{{ 1767323045|timeformat }}', {}), 'Jan 2 2026 03:04|Jan 2 2026|03:04')
  eq(kumo.string.eval_template('t', 'hi {{#if name}}{{ name }}{{/if}}', { name = 'x' }, 'Handlebars'), 'hi x')
  eq(kumo.string.wrap('aaa bbb', 3, 10), 'aaa\r\n\tbbb')
  eq(kumo.string.wrap('hello world foo bar baz woot woot', 10, 15), 'hello\r\n\tworld foo\r\n\tbar baz\r\n\twoot woot')
  eq(kumo.string.wrap('hi there breakmepleaseIamtoolong', 10, 15), 'hi there\r\n\tbreakmepleaseIa\r\n\tmtoolong')
  eq(kumo.string.normalize_smtp_response '550 a@b.c  from 192.0.2.1 ids=754df748eace11f197669ee00dd3bb4a 2026-01-02T03:04:05Z mx-a1b2c3.example.com 12 http://x.test/a1', '550 {email} from {ipaddr} ids={uuid} {timestamp} {hash} 12 http://x.test/a1')
end)
check('kumo.regex.compile kumo.regex.escape Regex.captures Regex.is_match Regex.find Regex.find_all Regex.replace Regex.replace_all Regex.replacen Regex.split', function()
  local r = kumo.regex.compile '(?P<k>[a-z]+)=(\\d+)'
  local c = r:captures 'x=1 y=2'
  eq({ c[0], c.k, c[2] }, { 'x=1', 'x', '1' })
  eq({ r:is_match 'a=1', r:is_match '-' }, { true, false })
  eq({ r:find 'x=1 y=2', r:find_all 'x=1 y=2' }, { 'x=1', { 'x=1', 'y=2' } })
  eq(r:replace('x=1 y=2', '$k'), 'x y=2')
  eq(r:replace_all('x=1 y=2', '-'), '- -')
  eq(r:replacen('x=1 y=2 z=3', 2, '-'), '- - z=3')
  eq(kumo.regex.compile(','):split 'a,b', { 'a', 'b' })
  eq(kumo.regex.escape 'a.b', 'a\\.b')
  fails('parenthesis', kumo.regex.compile, '(')
end)
check('kumo.domain_map.new kumo.regex_set_map.new kumo.cidr.make_map', function()
  local d = kumo.domain_map.new { ['*.example.com'] = 'wild', ['example.com'] = 'bare' }
  eq({ d['a.example.com'], d['example.com'], d['example.org'] }, { 'wild', 'bare' })
  local m = kumo.regex_set_map.new { ['^a'] = 1, ['b$'] = 2 }
  eq({ m['ax'], m['xb'], m['x'] }, { 1, 2 })
  local c = kumo.cidr.make_map { ['192.0.2.0/24'] = 'net', ['192.0.2.7'] = 'host' }
  eq({ c['192.0.2.1'], c['192.0.2.7'], c['198.51.100.1'] }, { 'net', 'host' })
end)
check('kumo.serde.json_parse kumo.serde.json_encode kumo.serde.json_encode_pretty kumo.serde.json_load kumo.serde.toml_parse kumo.serde.toml_load', function()
  eq(kumo.serde.json_parse '{"a":[1,null,"x"]}', { a = { 1, [3] = 'x' } })
  eq(kumo.serde.json_encode { b = {} }, '{"b":{}}')
  eq(kumo.serde.json_encode_pretty { b = 1, a = 2 }, '{\n  "a": 2,\n  "b": 1\n}')
  fails('as json', kumo.serde.json_parse, '{')
  local f = kumo.fs.open(DIR .. '/x.data', 'w')
  f:write '{}'
  f:close()
  eq(kumo.serde.json_load(DIR .. '/x.data'), {})
  f = kumo.fs.open(DIR .. '/x.data', 'w')
  f:write '[a]\nb = 1\n'
  f:close()
  eq(kumo.serde.toml_load(DIR .. '/x.data'), { a = { b = 1 } })
  eq(kumo.serde.toml_parse 'x = "y"', { x = 'y' })
  fails('/none', kumo.serde.toml_load, '/none')
end)
check('kumo.json_parse kumo.json_encode kumo.json_encode_pretty kumo.json_load kumo.toml_parse kumo.toml_load kumo.toml_encode kumo.toml_encode_pretty', function()
  for _, name in ipairs { 'json_parse', 'json_encode', 'json_encode_pretty', 'json_load', 'toml_parse', 'toml_load', 'toml_encode', 'toml_encode_pretty' } do
    eq(kumo[name], kumo.serde[name])
  end
end)
check('kumo.fs.open kumo.fs.read_dir kumo.fs.glob kumo.fs.uncached_glob kumo.fs.metadata_for_path kumo.fs.symlink_metadata_for_path kumo.glob kumo.uncached_glob kumo.read_dir', function()
  local path = DIR .. '/file.one'
  local f = kumo.fs.open(path, 'w')
  f:write 'hello'
  f:flush()
  f:close()
  f = kumo.fs.open(path)
  f:seek('set', 1)
  eq(f:read(2), 'el')
  eq({ f:seek('end', -2), f:read(), f:seek('cur'), f:read() }, { 3, 'lo', 5, '' })
  f:close()
  eq(kumo.fs.glob('*.one', DIR), { path })
  eq(kumo.fs.uncached_glob(DIR .. '/file.*'), { path })
  eq(kumo.fs.metadata_for_path(path).len, 5)
  eq(kumo.fs.symlink_metadata_for_path(path).is_file, true)
  eq({ kumo.glob('*.one', DIR), kumo.uncached_glob('*.one', DIR) }, { { path }, { path } })
  local found = false
  for _, p in ipairs(kumo.fs.read_dir(DIR)) do found = found or p == path end
  eq({ found, #kumo.read_dir(DIR) }, { true, #kumo.fs.read_dir(DIR) })
  fails('/none', kumo.fs.open, '/none/x')
end)
check('kumo.file_type.from_bytes kumo.file_type.from_extension kumo.file_type.from_media_type', function()
  eq(kumo.file_type.from_bytes('\x89PNG\r\n\x1a\n...').media_types, { 'image/png' })
  eq({ kumo.file_type.from_bytes('<HTML>').extensions[1], kumo.file_type.from_bytes('hello').name, kumo.file_type.from_bytes('\0\xff').media_types[1] }, { 'html', 'Plain Text', 'application/octet-stream' })
  eq({ kumo.file_type.from_extension('.PDF')[1].media_types[1], #kumo.file_type.from_extension 'zzz' }, { 'application/pdf', 0 })
  eq(kumo.file_type.from_media_type('text/csv; charset=utf-8')[1].extensions, { 'csv' })
end)
