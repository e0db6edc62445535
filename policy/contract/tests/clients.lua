check('kumo.kafka.build_producer', function() fails('not supported', kumo.kafka.build_producer, {}) end)
check('kumo.amqp.basic_publish', function() fails('not supported', kumo.amqp.basic_publish, {}) end)
