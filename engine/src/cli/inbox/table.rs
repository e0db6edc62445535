//! Every flag and environment variable of Mailpit's (1.30), and what becomes of it here. A test goes through it.

/// What becomes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does what it does in Mailpit.
    Works,
    /// What it asks for is so anyway.
    Already(&'static str),
    /// Not offered: the start is refused by its name, and with this to do instead.
    Refused(&'static str),
}

/// A flag of Mailpit's.
pub struct Flag {
    /// Its environment variable.
    pub variable: &'static str,
    /// Its long name; empty when there is only the variable.
    pub flag: &'static str,
    /// Its short name; empty when there is none.
    pub short: &'static str,
    /// What becomes of it.
    pub state: State,
}

const fn works(variable: &'static str, flag: &'static str, short: &'static str) -> Flag {
    Flag { variable, flag, short, state: State::Works }
}

const fn already(variable: &'static str, flag: &'static str, why: &'static str) -> Flag {
    Flag { variable, flag, short: "", state: State::Already(why) }
}

const fn refused(variable: &'static str, flag: &'static str, instead: &'static str) -> Flag {
    Flag { variable, flag, short: "", state: State::Refused(instead) }
}

/// All of them, and one of ours.
pub const TABLE: &[Flag] = &[
    works("MP_SMTP_BIND_ADDR", "smtp", "s"),
    works("MP_UI_BIND_ADDR", "listen", "l"),
    works("MP_DATABASE", "database", "d"),
    works("MP_COMPRESSION", "compression", ""),
    works("MP_DISABLE_WAL", "disable-wal", ""),
    works("MP_DISABLE_AUTO_VACUUM", "disable-auto-vacuum", ""),
    works("MP_MAX_MESSAGES", "max", "m"),
    works("MP_MAX_AGE", "max-age", ""),
    works("MP_MAX_MESSAGE_SIZE", "max-message-size", ""),
    works("MP_USE_MESSAGE_DATES", "use-message-dates", ""),
    works("MP_IGNORE_DUPLICATE_IDS", "ignore-duplicate-ids", ""),
    works("MP_LABEL", "label", ""),
    works("MP_TAG", "tag", "t"),
    works("MP_TAGS_CONFIG", "tags-config", ""),
    works("MP_TAGS_TITLE_CASE", "tags-title-case", ""),
    works("MP_TAGS_DISABLE", "tags-disable", ""),
    works("MP_TAGS_USERNAME", "tags-username", ""),
    works("MP_WEBROOT", "webroot", ""),
    works("MP_UI_AUTH_FILE", "ui-auth-file", ""),
    works("MP_UI_AUTH", "", ""),
    works("MP_UI_TLS_CERT", "ui-tls-cert", ""),
    works("MP_UI_TLS_KEY", "ui-tls-key", ""),
    works("MP_API_CORS", "api-cors", ""),
    works("MP_HIDE_DELETE_ALL_BUTTON", "hide-delete-all-button", ""),
    works("MP_BLOCK_REMOTE_CSS_AND_FONTS", "block-remote-css-and-fonts", ""),
    works("MP_ALLOW_INTERNAL_HTTP_REQUESTS", "allow-internal-http-requests", ""),
    works("MP_ALLOW_UNTRUSTED_TLS", "allow-untrusted-tls", ""),
    works("MP_ENABLE_SPAMASSASSIN", "enable-spamassassin", ""),
    works("MP_SEND_API_AUTH_FILE", "send-api-auth-file", ""),
    works("MP_SEND_API_AUTH", "", ""),
    works("MP_SEND_API_AUTH_ACCEPT_ANY", "send-api-auth-accept-any", ""),
    works("MP_ENABLE_PROMETHEUS", "enable-prometheus", ""),
    works("MP_WEBHOOK_URL", "webhook-url", ""),
    works("MP_WEBHOOK_LIMIT", "webhook-limit", ""),
    works("MP_WEBHOOK_DELAY", "webhook-delay", ""),
    works("MP_SMTP_AUTH_FILE", "smtp-auth-file", ""),
    works("MP_SMTP_AUTH", "", ""),
    already(
        "MP_SMTP_AUTH_ACCEPT_ANY",
        "smtp-auth-accept-any",
        "Any login will do, which is so where no file of logins is given.",
    ),
    works("MP_SMTP_AUTH_ALLOW_INSECURE", "smtp-auth-allow-insecure", ""),
    works("MP_SMTP_TLS_CERT", "smtp-tls-cert", ""),
    works("MP_SMTP_TLS_KEY", "smtp-tls-key", ""),
    works("MP_SMTP_REQUIRE_STARTTLS", "smtp-require-starttls", ""),
    works("MP_SMTP_REQUIRE_TLS", "smtp-require-tls", ""),
    works("MP_SMTP_STRICT_RFC_HEADERS", "smtp-strict-rfc-headers", ""),
    works("MP_SMTP_MAX_RECIPIENTS", "smtp-max-recipients", ""),
    works("MP_SMTP_ALLOWED_RECIPIENTS", "smtp-allowed-recipients", ""),
    works("MP_SMTP_IGNORE_REJECTED_RECIPIENTS", "smtp-ignore-rejected-recipients", ""),
    works("MP_ENABLE_CHAOS", "enable-chaos", ""),
    works("MP_CHAOS_TRIGGERS", "chaos-triggers", ""),
    works("MP_SMTP_RELAY_CONFIG", "smtp-relay-config", ""),
    works("MP_SMTP_RELAY_ALL", "smtp-relay-all", ""),
    works("MP_SMTP_RELAY_MATCHING", "smtp-relay-matching", ""),
    works("MP_SMTP_FORWARD_CONFIG", "smtp-forward-config", ""),
    works("MP_SMTP_RELAY_HOST", "", ""),
    works("MP_SMTP_RELAY_PORT", "", ""),
    works("MP_SMTP_RELAY_STARTTLS", "", ""),
    works("MP_SMTP_RELAY_TLS", "", ""),
    works("MP_SMTP_RELAY_ALLOW_INSECURE", "", ""),
    works("MP_SMTP_RELAY_AUTH", "", ""),
    works("MP_SMTP_RELAY_USERNAME", "", ""),
    works("MP_SMTP_RELAY_PASSWORD", "", ""),
    works("MP_SMTP_RELAY_SECRET", "", ""),
    works("MP_SMTP_RELAY_RETURN_PATH", "", ""),
    works("MP_SMTP_RELAY_OVERRIDE_FROM", "", ""),
    works("MP_SMTP_RELAY_ALLOWED_RECIPIENTS", "", ""),
    works("MP_SMTP_RELAY_BLOCKED_RECIPIENTS", "", ""),
    works("MP_SMTP_RELAY_PRESERVE_MESSAGE_IDS", "", ""),
    works("MP_SMTP_RELAY_FWD_SMTP_ERRORS", "", ""),
    works("MP_SMTP_FORWARD_HOST", "", ""),
    works("MP_SMTP_FORWARD_PORT", "", ""),
    works("MP_SMTP_FORWARD_STARTTLS", "", ""),
    works("MP_SMTP_FORWARD_TLS", "", ""),
    works("MP_SMTP_FORWARD_ALLOW_INSECURE", "", ""),
    works("MP_SMTP_FORWARD_AUTH", "", ""),
    works("MP_SMTP_FORWARD_USERNAME", "", ""),
    works("MP_SMTP_FORWARD_PASSWORD", "", ""),
    works("MP_SMTP_FORWARD_SECRET", "", ""),
    works("MP_SMTP_FORWARD_RETURN_PATH", "", ""),
    works("MP_SMTP_FORWARD_OVERRIDE_FROM", "", ""),
    works("MP_SMTP_FORWARD_TO", "", ""),
    works("MP_SMTP_FORWARD_FWD_SMTP_ERRORS", "", ""),
    works("MP_QUIET", "quiet", "q"),
    works("MP_VERBOSE", "verbose", "v"),
    already(
        "MP_DISABLE_VERSION_CHECK",
        "disable-version-check",
        "Nobody is asked for newer versions anyway.",
    ),
    already(
        "MP_DISABLE_HTTP_COMPRESSION",
        "disable-http-compression",
        "Answers are never compressed.",
    ),
    already("MP_DISABLE_LINK_CHECK_RATE_LIMIT", "disable-link-check-rate-limit", "There is none."),
    already("MP_SMTP_DISABLE_RDNS", "smtp-disable-rdns", "Names of clients are never looked up."),
    refused("MP_LOG_FILE", "log-file", "logs go to stderr: redirect it, as in 2>>FILE"),
    refused(
        "MP_TENANT_ID",
        "tenant-id",
        "inboxes do not share a database: give each a --database of its own",
    ),
    refused("MP_DEMO_MODE", "", "there is no such mode: leave it out"),
    works("MP_POP3_BIND_ADDR", "pop3", ""),
    works("MP_POP3_AUTH_FILE", "pop3-auth-file", ""),
    works("MP_POP3_AUTH", "", ""),
    works("MP_POP3_TLS_CERT", "pop3-tls-cert", ""),
    works("MP_POP3_TLS_KEY", "pop3-tls-key", ""),
    works("MP_ENABLE_LINK_CHECK", "enable-link-check", ""),
];

/// Variables of the programs beside the inbox, with their flags.
pub const BESIDE: [(&str, &str); 2] =
    [("MP_SENDMAIL_SMTP_ADDR", "smtp-addr"), ("MP_SENDMAIL_FROM", "from")];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::{CommandFactory, Parser};

    /// The page that tells people.
    const PAGE: &str = include_str!("../../../../docs/src/mailpit.md");

    #[test]
    fn every_flag_is_read_by_its_names() {
        let cli = Cli::command();
        for command in ["sandbox", "dev"] {
            let command = cli.find_subcommand(command).unwrap();
            for Flag { variable, flag, short, .. } in TABLE {
                let named = |arg: &&clap::Arg| arg.get_env().is_some_and(|env| env == *variable);
                let arg =
                    command.get_arguments().find(named).unwrap_or_else(|| panic!("{variable}"));
                if command.get_name() == "dev" && ["smtp", "listen"].contains(flag) {
                    continue;
                }
                let names = arg.get_long_and_visible_aliases().unwrap_or_default();
                let hidden = arg.get_all_aliases().unwrap_or_default();
                let has = names.contains(flag) || hidden.contains(flag);
                assert!(flag.is_empty() || has, "{flag}: {names:?}");
                assert_eq!(arg.get_short().map(String::from).unwrap_or_default(), *short, "{flag}");
            }
        }
    }

    #[test]
    fn what_is_refused_says_what_to_do() {
        let mut seen = 0;
        for Flag { variable, flag, state, .. } in TABLE {
            let State::Refused(instead) = state else { continue };
            let name = variable.trim_start_matches("MP_").to_lowercase().replace('_', "-");
            let name = if flag.is_empty() { &name } else { *flag };
            let error = Cli::try_parse_from(["ringmta", "sandbox", &format!("--{name}=some")]);
            let error = error.err().unwrap().to_string();
            assert!(error.contains(name) && error.contains(instead), "{name}: {error}");
            seen += 1;
        }
        assert_eq!(seen, 3);
    }

    fn row_of(variable: &str) -> Option<&'static str> {
        let mut rows = PAGE.lines().filter(|line| line.starts_with('|'));
        rows.find(|line| line.contains(&format!("`{variable}`")))
    }

    #[test]
    fn the_book_tells_the_state_of_each() {
        for Flag { variable, flag, state, .. } in TABLE {
            let row = row_of(variable);
            let row = row.unwrap_or_else(|| panic!("{variable} is not in the book"));
            assert!(flag.is_empty() || row.contains(&format!("`--{flag}`")), "{row}");
            let state = match state {
                State::Works => "| works |",
                State::Already(_) => "| as it is: ",
                State::Refused(_) => "| refused: ",
            };
            assert!(row.contains(state), "{row}");
        }
        for (variable, flag) in BESIDE {
            let row = row_of(variable);
            assert!(row.is_some_and(|row| row.contains(&format!("`--{flag}`"))), "{variable}");
        }
        let rows = PAGE.lines().filter(|line| line.contains("| `MP_")).count();
        assert_eq!(rows, TABLE.len() + BESIDE.len());
    }
}
