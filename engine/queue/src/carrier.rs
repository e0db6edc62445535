//! Who takes the mail of a ready queue.

use ringmta_options::MaildirProtocol;
use std::rc::Rc;

/// Who takes the mail of a ready queue.
#[derive(Debug, Clone, PartialEq)]
pub enum Carrier {
    /// A host, by SMTP or LMTP.
    Smtp,
    /// A connection object that the policy's event of this name makes.
    Lua(Rc<str>),
    /// Folders on this host.
    Maildir(Rc<MaildirProtocol>),
}

impl Carrier {
    /// As the names of ready queues have it, behind the `@`.
    pub fn name(&self) -> String {
        match self {
            Carrier::Smtp => "smtp_client".into(),
            Carrier::Lua(constructor) => format!("lua:{constructor}"),
            Carrier::Maildir(maildir) => format!("maildir:{}", maildir.maildir_path),
        }
    }

    /// Its kind alone.
    pub fn kind(&self) -> &'static str {
        match self {
            Carrier::Smtp => "smtp_client",
            Carrier::Lua(_) => "lua",
            Carrier::Maildir(_) => "maildir",
        }
    }
}
