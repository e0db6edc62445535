//! Functions of the module `kumo`, declared beside their code: annotations for editors and the reference page are made of this.

/// One function, or several alike.
pub(crate) struct FnDef {
    /// Path; `kumo.x.{a,b}` stands for both.
    pub name: &'static str,
    /// `name: type` each, `name?: type` where it may be left out. Types are those of annotations.
    pub args: &'static str,
    /// Types of the results; empty when there is none.
    pub result: &'static str,
    /// What it does.
    pub doc: &'static str,
}

impl FnDef {
    /// A declaration.
    pub const fn new(
        name: &'static str,
        args: &'static str,
        result: &'static str,
        doc: &'static str,
    ) -> FnDef {
        FnDef { name, args, result, doc }
    }

    /// Every path it stands for.
    pub fn paths(&self) -> Vec<String> {
        match self
            .name
            .split_once('{')
            .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        {
            Some((before, (list, behind))) => {
                list.split(',').map(|one| format!("{before}{one}{behind}")).collect()
            }
            None => vec![self.name.to_owned()],
        }
    }
}
