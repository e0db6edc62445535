//! The shipped policy tree, as in `policy/example`, for commands that write it out.

/// Its files, by their paths in it.
pub const TREE: [(&str, &str); 6] = [
    ("init.lua", include_str!("../../../policy/example/init.lua")),
    ("policy/constants.lua", include_str!("../../../policy/example/policy/constants.lua")),
    (SITE, include_str!("../../../policy/example/policy/site.lua")),
    ("policy/smtp.lua", include_str!("../../../policy/example/policy/smtp.lua")),
    ("policy/queue.lua", include_str!("../../../policy/example/policy/queue.lua")),
    ("policy/webhooks.lua", include_str!("../../../policy/example/policy/webhooks.lua")),
];

/// The file that says what one installation is.
pub const SITE: &str = "policy/site.lua";

/// Its own tests.
pub const TESTS: [(&str, &str); 3] = [
    ("policy/queue_test.lua", include_str!("../../../policy/example/policy/queue_test.lua")),
    ("policy/site_test.lua", include_str!("../../../policy/example/policy/site_test.lua")),
    ("policy/smtp_test.lua", include_str!("../../../policy/example/policy/smtp_test.lua")),
];
