check('kumo.jsonl.new_writer kumo.jsonl.new_tailer kumo.jsonl.new_multi_tailer', function()
  local dir = DIR .. '/logs'
  local w = kumo.jsonl.new_writer { log_dir = dir, suffix = '.zst', max_file_size = 60 }
  for i = 1, 5 do w:write_record { n = i, type = i % 2 == 0 and 'Even' or 'Odd' } end
  w:write_line '{"n":6,"type":"Even"}'
  w:close()
  assert(#kumo.fs.uncached_glob(dir .. '/*.zst') > 1)
  local function read(filter)
    local t = kumo.jsonl.new_tailer({ directory = dir, pattern = '*.zst', max_batch_size = 2, max_batch_latency = '10ms', checkpoint_name = 'cp' }, filter)
    local b = t:batches()()
    local out = {}
    for r in b:iter_records() do table.insert(out, r.n) end
    eq({ b:consumer_name(), #b:records() }, { 'default', #out })
    b:commit()
    fails('already been committed', b.commit, b)
    t:close()
    eq(t:batches()(), nil)
    return out
  end
  eq({ read(), read(), read() }, { { 1, 2 }, { 3, 4 }, { 5, 6 } })
  w:write_record { n = 7, type = 'Odd' }
  eq(read(), { 7 })
  local m = kumo.jsonl.new_multi_tailer { directory = dir, consumers = {
    { name = 'odd', max_batch_size = 4, filter = function(r) return r.type == 'Odd' end },
    { name = 'even', max_batch_size = 3, filter = function(r) return r.type == 'Even' end },
  } }
  local got = {}
  for batches in m:batches() do
    for _, b in ipairs(batches) do got[b:consumer_name()] = #b:records() end
    if got.odd and got.even then m:close() end
  end
  eq(got, { odd = 4, even = 3 })
  fails('max_batch_size', kumo.jsonl.new_tailer, { directory = dir, max_batch_size = 0 })
  fails('too long', function() kumo.jsonl.new_writer({ log_dir = dir, max_record_size = 5 }):write_line '123456' end)
end)
