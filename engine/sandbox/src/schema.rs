//! Schemas (of OpenAPI 2.0) read off values that the code itself makes, so that they say what it does: what an answer has by
//! one, what a request must have by taking things away until it is no longer understood.

use serde::de::DeserializeOwned;
use serde::Serialize;
use serde_json::{json, Map, Value};

/// Fields whose objects have anybody's words for names.
const MAPS: [&str; 4] = ["Headers", "NotesByNumber", "Platforms", "Tags"];
/// Fields that may be null.
const NULLABLE: [&str; 3] = ["AuthUser", "Rules", "TLS"];

/// Schemas by name; what one has of another refers to it.
#[derive(Default)]
pub struct Definitions(Map<String, Value>);

impl Definitions {
    /// What answers like this one are.
    pub fn answer(&mut self, name: &str, example: Value) {
        let schema = of(&example);
        self.add(name, schema, example);
    }

    /// An object like this one, whose names are anybody's.
    pub fn map(&mut self, name: &str, example: Value) {
        let schema = map_of(&example);
        self.add(name, schema, example);
    }

    /// What requests like this one are.
    pub fn request<T: Serialize + DeserializeOwned>(&mut self, name: &str, example: &T) {
        let example = json!(example);
        let mut schema = of(&example);
        require::<T>(&example, "", &mut schema);
        self.add(name, schema, example);
    }

    fn add(&mut self, name: &str, mut schema: Value, example: Value) {
        if let Some(inner) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            inner.values_mut().for_each(|one| self.refer(one));
        }
        if let Some(items) = schema.get_mut("items") {
            self.refer(items);
        }
        schema["example"] = example;
        self.0.insert(name.to_string(), schema);
    }

    /// Puts a reference in the place of what has a name.
    fn refer(&self, schema: &mut Value) {
        for part in ["properties", "items", "additionalProperties"] {
            match schema.get_mut(part) {
                Some(Value::Object(all)) if part == "properties" => {
                    all.values_mut().for_each(|one| self.refer(one));
                }
                Some(one) => self.refer(one),
                None => {}
            }
        }
        let properties = schema.get("properties");
        let same = self.0.iter().find(|(_, one)| {
            properties.is_some()
                && one.get("properties") == properties
                && one["type"] == schema["type"]
        });
        if let Some((name, _)) = same {
            let reference = format!("#/definitions/{name}");
            *schema = match schema.get("x-nullable") {
                Some(_) => json!({"allOf": [{"$ref": reference}], "x-nullable": true}),
                None => json!({"$ref": reference}),
            };
        }
    }

    /// All of them.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// The names of a schema's fields as people write them: `{Read, IDs[], From{Email, Name}}`.
pub fn shape(schema: &Value) -> String {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return if schema.get("additionalProperties").is_some() {
            "{}".into()
        } else {
            String::new()
        };
    };
    let field = |(name, one): (&String, &Value)| match one.get("items") {
        Some(items) => format!("{name}[{}]", shape(items).trim_matches(['{', '}'])),
        None => format!("{name}{}", shape(one)),
    };
    format!("{{{}}}", properties.iter().map(field).collect::<Vec<_>>().join(", "))
}

fn of(value: &Value) -> Value {
    match value {
        Value::Null => json!({"x-nullable": true}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) if number.is_f64() => json!({"type": "number", "format": "double"}),
        Value::Number(_) => json!({"type": "integer", "format": "int64"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(all) => json!({"type": "array", "items": all.first().map_or(json!({}), of)}),
        Value::Object(fields) => {
            let of_field = |(name, value): (&String, &Value)| {
                let mut schema = match value.is_object() && MAPS.contains(&name.as_str()) {
                    true => map_of(value),
                    false => of(value),
                };
                if NULLABLE.contains(&name.as_str()) {
                    schema["x-nullable"] = json!(true);
                }
                (name.clone(), schema)
            };
            let properties: Map<String, Value> = fields.iter().map(of_field).collect();
            json!({"type": "object", "properties": properties})
        }
    }
}

fn map_of(value: &Value) -> Value {
    let first = value.as_object().and_then(|fields| fields.values().next());
    json!({"type": "object", "additionalProperties": first.map_or(json!({}), of)})
}

/// Marks the fields without which a request is not understood.
fn require<T: DeserializeOwned>(root: &Value, at: &str, schema: &mut Value) {
    if let Some(items) = schema.get_mut("items") {
        return require::<T>(root, &format!("{at}/0"), items);
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    let mut required = Vec::new();
    for (name, inner) in properties {
        let mut without = root.clone();
        if let Some(fields) = without.pointer_mut(at).and_then(Value::as_object_mut) {
            fields.remove(name);
        }
        if serde_json::from_value::<T>(without).is_err() {
            required.push(name.clone());
        }
        require::<T>(root, &format!("{at}/{name}"), inner);
    }
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize)]
    struct Inner {
        must: u8,
        #[serde(default)]
        may: f64,
    }

    #[derive(Serialize, Deserialize)]
    struct Outer {
        list: Vec<Inner>,
        #[serde(default)]
        text: Option<String>,
    }

    #[test]
    fn what_is_required_is_found_and_what_has_a_name_is_named() {
        let mut all = Definitions::default();
        let list = vec![Inner { must: 1, may: 0.5 }];
        all.request("Outer", &Outer { list, text: Some("x".into()) });
        all.answer("Person", json!({"Name": "x"}));
        all.answer(
            "People",
            json!({"All": [{"Name": "y"}], "Tags": {"a": 1}, "TLS": {"Name": "z"}}),
        );
        let all = all.into_value();
        assert_eq!(all["Outer"]["required"], json!(["list"]));
        assert_eq!(all["Outer"]["properties"]["list"]["items"]["required"], json!(["must"]));
        assert_eq!(
            all["Outer"]["properties"]["list"]["items"]["properties"]["may"]["type"],
            "number"
        );
        assert_eq!(shape(&all["Outer"]), "{list[may, must], text}");
        let people = &all["People"]["properties"];
        assert_eq!(people["All"]["items"]["$ref"], "#/definitions/Person");
        assert_eq!(people["Tags"]["additionalProperties"]["type"], "integer");
        assert_eq!(people["TLS"]["allOf"][0]["$ref"], "#/definitions/Person");
    }
}
