//! The same answers as Lua's own functions, and an end.

use std::rc::Rc;

use mlua::{Function, Lua};

use super::install::install_with;
use crate::vm::handler_budget::Slice;

/// Calls a function of `string` and writes down what came of it: results or the error's text.
const TELL: &str = r#"
local name, s, p, c, d = ...
local function told(v)
  return math.type(v) and 'number ' .. tostring(v) or type(v) .. ' ' .. tostring(v)
end
local out = {}
local function note(...)
  for i = 1, select('#', ...) do out[#out + 1] = told((select(i, ...))) end
  out[#out + 1] = '|'
end
local ok, err = pcall(function()
  if name == 'gmatch' then
    local n = 0
    for a, b in s:gmatch(p, c) do
      n = n + 1
      note(a, b)
      if n > 50 then break end
    end
  else
    note(string[name](s, p, c, d))
  end
end)
if not ok then out[#out + 1] = (err:gsub('^[^:]*:%d+: ', '')) end
return table.concat(out, ' ')
"#;

fn teller(ours: bool) -> (Lua, Function) {
    let lua = Lua::new();
    if ours {
        install_with(&lua, &Rc::new(Slice::default()), 0).unwrap();
    }
    let tell = lua.load(TELL).set_name("=policy").into_function().unwrap();
    (lua, tell)
}

/// xorshift: the same cases each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| pieces[self.below(pieces.len())]).collect()
    }
}

const PATTERN_PIECES: [&str; 44] = [
    "a", "b", "c", "(", ")", "()", "a", ".", "%a", "%d", "%s", "%W", "%p", "%x", "%g", "%u", "%c",
    "[ab]", "[^a]", "[a-c%d]", "[]a]", "[^]]", "[%a-]", "[a-]", "*", "+", "-", "?", "*", "?", "^",
    "$", "%b()", "%bab", "%f[%w]", "%f[%W]", "%1", "%2", "%", "[", "%f", "\0", "%z", "%%",
];

#[test]
fn the_same_answers_as_luas_own() {
    let ((_a, own), (_b, ours)) = (teller(false), teller(true));
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let texts = ["a", "b", "c", "1", " ", "(", ")", "ab", "]", "-", "\0", "A", "é", "%"];
    let fills = ["<%1>", "%0%0", "x", "%%", "%2", "%", "%9", ""];
    for _ in 0..40_000 {
        let s = chance.text(&texts, 10);
        let p = chance.text(&PATTERN_PIECES, 7);
        let init = [None, Some(chance.below(14) as i64 - 6)][chance.below(2)];
        let (name, c, d) = match chance.below(4) {
            0 => ("find", told(init), "nil".to_owned()),
            1 => ("match", told(init), "nil".to_owned()),
            2 => ("gmatch", told(init), "nil".to_owned()),
            _ => ("gsub", format!("{:?}", fills[chance.below(fills.len())]), told(init)),
        };
        let (c, d) = (argument(&c), argument(&d));
        let said = |tell: &Function| {
            let told: mlua::String = tell.call((name, &*s, &*p, c.clone(), d.clone())).unwrap();
            told.to_string_lossy()
        };
        let (expected, got) = (said(&own), said(&ours));
        // Lua looks at captures only when the replacement names one.
        if name == "gsub" && got == "unfinished capture" {
            continue;
        }
        assert_eq!(got, expected, "string.{name}({s:?}, {p:?}, {c:?}, {d:?})");
    }
}

#[derive(Clone, Debug)]
enum Argument {
    Nil,
    Number(i64),
    Text(String),
}

impl mlua::IntoLua for Argument {
    fn into_lua(self, lua: &Lua) -> mlua::Result<mlua::Value> {
        match self {
            Argument::Nil => Ok(mlua::Value::Nil),
            Argument::Number(n) => n.into_lua(lua),
            Argument::Text(text) => text.into_lua(lua),
        }
    }
}

fn told(init: Option<i64>) -> String {
    init.map_or_else(|| "nil".to_owned(), |n| n.to_string())
}

fn argument(text: &str) -> Argument {
    match text {
        "nil" => Argument::Nil,
        text => text
            .parse()
            .map_or_else(|_| Argument::Text(text.trim_matches('"').to_owned()), Argument::Number),
    }
}

/// What both say to a piece of Lua.
fn both(code: &str) -> (String, String) {
    let say = |ours| -> String {
        let (lua, _) = teller(ours);
        let told: mlua::Result<String> = lua.load(code).set_name("=policy").eval();
        told.unwrap_or_else(|error| match error {
            mlua::Error::RuntimeError(text) => text.lines().next().unwrap_or_default().to_owned(),
            other => other.to_string(),
        })
    };
    (say(false), say(true))
}

#[test]
fn arguments_of_other_kinds() {
    // Where Lua's own function fails, not ours, there is no line.
    let plain = |told: String| told.trim_start_matches("policy:1: ").to_owned();
    for code in [
        "return tostring(string.find(1234, 23))",
        "return tostring(select('#', string.find('abc', 'x*', 9)))",
        "return tostring(string.find('a.b', '.', 2, true))",
        "return (string.gsub('abc abc', '%w+', { abc = 1 }))",
        "return (string.gsub('abc abc', '%w+', function(w) return w == 'x' end))",
        "return (string.gsub('hello', 'l+', function() return 7 end))",
        "return (string.gsub('abc', 'b', { b = false }))",
        "return (string.gsub('abc', '%w', '%0.', '2'))",
        "local at = string.find(nil, 'a')",
        "local at = string.match('a', {})",
        "local at = string.gsub('a', 'a', nil)",
        "local at = string.gsub('a', 'a', true)",
        "local at = string.gsub('a', 'a', function() return {} end)",
        "local at = string.find('a', 'a*', 'x')",
        "local at = string.find('a', 'a*', 1.5)",
        "local at = ('x'):rep(300):find(('(x)'):rep(33))",
        "return tostring(('x'):rep(300):find(('x-'):rep(250) .. 'y'))",
        "local at = string.gmatch('a', nil)",
    ] {
        let (own, ours) = both(code);
        assert_eq!(plain(ours), plain(own), "{code}");
    }
}

#[test]
fn a_wrong_pattern_is_told_with_the_policys_line() {
    let (own, ours) = both("\nlocal at = string.find('a', '[a')");
    assert_eq!(own, "policy:2: malformed pattern (missing ']')");
    assert_eq!(ours, own);
}

#[test]
fn cheap_patterns_go_to_luas_own() {
    let lua = Lua::new();
    install_with(&lua, &Rc::new(Slice::default()), 1 << 20).unwrap();
    let (a, b): (String, String) =
        lua.load("return ('key: value'):match('^(%w+): *(.*)$')").eval().unwrap();
    assert_eq!((a.as_str(), b.as_str()), ("key", "value"));
}

#[test]
fn one_that_backtracks_without_end_is_stopped() {
    let slice = Rc::new(Slice::default());
    let lua = Lua::new();
    super::install(&lua, &slice).unwrap();
    for code in [
        "local at = ('a'):rep(60):find(('a*'):rep(30) .. 'b')",
        "local at = ('a'):rep(60):match(('a?'):rep(60) .. 'b')",
        "local text = ('a'):rep(200):gsub(('a-'):rep(30) .. 'b', '')",
        "for _ in ('a'):rep(200):gmatch(('a*'):rep(30) .. 'b') do end",
        "local ok = pcall(string.find, ('a'):rep(60), ('a*'):rep(30) .. 'b')",
    ] {
        let function = lua.load(code).set_name("=policy").into_function().unwrap();
        let run = slice.watch(function.call_async::<()>(()));
        let ended = futures::executor::block_on(run);
        assert_eq!(ended.unwrap_err().0, "policy:1", "{code}");
    }
}
