//! Who may do what: access lists, and the maps that give each resource one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ringmta_mail::AuthInfo;
use serde_json::{json, Map, Value};

use crate::suggest;

/// Nesting of `AllOf`, `AnyOf` and `Not`: more is no rule that anybody wrote.
const DEPTH_MAX: usize = 32;

/// Group of those whose address is among a listener's `trusted_hosts`.
pub const TRUSTED_GROUP: &str = "kumomta:http-listener-trusted-ip";

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity {
    /// Who has this name.
    Individual(String),
    /// Members of this group.
    Group(String),
    /// Who connects from this address.
    Machine(IpAddr),
    /// Whoever has a name.
    Authenticated,
    /// Whoever has none.
    Unauthenticated,
    /// Everybody.
    Any,
}

/// When a rule applies.
#[derive(Debug, Clone, PartialEq)]
pub enum Criteria {
    /// All of these hold.
    AllOf(Vec<Criteria>),
    /// One of these holds.
    AnyOf(Vec<Criteria>),
    /// This does not hold.
    Not(Box<Criteria>),
    /// It is one of those.
    Identity(Identity),
}

/// One rule: the first that applies decides.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessRule {
    /// Whom it is about.
    pub criteria: Criteria,
    /// What they want to do; of HTTP, the method.
    pub privilege: String,
    /// Whether they may.
    pub allow: bool,
}

/// The rules of one resource, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccessList(pub Vec<AccessRule>);

/// The lists of resources by their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccessMap(BTreeMap<String, AccessList>);

/// What came of a question.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Access {
    /// Whether it is allowed; without a rule that applies it is not.
    pub allow: bool,
    /// The rule that decided.
    pub rule: Option<AccessRule>,
    /// The resource whose rule it is.
    pub resource: Option<String>,
    /// The resources that were looked at before.
    pub considered: Vec<String>,
}

impl Criteria {
    /// Whether it holds for `who`.
    pub fn holds(&self, who: &AuthInfo) -> bool {
        match self {
            Criteria::AllOf(all) => all.iter().all(|one| one.holds(who)),
            Criteria::AnyOf(any) => any.iter().any(|one| one.holds(who)),
            Criteria::Not(other) => !other.holds(who),
            Criteria::Identity(identity) => identity.is(who),
        }
    }

    fn read(value: &Value, depth: usize) -> Result<Criteria, String> {
        if depth > DEPTH_MAX {
            return Err(format!("criteria: nested more than {DEPTH_MAX} deep"));
        }
        let (name, inner) = single("criteria", value)?;
        let list = || -> Result<Vec<Criteria>, String> {
            // A Lua table without entries is no list of its own.
            let items = match inner {
                Value::Array(items) => items.as_slice(),
                Value::Object(none) if none.is_empty() => &[],
                _ => return Err(format!("criteria.{name}: expected a list")),
            };
            items.iter().map(|one| Criteria::read(one, depth + 1)).collect()
        };
        match name {
            "AllOf" => list().map(Criteria::AllOf),
            "AnyOf" => list().map(Criteria::AnyOf),
            "Not" => Ok(Criteria::Not(Box::new(Criteria::read(inner, depth + 1)?))),
            "Identity" => Identity::read(inner).map(Criteria::Identity),
            // The documentation has it without the word in front, too.
            "Machine" => Identity::read(value).map(Criteria::Identity),
            other => {
                let known = ["AllOf", "AnyOf", "Not", "Identity"];
                Err(format!("criteria: {}", suggest::unknown("variant", other, known.into_iter())))
            }
        }
    }

    fn to_json(&self) -> Value {
        let list =
            |all: &[Criteria]| Value::from(all.iter().map(Criteria::to_json).collect::<Vec<_>>());
        match self {
            Criteria::AllOf(all) => json!({ "AllOf": list(all) }),
            Criteria::AnyOf(any) => json!({ "AnyOf": list(any) }),
            Criteria::Not(other) => json!({ "Not": other.to_json() }),
            Criteria::Identity(identity) => json!({ "Identity": identity.to_json() }),
        }
    }
}

impl Identity {
    fn is(&self, who: &AuthInfo) -> bool {
        match self {
            Identity::Individual(name) => who.identities.contains(name),
            Identity::Group(name) => who.groups.contains(name),
            // A listener on an IPv6 socket may have both kinds.
            Identity::Machine(address) => {
                who.peer_address.map(|ip| ip.to_canonical()) == Some(address.to_canonical())
            }
            Identity::Authenticated => !who.identities.is_empty(),
            Identity::Unauthenticated => who.identities.is_empty(),
            Identity::Any => true,
        }
    }

    fn read(value: &Value) -> Result<Identity, String> {
        let (name, inner) = match value {
            // Also `Identity = 'Any'`.
            Value::String(name) => (name.as_str(), &Value::Null),
            other => single("Identity", other)?,
        };
        let text = || {
            let text = inner.as_str().map(str::to_owned);
            text.ok_or_else(|| format!("Identity.{name}: expected a string"))
        };
        match name {
            "Individual" => text().map(Identity::Individual),
            "Group" => text().map(Identity::Group),
            "Machine" => text()?
                .parse()
                .map(Identity::Machine)
                .map_err(|_| format!("Identity.Machine: {inner} is not an address")),
            "Authenticated" => Ok(Identity::Authenticated),
            "Unauthenticated" => Ok(Identity::Unauthenticated),
            "Any" => Ok(Identity::Any),
            other => {
                let known =
                    ["Individual", "Group", "Machine", "Authenticated", "Unauthenticated", "Any"];
                Err(format!("Identity: {}", suggest::unknown("variant", other, known.into_iter())))
            }
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Identity::Individual(name) => json!({ "Individual": name }),
            Identity::Group(name) => json!({ "Group": name }),
            Identity::Machine(address) => json!({ "Machine": address.to_string() }),
            Identity::Authenticated => json!({ "Authenticated": {} }),
            Identity::Unauthenticated => json!({ "Unauthenticated": {} }),
            Identity::Any => json!({ "Any": {} }),
        }
    }
}

impl AccessRule {
    /// As the accounting log and policies have it.
    pub fn to_json(&self) -> Value {
        let access = if self.allow { "Allow" } else { "Deny" };
        json!({ "criteria": self.criteria.to_json(), "privilege": self.privilege, "access": access })
    }

    /// A rule as `make_access_control_list` takes it: `{ criteria, privilege, access }`.
    fn read(value: &Value) -> Result<AccessRule, String> {
        let fields = fields("rule", value, &["criteria", "privilege", "access"])?;
        let text = |name: &str| {
            let found = fields.get(name).ok_or_else(|| format!("missing field `{name}`"))?;
            found.as_str().ok_or_else(|| format!("{name}: expected a string"))
        };
        let allow = match text("access")? {
            "Allow" => true,
            "Deny" => false,
            other => {
                let known = ["Allow", "Deny"].into_iter();
                return Err(format!("access: {}", suggest::unknown("variant", other, known)));
            }
        };
        let criteria = fields.get("criteria").ok_or("missing field `criteria`")?;
        let privilege = text("privilege")?.to_owned();
        Ok(AccessRule { criteria: Criteria::read(criteria, 0)?, privilege, allow })
    }

    /// A rule of a map's file: `{ allow, privileges, identity }` or `{ allow, privileges, criteria }`; one rule for each
    /// privilege.
    fn read_all(value: &Value) -> Result<Vec<AccessRule>, String> {
        let fields = fields("rule", value, &["allow", "privileges", "identity", "criteria"])?;
        let allow = fields.get("allow").and_then(Value::as_bool);
        let allow = allow.ok_or("allow: expected true or false")?;
        let privileges = fields.get("privileges").and_then(Value::as_array);
        let privileges = privileges.ok_or("privileges: expected a list of names")?;
        let criteria = match (fields.get("identity"), fields.get("criteria")) {
            (Some(identity), None) => Criteria::Identity(Identity::read(identity)?),
            (None, Some(criteria)) => Criteria::read(criteria, 0)?,
            _ => return Err("expected either `identity` or `criteria`".into()),
        };
        let rule = |privilege: &Value| {
            let name = privilege.as_str().ok_or("privileges: expected a list of names")?;
            Ok(AccessRule { criteria: criteria.clone(), privilege: name.to_owned(), allow })
        };
        privileges.iter().map(rule).collect()
    }
}

impl AccessList {
    /// Reads the argument of `make_access_control_list`.
    ///
    /// # Errors
    /// Which rule is wrong, and how.
    pub fn read(value: &Value) -> Result<AccessList, String> {
        let rules = match value {
            Value::Array(rules) => rules.as_slice(),
            Value::Object(none) if none.is_empty() => &[],
            _ => return Err("expected a list of rules".into()),
        };
        let rule =
            |(at, rule)| AccessRule::read(rule).map_err(|why| format!("rule {}: {why}", at + 1));
        rules.iter().enumerate().map(rule).collect::<Result<_, _>>().map(AccessList)
    }

    /// The first rule that applies to what `who` wants to do.
    pub fn rule_for(&self, who: &AuthInfo, privilege: &str) -> Option<&AccessRule> {
        self.0.iter().find(|rule| rule.privilege == privilege && rule.criteria.holds(who))
    }
}

impl AccessMap {
    /// Reads the TOML of a map: `[[acl."resource"]]` tables.
    ///
    /// # Errors
    /// Which rule is wrong, and how.
    pub fn parse(text: &str) -> Result<AccessMap, String> {
        let whole: Value = toml::from_str(text).map_err(|error| error.to_string())?;
        let Some(lists) = fields("map", &whole, &["acl"])?.get("acl") else {
            return Ok(AccessMap::default());
        };
        let lists = lists.as_object().ok_or("acl: expected a table")?;
        let mut map = BTreeMap::new();
        for (resource, rules) in lists {
            let rules =
                rules.as_array().ok_or_else(|| format!("acl.{resource:?}: expected [[ ]]"))?;
            let mut list = Vec::new();
            for (at, rule) in rules.iter().enumerate() {
                let found = AccessRule::read_all(rule);
                list.extend(
                    found.map_err(|why| format!("acl.{resource:?}, rule {}: {why}", at + 1))?,
                );
            }
            map.insert(resource.clone(), AccessList(list));
        }
        Ok(AccessMap(map))
    }

    /// What holds where a policy gives no list: liveness for everybody, injection for trusted addresses and whoever has a
    /// name, all else for trusted addresses.
    pub fn built_in() -> AccessMap {
        let trusted = || Criteria::Identity(Identity::Group(TRUSTED_GROUP.into()));
        let rule = |criteria: Criteria, privilege: &str| AccessRule {
            criteria,
            privilege: privilege.into(),
            allow: true,
        };
        let all = |methods: &[&str]| {
            AccessList(methods.iter().map(|method| rule(trusted(), method)).collect())
        };
        let everybody = Criteria::Identity(Identity::Any);
        let named = Criteria::Identity(Identity::Authenticated);
        let lists = [
            ("api/check-liveness", AccessList(vec![rule(everybody, "GET")])),
            ("api/inject", AccessList(vec![rule(trusted(), "POST"), rule(named, "POST")])),
            ("api/admin", all(&["GET", "DELETE", "POST"])),
            ("metrics", all(&["GET"])),
            ("metrics.json", all(&["GET"])),
        ];
        let named = lists.into_iter().map(|(path, list)| (format!("http_listener/*/{path}"), list));
        AccessMap(named.collect())
    }

    /// The list of a resource.
    pub fn get(&self, resource: &str) -> Option<&AccessList> {
        self.0.get(resource)
    }
}

/// The names of an HTTP resource, the most particular first: those of the listener at `local`, those of any listener, and
/// what holds for all.
pub fn http_resources(local: &str, path: &str) -> Vec<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let below = |listener: &str, count: usize| {
        let mut name = format!("http_listener/{listener}");
        parts[..count].iter().for_each(|part| {
            name.push('/');
            name.push_str(part);
        });
        name
    };
    let own = (0..=parts.len()).rev().map(|count| below(local, count));
    let any = (1..=parts.len()).rev().map(|count| below("*", count));
    own.chain(any).chain(["http_listener".to_string()]).collect()
}

/// The one member of a table.
fn single<'v>(what: &str, value: &'v Value) -> Result<(&'v str, &'v Value), String> {
    match value.as_object().map(|members| (members.len(), members.iter().next())) {
        Some((1, Some((name, inner)))) => Ok((name, inner)),
        _ => Err(format!("{what}: expected a table with a single member")),
    }
}

fn fields<'v>(
    what: &str,
    value: &'v Value,
    known: &[&str],
) -> Result<&'v Map<String, Value>, String> {
    let members = value.as_object().ok_or_else(|| format!("{what}: expected a table"))?;
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(other) => Err(suggest::unknown("field", other, known.iter().copied())),
        None => Ok(members),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(identities: &[&str], groups: &[&str], peer: &str) -> AuthInfo {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_string()).collect();
        AuthInfo {
            identities: owned(identities),
            groups: owned(groups),
            peer_address: peer.parse().ok(),
        }
    }

    #[test]
    fn criteria() {
        let holds = |criteria: Value| {
            let who = who(&["bob"], &["admins"], "10.0.0.1");
            Criteria::read(&criteria, 0).map(|read| read.holds(&who))
        };
        let admins = json!({"Identity": {"Group": "admins"}});
        for (criteria, wanted) in [
            (json!({"Identity": {"Individual": "bob"}}), true),
            (json!({"Identity": {"Individual": "eve"}}), false),
            (json!({"Identity": {"Machine": "10.0.0.1"}}), true),
            (json!({"Machine": "10.0.0.2"}), false),
            (json!({"Identity": {"Any": {}}}), true),
            (json!({"Identity": {"Authenticated": {}}}), true),
            (json!({"Identity": {"Unauthenticated": {}}}), false),
            (json!({"AllOf": [admins.clone(), {"Machine": "10.0.0.1"}]}), true),
            (json!({"AllOf": [admins.clone(), {"Machine": "10.0.0.2"}]}), false),
            (json!({"AnyOf": [{"Machine": "10.0.0.2"}, admins.clone()]}), true),
            (json!({"AnyOf": []}), false),
            (json!({"Not": admins}), false),
        ] {
            assert_eq!(holds(criteria.clone()), Ok(wanted), "{criteria}");
        }
        let mut deep = json!({"Machine": "10.0.0.1"});
        for _ in 0..100 {
            deep = json!({ "Not": deep });
        }
        for (wrong, part) in [
            (json!({"Identity": {"Grup": "x"}}), "Group"),
            (json!({"Anyof": []}), "AnyOf"),
            (json!({"Machine": "nowhere"}), "not an address"),
            (json!({}), "a single member"),
            (deep, "deep"),
        ] {
            assert!(holds(wrong.clone()).unwrap_err().contains(part), "{wrong}");
        }
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let list = AccessList::read(&json!([
            {"criteria": {"Identity": {"Individual": "eve"}}, "privilege": "GET", "access": "Deny"},
            {"criteria": {"Identity": {"Any": {}}}, "privilege": "GET", "access": "Allow"},
        ]));
        let list = list.unwrap();
        let allowed = |name: &str, privilege: &str| {
            list.rule_for(&who(&[name], &[], ""), privilege).map(|rule| rule.allow)
        };
        assert_eq!((allowed("eve", "GET"), allowed("bob", "GET")), (Some(false), Some(true)));
        assert_eq!(allowed("bob", "POST"), None);
        let wrong = AccessList::read(&json!([{"privilege": "GET", "access": "Allow"}]));
        assert_eq!(wrong.unwrap_err(), "rule 1: missing field `criteria`");
    }

    #[test]
    fn maps_as_files_have_them() {
        let map = AccessMap::parse(
            "[[acl.\"http_listener/*/api/inject\"]]\nallow = true\nprivileges = [\"POST\", \"GET\"]\n\
             identity.Authenticated = {}\n\n[[acl.\"http_listener/*/api/inject\"]]\nallow = false\n\
             privileges = [\"POST\"]\ncriteria.Not = {Identity = {Group = 'admins'}}\n",
        );
        let map = map.unwrap();
        let list = map.get("http_listener/*/api/inject").unwrap();
        assert_eq!(list.0.len(), 3);
        let rule = json!({"criteria": {"Not": {"Identity": {"Group": "admins"}}},
            "privilege": "POST", "access": "Deny"});
        assert_eq!(list.0[2].to_json(), rule);
        assert_eq!(map.get("http_listener"), None);
        for (wrong, part) in [
            (
                "[[acl.x]]\nallow = 1\nprivileges = []\nidentity.Any = {}",
                "acl.\"x\", rule 1: allow",
            ),
            ("[[acl.x]]\nallow = true\nprivileges = ['GET']", "either `identity` or `criteria`"),
            ("[[acls.x]]", "did you mean `acl`"),
            ("[[", "TOML"),
        ] {
            let why = AccessMap::parse(wrong).unwrap_err();
            assert!(why.contains(part), "{wrong}: {why}");
        }
    }

    #[test]
    fn names_of_a_resource() {
        assert_eq!(
            http_resources("127.0.0.1:8080", "/foo/bar/"),
            [
                "http_listener/127.0.0.1:8080/foo/bar",
                "http_listener/127.0.0.1:8080/foo",
                "http_listener/127.0.0.1:8080",
                "http_listener/*/foo/bar",
                "http_listener/*/foo",
                "http_listener",
            ]
        );
        let built_in = AccessMap::built_in();
        let names = http_resources("[::1]:80", "/api/inject/v1");
        let list = names.iter().find_map(|name| built_in.get(name)).unwrap();
        assert!(list.rule_for(&who(&["u"], &[], ""), "POST").is_some());
        assert!(list.rule_for(&who(&[], &[], ""), "POST").is_none());
    }
}
