local function echo(r) return kumo.serde.json_parse(r:send():text()) end
check('kumo.http.build_client HttpClient.get HttpClient.post HttpClient.put HttpClient.close', function()
  local c = kumo.http.build_client { user_agent = 'me', headers = { ['X-All'] = '1' } }
  local got = echo(c:get(HTTP .. '/a?b=c'))
  eq({ got.method, got.target, got.headers['user-agent'], got.headers['x-all'] }, { 'GET', '/a?b=c', 'me', '1' })
  eq({ echo(c:post(HTTP)).method, echo(c:put(HTTP)).method }, { 'POST', 'PUT' })
  c:close()
  fails('closed', c.get, c, HTTP)
end)
check('HttpRequest.header HttpRequest.headers HttpRequest.body HttpRequest.send HttpRequest.timeout HttpRequest.basic_auth HttpRequest.bearer_auth HttpRequest.form_url_encoded', function()
  local c = kumo.http.build_client {}
  local got = echo(c:post(HTTP):header('X-One', '1'):headers({ ['X-Two'] = '2' }):timeout('10s'):body 'text')
  eq({ got.headers['x-one'], got.headers['x-two'], got.body }, { '1', '2', 'text' })
  eq(echo(c:get(HTTP):basic_auth('u', 'p')).headers.authorization, 'Basic dTpw')
  eq(echo(c:get(HTTP):bearer_auth 't').headers.authorization, 'Bearer t')
  eq(echo(c:post(HTTP):form_url_encoded { a = 'b c' }).body, 'a=b+c')
  local down = c:get('http://' .. CLOSED)
  fails('refused', down.send, down)
  fails('sent already', down.send, down)
end)
check('HttpRequest.form_multipart_data HttpRequest.aws_sign_v4 kumo.http.build_url', function()
  local c = kumo.http.build_client {}
  local got = echo(c:post(HTTP):form_multipart_data { a = 'one', b = 'two' })
  assert(got.headers['content-type']:find 'multipart/form%-data; boundary=')
  assert(got.body:find('name="a"\r\n\r\none\r\n', 1, true) and got.body:find('name="b"\r\n\r\ntwo\r\n', 1, true))
  got = echo(c:post(HTTP .. '/x'):body('payload'):aws_sign_v4 {
    access_key = { key_data = 'AK' }, secret_key = { key_data = 'SK' }, region = 'r', service = 's',
  })
  assert(got.headers.authorization:find 'AWS4%-HMAC%-SHA256 Credential=AK/%d+/r/s/aws4_request')
  assert(got.headers['x-amz-date'])
  eq(kumo.http.build_url('http://h/', { a = 'b c' }), 'http://h/?a=b+c')
end)
check('HttpResponse.status_code HttpResponse.status_reason HttpResponse.status_is_success HttpResponse.status_is_client_error HttpResponse.status_is_server_error HttpResponse.headers HttpResponse.text HttpResponse.bytes HttpResponse.status_is_informational HttpResponse.status_is_redirection HttpResponse.content_length', function()
  local c = kumo.http.build_client {}
  local r = c:get(HTTP .. '/status/404_Not_Found'):send()
  eq({ r:status_code(), r:status_reason(), r:status_is_success(), r:status_is_client_error(), r:status_is_server_error() }, { 404, 'Not Found', false, true, false })
  eq({ r:headers()['x-kind'], r:text() == r:bytes(), r:content_length() == #r:bytes() }, { 'echo', true, true })
  eq({ r:status_is_informational(), r:status_is_redirection() }, { false, false })
  eq(c:get(HTTP .. '/status/503_X'):send():status_is_server_error(), true)
end)
check('kumo.http.connect_websocket WebSocketStream.recv WebSocketStream.recv_batch', function()
  local s, r = kumo.http.connect_websocket(WS)
  eq({ r:status_code(), s:recv() }, { 101, 'one' })
  local rest = {}
  while #rest < 2 do for _, f in ipairs(s:recv_batch '5s') do table.insert(rest, f) end end
  eq(rest, { 'two', 'three' })
  eq(s:recv_batch(0.01), {})
  fails('connect_websocket', kumo.http.connect_websocket, 'ws://' .. CLOSED)
end)
